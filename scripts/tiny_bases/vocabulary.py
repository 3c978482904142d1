"""Tokenizers of the tiny bases: SentencePiece-style BPE with byte fallback, as Gemma's and Llama's.

Any Unicode text is encoded and decodes to itself: what has no token of its own becomes UTF-8 bytes.
Every digit is a token, so that an amount can be copied figure by figure.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from synthetic_news import NewsGenerator
from tokenizers import (
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from tiny_bases.families import CONTEXT_LENGTH, Family

SPACE = "▁"
TRAINING_ARTICLES = 4000
# Tokens of their own, whatever the training text holds.
ASCII = "".join(map(chr, range(33, 127)))


def training_text(seed: int) -> Iterator[str]:
    """Pieces of generated articles: a value apart from its particle.

    BPE never merges across pieces, so a name has the same tokens whatever follows it, and
    an answer can be copied token by token.
    """
    generator = NewsGenerator(seed, "pretrain")
    for _ in range(TRAINING_ARTICLES):
        article = generator.article()
        yield from article.pieces
        for question in article.questions:
            yield question.text


def choose_alphabet(pieces: Iterable[str], size: int) -> list[str]:
    """The characters that get a token: ASCII and the most frequent ones, of equals the first in Unicode.

    Left to itself the trainer settles a tie by the order of a hash table, another one in every process.
    """
    counts = Counter(chain.from_iterable(pieces))
    counts.update({sign: counts.total() for sign in ASCII})
    for added in (" ", "\n"):  # a space becomes SPACE before the trainer sees it
        del counts[added]
    frequent = sorted(counts, key=lambda sign: (-counts[sign], sign))
    return sorted([*frequent[: size - 2], SPACE, "\n"])


def train_merges(family: Family) -> tuple[list[str], list[tuple[str, str]]]:
    """Learn the tokens that are no control tokens and no bytes, and their merges."""
    size = family.vocabulary - len(family.control) - 256
    pieces = list(training_text(family.seed))
    alphabet = choose_alphabet(pieces, size * 2 // 3)
    tokenizer = Tokenizer(models.BPE(unk_token=family.unk))
    tokenizer.normalizer = normalizers.Replace(" ", SPACE)
    tokenizer.pre_tokenizer = _pre_tokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=size + 1,
        limit_alphabet=len(alphabet),
        initial_alphabet=alphabet,
        special_tokens=[family.unk],
        max_token_length=4,
        show_progress=False,
    )
    tokenizer.train_from_iterator(pieces, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    tokens.remove(family.unk)
    return tokens, [(left, right) for left, right in model["merges"]]


def build_tokenizer(family: Family) -> Tokenizer:
    """The tokenizer of a family: control tokens, 256 bytes, learned tokens."""
    tokens, merges = train_merges(family)
    names = [*family.control, *(f"<0x{byte:02X}>" for byte in range(256)), *tokens]
    if len(names) != family.vocabulary:
        raise ValueError(f"{family.name}: {len(names)} tokens learned, {family.vocabulary} wanted")
    vocabulary = {name: index for index, name in enumerate(names)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token=family.unk, byte_fallback=True, fuse_unk=True))
    replace = normalizers.Replace(" ", SPACE)
    tokenizer.normalizer = (
        normalizers.Sequence([normalizers.Prepend(SPACE), replace]) if family.prepends_space else replace
    )
    tokenizer.pre_tokenizer = _pre_tokenizer()
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
        + ([decoders.Strip(" ", 1, 0)] if family.prepends_space else [])
    )
    tokenizer.add_special_tokens(list(family.control))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{family.bos} $A",
        pair=f"{family.bos} $A {family.bos} $B",
        special_tokens=[(family.bos, vocabulary[family.bos])],
    )
    return tokenizer


def without_leading_space(tokenizer: Tokenizer) -> Tokenizer:
    """A copy that encodes a piece of text as it stands in the middle of a longer one."""
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.normalizer = normalizers.Replace(" ", SPACE)
    return copy


def save_tokenizer(family: Family, folder: Path) -> Tokenizer:
    """Write tokenizer.json and tokenizer_config.json, readable by ``AutoTokenizer``."""
    tokenizer = build_tokenizer(family)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": family.bos,
        "eos_token": family.eos,
        "pad_token": family.pad,
        "unk_token": family.unk,
        "chat_template": family.chat_template,
        "clean_up_tokenization_spaces": False,
        "model_max_length": CONTEXT_LENGTH,
    }
    text = json.dumps(config, ensure_ascii=False, indent=2)
    (folder / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8")
    return tokenizer


def _pre_tokenizer() -> pre_tokenizers.PreTokenizer:
    """Spaces, digits, line breaks and punctuation stand alone.

    A space that merged with the syllable after it would give the first syllable of a word two tokens:
    one inside a sentence and one at the beginning of an answer.
    """
    return pre_tokenizers.Split(Regex(r"[0-9\n▁\p{P}]"), "isolated")

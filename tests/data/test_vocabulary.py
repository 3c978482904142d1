"""What each token writes: bytes that come to the text, with every tokenizer at hand."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from kqa_lightning.data.text_encoder import TextEncoder
from kqa_lightning.data.vocabulary import TokenBytes

TEXTS = (
    "이창용 총재는 2024년  7월 26일 “3.5%”라고 밝혔다.\n\n한국은행",
    "\t𝒳 é ㈜▁‘삼성’ 😀 <unk> a  b",
    "",
    " ",
    "각",
)


@pytest.fixture(scope="module", params=["gemma", "llama2", "tiny-gemma2", "tiny-nous", "byte level"])
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerBase:
    if request.param in ("gemma", "llama2"):
        return AutoTokenizer.from_pretrained(request.getfixturevalue(f"{request.param}_tokenizer_dir"))
    if request.param == "byte level":
        return byte_level()
    return AutoTokenizer.from_pretrained(request.getfixturevalue("tiny_bases")[request.param.removeprefix("tiny-")])


def byte_level() -> PreTrainedTokenizerBase:
    """A byte-level vocabulary as GPT-2's and Qwen's, of a few merges."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    backend.train_from_iterator(TEXTS * 3, trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet))
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<end>")


def korquad(path: Path, count: int) -> list[str]:
    articles = json.loads(path.read_text(encoding="utf-8"))["data"]
    return [paragraph["context"] for article in articles for paragraph in article["paragraphs"]][:count]


def test_the_bytes_of_tokens_come_to_the_text(tokenizer: PreTrainedTokenizerBase, korquad_path: Path) -> None:
    encoder, tokens = TextEncoder(tokenizer), TokenBytes(tokenizer)
    for text in (*TEXTS, *korquad(korquad_path, 60)):
        assert b"".join(tokens.by_id[one] for one in encoder.encode(text)) == text.encode()


def test_control_tokens_write_nothing(tokenizer: PreTrainedTokenizerBase) -> None:
    tokens = TokenBytes(tokenizer)
    special = set(tokenizer.all_special_ids)
    assert special
    assert not special & set(tokens.by_id)


def test_continuations_are_all_tokens_that_fit(tokenizer: PreTrainedTokenizerBase) -> None:
    tokens, text = TokenBytes(tokenizer), TEXTS[0].encode()
    for start in (0, 1, len(text) // 2, len(text) - 2, len(text)):
        expected = {
            (one, start + len(written)) for one, written in tokens.by_id.items() if text[start:].startswith(written)
        }
        assert set(tokens.continuations(text, start)) == expected
        assert len(tokens.continuations(text, start)) == len(expected)

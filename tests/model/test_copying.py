"""Copied answers: every piece of an article that an answer may be can be spelled out, and nothing else."""

import json
import random
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from kqa_lightning.data.encoding import EncodedArticle, PromptEncoder
from kqa_lightning.data.prompts import Gemma2Prompt, NousPrompt, Prompt
from kqa_lightning.data.questions import Question
from kqa_lightning.data.vocabulary import TokenBytes
from kqa_lightning.errors import KQAError
from kqa_lightning.model.copying import CopyConstraint, Spans

ARTICLE = (
    "한빛전자㈜의 제16대 대표는 ‘김미영’(金美英)이다.\n매출은 1,200억원, 이익률은 3.5%로 KOSPI200 평균의 2배다.  끝"
)


@pytest.fixture(scope="module", params=["gemma", "llama2", "tiny-gemma2", "tiny-nous"])
def encoder(request: pytest.FixtureRequest) -> PromptEncoder:
    name = request.param
    prompt: Prompt = Gemma2Prompt() if "gemma" in name else NousPrompt()
    if name.startswith("tiny"):
        folder = request.getfixturevalue("tiny_bases")[name.removeprefix("tiny-")]
    else:
        folder = request.getfixturevalue(f"{name}_tokenizer_dir")
    return PromptEncoder(AutoTokenizer.from_pretrained(folder), prompt, 4000)


def encode(encoder: PromptEncoder, article: str = ARTICLE) -> EncodedArticle:
    return encoder.encode_articles([(article, [Question(0, "누구?")])], "inference")[0][0]


@pytest.fixture(scope="module")
def constraint(encoder: PromptEncoder) -> CopyConstraint:
    return CopyConstraint(encoder, 64)


def accepts(constraint: CopyConstraint, encoder: PromptEncoder, text: str | list[int], article: str = ARTICLE) -> bool:
    """Whether an answer, with its end, is allowed token by token."""
    allowed = constraint(encode(encoder, article))
    ids = encoder.text.encode(text) if isinstance(text, str) else text
    whole = (*ids, encoder.end_ids[0])
    return all(one in allowed(whole[:place]) for place, one in enumerate(whole))


PIECES = (
    *("한빛전자", "한빛전자㈜", "16대", "제16대 대표", "‘김미영’", "김미영", "金美英", "(金美英)이다", "한", "끝"),
    *(
        "1,200억원",
        "1,200",
        "3.5%",
        "3.5",
        "KOSPI200",
        "KOSPI",
        "200",
        "2배",
        "평균의 2배다.",
        "3.5%로 KOSPI200 평균의 2배다.  끝",
    ),
)
# Numbers and Latin words, within which no answer ends, of more tokens than an answer may get.
LONG = f"{ARTICLE} 계좌 12345678901234567890, Supercalifragilisticexpialidocious {'9' * 2000}원"
OTHERS = (
    *("", " ", "빛전자", "자㈜", "미영", "대표이사", "김미영 ", "이다.\n매출은", "다.\n", "한빛전자 의", "kospi"),
    *("1,2", "1", "1,20", "00억원", "200억원", "3.", "5%", "3", "OSPI", "KOS", "KOSPI20"),
)


def test_pieces_of_the_article_are_allowed_with_and_without_a_space(
    encoder: PromptEncoder, constraint: CopyConstraint
) -> None:
    spaced = [f" {one}" for one in PIECES if f" {one}" in ARTICLE]
    assert len(spaced) > 5
    assert [one for one in (*PIECES, *spaced) if not accepts(constraint, encoder, one)] == []


def test_others_are_not(encoder: PromptEncoder, constraint: CopyConstraint) -> None:
    assert [one for one in OTHERS if accepts(constraint, encoder, one)] == []


def test_whatever_is_allowed_is_a_piece_of_the_article(encoder: PromptEncoder, constraint: CopyConstraint) -> None:
    chance = random.Random(0)
    allowed = constraint(encode(encoder))
    found = set()
    for _ in range(150):
        ids: tuple[int, ...] = ()
        while not ids or ids[-1] not in encoder.end_ids:
            choice = allowed(ids)
            ends = [one for one in choice if one in encoder.end_ids]
            assert bool(ids) >= bool(ends), "there is at least one token"
            ids += (chance.choice(ends) if ends and chance.random() < 0.5 else chance.choice(choice),)
        raw = encoder.decode_raw(ids)
        assert raw.strip()
        assert "\ufffd" not in raw
        assert raw in ARTICLE
        found.add(raw)
    assert len(found) > 30


@pytest.mark.parametrize("length", [1, 3, 6, 8, 12])
def test_answers_that_get_no_more_tokens_end_where_they_may(
    encoder: PromptEncoder, constraint: CopyConstraint, length: int
) -> None:
    article = encode(encoder, LONG)
    chance, allowed, whole = random.Random(0), CopyConstraint(encoder, length)(article), constraint(article)
    for _ in range(60):
        ids: tuple[int, ...] = ()
        while len(ids) < length:
            choice = [one for one in allowed(ids) if one not in encoder.end_ids]
            if not choice:
                break
            ids += (chance.choice(choice),)
        assert not ids or encoder.end_ids[0] in whole(ids)


def test_any_tokenization_of_a_piece_will_do(encoder: PromptEncoder, constraint: CopyConstraint) -> None:
    signs = [one for sign in "한빛전자" for one in encoder.text.encode(sign)]
    assert accepts(constraint, encoder, signs)
    assert accepts(constraint, encoder, encoder.text.encode("한빛") + encoder.text.encode("전자"))


def test_the_article_is_read_off_the_prompt(encoder: PromptEncoder, constraint: CopyConstraint) -> None:
    for text in (ARTICLE, "가", " 둘 \n\n", "Question:\n", "▁é😀"):
        assert constraint.text_of(encode(encoder, text)) == text
    long = encode(encoder, ARTICLE * 200)
    assert long.cut
    assert ARTICLE * 3 in constraint.text_of(long)
    assert (ARTICLE * 200).startswith(constraint.text_of(long))


def test_an_article_without_a_word_is_answered_with_nothing(encoder: PromptEncoder, constraint: CopyConstraint) -> None:
    assert accepts(constraint, encoder, [], article=" \n ")


def test_golden_answers_are_allowed(tiny_bases: dict[str, Path], korquad_path: Path) -> None:
    """All of KorQuAD's but those that begin within a word."""
    encoder = PromptEncoder(AutoTokenizer.from_pretrained(tiny_bases["gemma2"]), Gemma2Prompt(), 20_000)
    constraint = CopyConstraint(encoder, 64)
    refused = []
    paragraphs = [p for one in json.loads(korquad_path.read_text(encoding="utf-8"))["data"] for p in one["paragraphs"]]
    for paragraph in paragraphs[::40]:
        allowed = constraint(encode(encoder, paragraph["context"]))
        for question in paragraph["qas"]:
            gold = question["answers"][0]["text"]
            ids = (*encoder.text.encode(gold.strip()), encoder.end_ids[0])
            if not all(one in allowed(ids[:place]) for place, one in enumerate(ids)):
                refused.append(gold)
    assert not refused


def test_text_before_the_end_token_may_follow() -> None:
    class Bytes(TokenBytes):
        """A vocabulary of the 256 bytes."""

        @property
        def by_bytes(self) -> dict[bytes, list[int]]:
            return {bytes([byte]): [byte] for byte in range(256)}

    tokens = Bytes(PreTrainedTokenizerFast(tokenizer_object=Tokenizer(BPE())))
    spans = Spans("ab cd", tokens, (901, 902, 900), (900, 903), 9)
    assert spans.allowed(()) == sorted(b"a c")
    assert spans.allowed(tuple(b"a")) == [*b"b"]
    assert spans.allowed(tuple(b"ab")) == [*b" ", 900, 901, 903]
    assert spans.allowed((*b"ab", 901)) == [902]
    assert spans.allowed((*b"ab", 901, 902)) == [900]


def test_a_vocabulary_that_cannot_be_read_is_refused(encoder: PromptEncoder) -> None:
    constraint = CopyConstraint(encoder, 64)
    constraint._tokens.__dict__["by_id"] = {}
    with pytest.raises(KQAError, match=r"--model\.copy_answers true"):
        constraint(encode(encoder))

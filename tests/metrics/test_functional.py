"""The metric against a second implementation, the deck's figures and what hypothesis finds."""

import csv
import doctest
import importlib
import re
import string
import subprocess
import sys
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kqa_lightning.metrics.functional import char_f1, exact_match, normalize_answer

ROOT = Path(__file__).parents[2]

# id, three answers, F1 of the first and second, second and third, first and third
DECK = [
    ("TEST_0001", "중국과 일본", "중국과 일본", "중국과 일본", 1, 1, 1),
    ("TEST_0008", "25명", "25명", "1710명", 1, 0.25, 0.25),
    ("TEST_0020", "다섯 차례", "14일", "14일, 다섯 차례", 0, 0.6, 0.7272727273),
    ("TEST_0099", "공소시효", "선거사범의 공소시효", "선거 수사의 연속성", 0.6153846154, 0.4705882353, 0),
    (
        "TEST_0156",
        "미국 경제 침체도 그 책임을 중국에 전가하게 될 것",
        "코로나19로 인한 미국 경제 침체",
        "노골적인 보호무역주의와 양자주의, 중국에 대한 제재와 미·중 무역갈등은 더욱 심해질 것",
        0.3529411765,
        0.1960784314,
        0.2105263158,
    ),
]

SURPRISING = [
    (unicodedata.normalize("NFD", "한국은행"), "한국은행", 0.0, "decomposed Hangul has no character of it"),
    ("3%", "3", 1.0, "punctuation is deleted"),
    ("국민은행", "은행국민", 1.0, "the order of characters does not count"),
    ("“코로나19”", "코로나19", 10 / 12, "these quotes are not of the list"),
    ("‘코로나19’", "코로나19", 1.0, "these are"),
    ("금리\u200b", "금리", 0.8, "an invisible character is a character"),
    ("미·중", "미중", 0.8, "the middle dot is no ASCII punctuation"),
    ("ABC", "abc", 1.0, "case does not count"),
    ("３％", "3%", 0.0, "wide forms are other characters: no NFKC"),
    ("1 100원", "1,100원", 1.0, "spaces do not count"),
    ("", "", 0.0, "nothing shared is 0, also between nothing and nothing"),
    ("?!", "", 0.0, "punctuation alone is nothing"),
]


def reference_normalize(text: str) -> str:
    for sign in ["'", '"', "《", "》", "<", ">", "〈", "〉", "(", ")", "‘", "’"]:
        text = text.replace(sign, " ")
    text = text.lower()
    text = "".join(character for character in text if character not in set(string.punctuation))
    return re.sub(r"\s+", " ", text, flags=re.UNICODE).strip()


def reference_f1(prediction: str, gold: str) -> float:
    predicted = [character for word in reference_normalize(prediction).split() for character in word]
    wanted = [character for word in reference_normalize(gold).split() for character in word]
    same = sum((Counter(predicted) & Counter(wanted)).values())
    if same == 0:
        return 0.0
    precision, recall = same / len(predicted), same / len(wanted)
    return 2 * precision * recall / (precision + recall)


# Characters that the rules treat in different ways, close together, and any other.
answers = st.one_of(
    st.text("가나다 ABab12'\"《》<>〈〉()‘’“”.,%·\n\t\u3000\u200bΣΑİ", max_size=14), st.text(max_size=20)
)


@pytest.mark.parametrize(("_", "a", "b", "c", "ab", "bc", "ac"), DECK, ids=[row[0] for row in DECK])
def test_deck_rows_to_ten_digits(_: str, a: str, b: str, c: str, ab: float, bc: float, ac: float) -> None:
    assert [round(char_f1(*pair), 10) for pair in ((a, b), (b, c), (a, c))] == [ab, bc, ac]


def test_deck_table_is_the_one_written_here(shared_dir: Path) -> None:
    with (shared_dir / "data" / "deck_ensemble_example.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    found = [
        (
            row["id"],
            row["model_a"],
            row["model_b"],
            row["model_c"],
            *(float(row[f"f1_{p}"]) for p in ("ab", "bc", "ac")),
        )
        for row in rows
    ]
    assert found == DECK


@pytest.mark.parametrize(("prediction", "gold", "expected", "why"), SURPRISING, ids=[row[3] for row in SURPRISING])
def test_what_surprises(prediction: str, gold: str, expected: float, why: str) -> None:
    assert char_f1(prediction, gold) == pytest.approx(expected, abs=1e-15), why


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("《삼성전자》", "삼성전자"),
        ("'국민'은행", "국민 은행"),
        ("국민-은행", "국민은행"),
        ("  a\u3000B\n\tc ", "a b c"),
        (string.punctuation, ""),
        # A quote becomes a space before lower-casing: the sigma before it ends its word.
        ("ΑΣ'Α", "ας α"),
        ("ΑΣ.Α", "ασα"),
    ],
)
def test_normalize_answer(text: str, normalized: str) -> None:
    assert normalize_answer(text) == normalized == reference_normalize(text)


def test_exact_match_compares_with_spaces() -> None:
    assert exact_match("국민 은행", "국민은행") == 0.0
    assert exact_match("‘국민’  은행.", "국민 은행") == 1.0
    assert exact_match("3%", "3") == 1.0


def test_best_gold_answer_counts() -> None:
    assert char_f1("25명", ["1710명", "25 명", "없음"]) == 1.0
    assert exact_match("25 명", ["1710명", "25 명"]) == 1.0
    assert char_f1("가", ("나", "가다")) == pytest.approx(2 / 3)


def test_missing_prediction_scores_nothing() -> None:
    assert char_f1(None, "가") == exact_match(None, "가") == 0.0
    assert char_f1(None, "") == exact_match(None, "") == 0.0  # unlike an empty answer to an empty gold
    assert exact_match("", "") == 1.0


@pytest.mark.parametrize("metric", [char_f1, exact_match])
@pytest.mark.parametrize("prediction", ["가", None])
def test_no_gold_answer_is_an_error(metric, prediction) -> None:
    with pytest.raises(ValueError, match="no gold answer"):
        metric(prediction, [])


@given(answers, answers)
def test_equals_the_reference(prediction: str, gold: str) -> None:
    assert normalize_answer(prediction) == reference_normalize(prediction)
    assert char_f1(prediction, gold) == pytest.approx(reference_f1(prediction, gold), abs=1e-12)
    assert exact_match(prediction, gold) == float(reference_normalize(prediction) == reference_normalize(gold))


@given(answers, answers)
def test_symmetric_and_from_0_to_1(first: str, second: str) -> None:
    assert char_f1(first, second) == char_f1(second, first)
    assert 0.0 <= char_f1(first, second) <= 1.0
    assert exact_match(first, second) == exact_match(second, first)
    if exact_match(first, second) and normalize_answer(first):
        assert char_f1(first, second) == 1.0


@given(answers)
def test_itself_is_1_unless_nothing_is_left(text: str) -> None:
    assert char_f1(text, text) == (1.0 if normalize_answer(text) else 0.0)
    assert exact_match(text, text) == 1.0


@given(answers, st.lists(answers, min_size=1, max_size=4))
def test_several_golds_are_the_best_of_each(prediction: str, golds: list[str]) -> None:
    assert char_f1(prediction, golds) == max(char_f1(prediction, gold) for gold in golds)
    assert exact_match(prediction, golds) == max(exact_match(prediction, gold) for gold in golds)


@pytest.mark.parametrize("module", ["functional", "char_f1"])
def test_examples_in_the_docstrings(module: str) -> None:
    results = doctest.testmod(importlib.import_module(f"kqa_lightning.metrics.{module}"))
    assert results.attempted >= 5 and not results.failed


@pytest.mark.parametrize("module", ["kqa_lightning.metrics.functional", "kqa_lightning.metrics"])
def test_imports_no_torch(module: str) -> None:
    check = f"import sys, {module}; assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=True)

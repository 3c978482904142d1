"""Scores of models, rules and the oracle, worked by hand, and the table they are printed in."""

import doctest
import importlib
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from kqa_lightning.ensemble import EnsembleScores, Score, combine, evaluate, format_scores, make_strategies
from kqa_lightning.errors import KQAError

ROOT = Path(__file__).parents[2]
PREDICTIONS = {
    "gemma2": {"1": "가나", "2": "다섯 차례", "3": ""},
    "nous": {"1": "'가나'", "2": "14일", "3": "마바"},
    "eeve": {"1": "가", "2": "14일, 다섯 차례", "3": "바마"},
}
GOLD = {"1": ["가나"], "2": ["14일", "열"], "3": ["마바"], "4": ["not asked"]}


def test_worked_by_hand() -> None:
    scores = evaluate(PREDICTIONS, GOLD, priority="nous")
    assert scores.questions == 3
    assert list(scores.models) == ["gemma2", "nous", "eeve"]
    assert scores.models["gemma2"] == Score(pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert scores.models["nous"] == Score(1.0, 1.0)
    assert scores.models["eeve"] == Score(pytest.approx((2 / 3 + 3 / 5 + 1) / 3), 0.0)
    # 1: two of three; 2: all differ, nous is trusted; 3: nous and eeve tie, gemma2 abstains.
    assert scores.rules["vote_priority"] == Score(1.0, 1.0)
    # 2: the answer that holds both others.
    assert scores.rules["vote_f1_sum"] == Score(pytest.approx(2.6 / 3), pytest.approx(2 / 3))
    assert scores.rules["f1_sum"] == scores.rules["vote_f1_sum"]
    assert scores.oracle == Score(1.0, 1.0)


def test_priority_is_the_first_unless_named() -> None:
    strategies = make_strategies(["gemma2", "nous", "eeve"])
    assert combine(PREDICTIONS, strategies["vote_priority"]) == {"1": "가나", "2": "다섯 차례", "3": "마바"}
    with pytest.raises(KQAError, match="--priority solar: no such model; there are gemma2, nous, eeve"):
        make_strategies(["gemma2", "nous", "eeve"], "solar")


def test_written_answers_score_as_reported() -> None:
    scores = evaluate(PREDICTIONS, GOLD, priority="eeve")
    for name, strategy in make_strategies(list(PREDICTIONS), "eeve").items():
        written = combine(PREDICTIONS, strategy)
        assert list(written) == ["1", "2", "3"]
        assert evaluate({"written": written}, GOLD).models["written"] == scores.rules[name]


def test_table_is_aligned_with_korean_names() -> None:
    scores = EnsembleScores(
        models={"젬마": Score(0.5, 1 / 3), "a": Score(1.0, 1.0)},
        rules={"f1_sum": Score(0.90252, 0.0)},
        oracle=Score(1.0, 1.0),
        questions=3,
    )
    assert format_scores(scores, written="f1_sum").splitlines() == [
        "3 questions                  char F1  exact match",
        "model   젬마                   50.00        33.33",
        "model   a                     100.00       100.00",
        "rule    f1_sum                 90.25         0.00  <- written",
        "oracle  best of the answers   100.00       100.00",
    ]


def test_table_is_aligned_whatever_the_names() -> None:
    names = [
        "gemma2",
        "이브",
        "ｗｉｄｅ",
        unicodedata.normalize("NFD", "é"),
        "a name longer than any of the others",
    ]
    scores = EnsembleScores({name: Score(0.5, 0.5) for name in names}, {}, Score(1.0, 1.0), 1)
    for name, line in zip(names, format_scores(scores).splitlines()[1:-1], strict=True):
        columns = sum({"W": 2, "F": 2}.get(unicodedata.east_asian_width(c), 1) for c in name if c != "\u0301")
        assert line[8 + len(name) :] == " " * (36 - columns) + "    50.00        50.00"


@pytest.mark.parametrize("module", ["voting", "consensus", "pairwise", "tables"])
def test_examples_in_the_docstrings(module: str) -> None:
    results = doctest.testmod(importlib.import_module(f"kqa_lightning.ensemble.{module}"))
    assert results.attempted and not results.failed


def test_imports_no_torch() -> None:
    check = "import sys, kqa_lightning.ensemble; assert not {'torch', 'datasets', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=True)

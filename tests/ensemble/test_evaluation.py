"""Scores of models, rules and the oracle, worked by hand."""

import doctest
import importlib
import pkgutil
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pools import random_pool

import kqa_lightning.ensemble
from kqa_lightning.ensemble import Score, combine, evaluate, make_strategies, pairwise
from kqa_lightning.ensemble.agreement import measure_agreement
from kqa_lightning.ensemble.evaluation import mark, mark_answers, mark_best
from kqa_lightning.ensemble.hypotheses import Hypotheses
from kqa_lightning.ensemble.report import report_data
from kqa_lightning.ensemble.weighted import Weighted
from kqa_lightning.errors import KQAError
from kqa_lightning.metrics.functional import char_f1, exact_match, normalize_answer

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


def test_marks_equal_the_pure_functions() -> None:
    chance = random.Random(3)
    texts = ["".join(chance.choices("가나다 '.", k=chance.randint(0, 5))) for _ in range(600)]
    gold = [chance.choices(texts, k=chance.randint(1, 4)) for _ in range(200)]
    systems = [chance.choices(texts, k=200) for _ in range(3)]
    for answers, marks in zip(systems, mark_answers(systems, gold), strict=True):
        assert marks.char_f1.tolist() == [char_f1(one, golds) for one, golds in zip(answers, gold, strict=True)]
        assert marks.exact_match.tolist() == [exact_match(one, golds) for one, golds in zip(answers, gold, strict=True)]


def test_an_answer_is_normalised_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is asked of a pool: choice, agreement and every score."""
    hypotheses = Hypotheses(random_pool(50, models=3, most=4, seed=22))
    pool = hypotheses.pool
    gold, predictions = {name: ["가나"] for name in pool.questions}, pool.first_answers()
    separately = mark_answers([list(one.values()) for one in predictions.values()], [["가나"]] * 50)
    asked: list[str] = []
    monkeypatch.setattr(pairwise, "normalize_answer", lambda answer: asked.append(answer) or normalize_answer(answer))
    marks = mark(predictions, {"first": predictions["m0"]}, gold, hypotheses)
    measure_agreement(predictions, hypotheses.table)
    Weighted().choose(hypotheses)
    report_data(predictions, {}, {}, gold, compared=hypotheses.table)
    assert asked in ([], ["가나"])  # not even once more
    for one, other in zip(marks.models.values(), separately, strict=True):
        np.testing.assert_array_equal(one.char_f1, other.char_f1)
        np.testing.assert_array_equal(one.exact_match, other.exact_match)


def test_questions_without_gold_are_no_zeros() -> None:
    with pytest.raises(ValueError, match="no gold answer to compare with"):
        mark_answers([["가", "나"]], [["가"], []])


@pytest.mark.parametrize(
    "module", ["agreement", "consensus", "pairwise", "question_words", "tables", "text_tables", "voting"]
)
def test_examples_in_the_docstrings(module: str) -> None:
    results = doctest.testmod(importlib.import_module(f"kqa_lightning.ensemble.{module}"))
    assert results.attempted and not results.failed


def test_no_module_imports_torch() -> None:
    names = [
        module.name for module in pkgutil.walk_packages(kqa_lightning.ensemble.__path__, "kqa_lightning.ensemble.")
    ]
    assert "kqa_lightning.ensemble.report" in names and "kqa_lightning.ensemble.page" in names
    unwanted = {"torch", "datasets", "matplotlib", "sklearn"}
    check = f"import sys, {', '.join(names)}; assert not {unwanted} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=True)


def test_whoever_only_combines_waits_for_no_numpy() -> None:
    check = "import sys; from kqa_lightning.ensemble import combine, read_gold; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=True)


def test_every_public_name_is_there() -> None:
    assert all(getattr(kqa_lightning.ensemble, name) for name in kqa_lightning.ensemble.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        kqa_lightning.ensemble.nothing  # noqa: B018


def test_the_best_of_all_candidates_equals_a_loop() -> None:
    pool = random_pool(200, models=3, most=4, seed=21)
    chance = random.Random(2)
    gold = {name: ["".join(chance.choices("가나다 ", k=3)) for _ in range(2)] for name in pool.questions}
    best = mark_best(Hypotheses(pool), gold)
    for place, name in enumerate(pool.questions):
        its = [answer for answer, number in zip(pool.answers, pool.question, strict=True) if number == place]
        assert best.char_f1[place] == max(char_f1(answer, gold[name]) for answer in its)
        assert best.exact_match[place] == max(exact_match(answer, gold[name]) for answer in its)
    predictions = pool.first_answers()
    marks = mark(predictions, {}, gold, Hypotheses(pool))
    assert marks.scores.candidate_oracle == best.mean
    assert marks.oracle.mean.char_f1 < best.mean.char_f1
    one_each = random_pool(20, models=3, most=1, seed=3)
    assert mark(one_each.first_answers(), {}, gold, Hypotheses(one_each)).candidate_oracle is None

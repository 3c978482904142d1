"""Distinct answers, their agreement and the choice among them, against loops."""

import math

import numpy as np
import pytest
from pools import pool_of, random_pool, single

from kqa_lightning.ensemble import hypotheses as module
from kqa_lightning.ensemble.candidates import CandidatePool
from kqa_lightning.ensemble.hypotheses import Hypotheses
from kqa_lightning.metrics.functional import char_f1, normalize_answer


def of_question(pool: CandidatePool, question: int) -> list[int]:
    return [place for place in range(len(pool.answers)) if pool.question[place] == question]


def test_equal_candidates_are_one_in_the_order_of_mention() -> None:
    pool = random_pool(300, models=3, most=4, seed=1)
    hypotheses = Hypotheses(pool)
    expected = []
    for question in range(len(pool.questions)):
        seen: dict[str, int] = {}
        for place in of_question(pool, question):
            seen.setdefault(normalize_answer(pool.answers[place]), place)
        expected += seen.values()
    assert hypotheses.first.tolist() == expected
    for place, answer in enumerate(pool.answers):
        first = hypotheses.first[hypotheses.of[place]]
        assert normalize_answer(pool.answers[first]) == normalize_answer(answer)
        assert pool.question[first] == pool.question[place]
    assert hypotheses.is_empty.tolist() == [not normalize_answer(pool.answers[place]) for place in hypotheses.first]
    assert [hypotheses.question[start] for start in hypotheses.starts] == list(range(300))


def test_masses_and_agreement_are_those_of_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = random_pool(200, models=3, most=4, seed=2)
    hypotheses = Hypotheses(pool)
    weights = np.random.default_rng(0).random(len(pool.answers))
    masses = hypotheses.masses(weights)
    agreement = hypotheses.agreement(masses)
    for place, first in enumerate(hypotheses.first):
        ours = of_question(pool, pool.question[first])
        text = normalize_answer(pool.answers[first])
        for model in range(3):
            its = [one for one in ours if pool.model[one] == model]
            same = [weights[one] for one in its if normalize_answer(pool.answers[one]) == text]
            assert masses[place, model] == pytest.approx(math.fsum(same), abs=1e-15)
            f1 = [weights[one] * char_f1(pool.answers[first], pool.answers[one]) for one in its]
            assert agreement[place, model] == pytest.approx(math.fsum(f1), abs=1e-14)
    monkeypatch.setattr(module, "_AT_ONCE", 1)  # one question a block
    np.testing.assert_allclose(hypotheses.agreement(masses), agreement, rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    ("answers", "scores", "weights", "chosen"),
    [
        (["가", "나", "다"], [1, 3, 2], [0, 0, 0], 1),
        (["가", "나", "다"], [1, 2, 2], [5, 0, 1], 2),  # a tie: more weight
        (["가", "나", "다"], [1, 2, 2], [5, 1, 1], 1),  # and again: the first
        (["가", "나", "다"], [1, 1 + 1e-15, 1], [0, 0, 1], 2),  # rounding is no difference
        (["", "나", "다"], [9, 1, 2], [9, 0, 0], 2),  # an abstention is not written
        (["가", "?", "-"], [-9, 1, 2], [0, 5, 5], 0),
    ],
)
def test_pick(answers: list[str], scores: list[float], weights: list[float], chosen: int) -> None:
    pool = single({name: [answer, "가"] for name, answer in zip("abc", answers, strict=True)})
    hypotheses = Hypotheses(pool)
    rows = [int(pool.model[place]) for place in hypotheses.first[: len(hypotheses) - 1]]
    picked = hypotheses.pick(
        np.array([*(float(scores[row]) for row in rows), 0.0]), np.array([*(float(weights[row]) for row in rows), 0.0])
    )
    assert picked.tolist() == [chosen, 3]


def test_where_all_abstain_the_first_is_written() -> None:
    hypotheses = Hypotheses(single({"a": ["?"], "b": [""]}))
    assert len(hypotheses) == 1
    assert hypotheses.pick(np.array([0.0]), np.array([0.0])).tolist() == [0]


def test_the_surface_form_is_that_of_the_first_candidate() -> None:
    pool = pool_of({"a": [[("나", -1.0), ("'25명'", -9.0)]], "b": [[("25명", -0.1)]]})
    hypotheses = Hypotheses(pool)
    assert pool.answers[hypotheses.pick(np.array([0.0, 1.0]), np.array([0.0, 0.0]))[0]] == "'25명'"

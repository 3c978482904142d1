"""Weights and temperature: the best of the grid, found again by trying every setting as a strategy."""

import math
import random

import numpy as np
import pytest
from pools import pool_of, random_pool, single

from kqa_lightning.ensemble.candidates import CandidatePool
from kqa_lightning.ensemble.fitting import TEMPERATURES, fit_weighted, model_f1
from kqa_lightning.ensemble.hypotheses import Hypotheses
from kqa_lightning.ensemble.pairwise import Floats
from kqa_lightning.ensemble.weighted import Weighted
from kqa_lightning.metrics.functional import char_f1


def marks_of(hypotheses: Hypotheses, gold: list[str]) -> Floats:
    pool = hypotheses.pool
    return np.array([char_f1(pool.answers[place], gold[pool.question[place]]) for place in hypotheses.first])


def score(pool: CandidatePool, strategy: Weighted, gold: list[str]) -> float:
    """Mean F1 of what a strategy writes."""
    chosen = strategy.choose(Hypotheses(pool))
    return math.fsum(char_f1(pool.answers[place], gold[pool.question[place]]) for place in chosen) / len(gold)


@pytest.mark.parametrize("given", [None, {"m1": 3.0}], ids=str)
def test_the_best_setting_of_all(given: dict[str, float] | None) -> None:
    pool = random_pool(300, models=3, most=4, seed=11)
    chance = random.Random(3)
    gold = ["".join(chance.choices("가나다", k=3)) for _ in range(300)]
    hypotheses = Hypotheses(pool)
    marks = marks_of(hypotheses, gold)
    fit = fit_weighted(hypotheses, marks, given)
    weights = model_f1(hypotheses, marks) if given is None else given
    settings = [Weighted(weights, heat, shared) for shared in (True, False) for heat in TEMPERATURES]
    scores = [score(pool, one, gold) for one in settings]
    assert fit.char_f1 == pytest.approx(max(scores), abs=1e-12) == pytest.approx(score(pool, fit.strategy, gold))
    assert fit.strategy == next(one for one, own in zip(settings, scores, strict=True) if own > max(scores) - 1e-12)


def test_a_model_weighs_what_its_own_answers_score() -> None:
    pool = pool_of({"a": [[("가", -1.0), ("나", -0.1)], [("다", -1.0)]], "b": [[("나", -1.0)], [("라마", -1.0)]]})
    hypotheses = Hypotheses(pool)
    fit = fit_weighted(hypotheses, marks_of(hypotheses, ["나", "라"]))
    assert fit.models == fit.strategy.weights == {"a": 0.0, "b": pytest.approx((1 + 2 / 3) / 2)}


def test_confidence_is_used_where_it_tells_right_from_wrong() -> None:
    chance = random.Random(8)
    gold = [f"{number}원" for number in range(1000, 1300)]
    models: dict[str, list] = {"a": [], "b": []}
    for right in gold:
        sure = chance.random() < 0.5
        for name, knows in (("a", sure), ("b", not sure)):
            models[name].append([(right, -0.2)] if knows else [("모름", -2.0)])
    hypotheses = Hypotheses(pool_of(models))
    fit = fit_weighted(hypotheses, marks_of(hypotheses, gold))
    assert not fit.strategy.shared and fit.char_f1 == 1.0 and max(fit.models.values()) < 0.6


def test_without_scores_there_is_nothing_to_fit() -> None:
    hypotheses = Hypotheses(single({"a": ["가", "나"], "b": ["다", "나"]}))
    strategy = fit_weighted(hypotheses, marks_of(hypotheses, ["가", "나"])).strategy
    assert (strategy.temperature, strategy.shared) == (1.0, True)


def test_models_that_get_nothing_right_weigh_the_same() -> None:
    hypotheses = Hypotheses(single({"a": ["가"], "b": ["나"]}))
    assert fit_weighted(hypotheses, marks_of(hypotheses, ["다"])).strategy.weights == {}

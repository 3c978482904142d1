"""Expected F1 against brute force, and against the F1 sum where the two are the same."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from pools import pool_of, random_pool, single

from kqa_lightning.ensemble.candidates import CandidatePool
from kqa_lightning.ensemble.consensus import F1Sum
from kqa_lightning.ensemble.hypotheses import Hypotheses
from kqa_lightning.ensemble.weighted import Weighted, probabilities
from kqa_lightning.errors import KQAError
from kqa_lightning.metrics.functional import char_f1, normalize_answer


def brute_force_probabilities(scores: list[float], temperature: float, shared: bool) -> list[float]:
    """Of one model's candidates to one question."""
    if any(map(math.isnan, scores)):
        return [1 / len(scores)] * len(scores)
    powers = [math.exp(score / temperature) for score in scores]
    return [power / math.fsum(powers) for power in powers] if shared else powers


def brute_force(pool: CandidatePool, question: int, weights: Mapping[str, float], heat: float, shared: bool) -> int:
    """Every candidate against every candidate, none merged: the place of the one to write."""
    places = [place for place in range(len(pool.answers)) if pool.question[place] == question]
    masses = {}
    for number, name in enumerate(pool.models):
        its = [place for place in places if pool.model[place] == number]
        chances = brute_force_probabilities([pool.logprob_sum[place] for place in its], heat, shared)
        masses |= {place: weights.get(name, 1.0) * chance for place, chance in zip(its, chances, strict=True)}
    texts = {place: normalize_answer(pool.answers[place]) for place in places}
    # Only ratios matter: the likeliest answer is the unit, so that rounding below forgives none but rounding.
    unit = max((mass for place, mass in masses.items() if texts[place]), default=0.0) or 1.0
    masses = {place: mass / unit for place, mass in masses.items()}

    def rank(place: int) -> tuple[bool, float, float, int]:
        expected = math.fsum(mass * char_f1(texts[place], texts[other]) for other, mass in masses.items())
        own = math.fsum(mass for other, mass in masses.items() if texts[other] == texts[place])
        return bool(texts[place]), round(expected, 9), round(own, 9), -place

    return max(places, key=rank)


@pytest.mark.parametrize(("models", "most", "missing"), [(2, 3, 0.0), (3, 4, 0.2), (4, 1, 0.5), (7, 2, 0.0)], ids=str)
def test_equals_brute_force(models: int, most: int, missing: float) -> None:
    pool = random_pool(700, models, most, seed=models, missing=missing)
    hypotheses = Hypotheses(pool)
    for weights, heat, shared in (
        ({}, 1.0, True),
        ({"m0": 0.0, "m1": 2.5}, 0.5, True),
        ({"m0": 0.3}, 4.0, False),
    ):
        chosen = Weighted(weights, heat, shared).choose(hypotheses).tolist()
        assert chosen == [brute_force(pool, question, weights, heat, shared) for question in range(700)]


@pytest.mark.parametrize(
    ("weights", "heat", "unlikely"),
    [({}, 0.125, 5.0), ({}, 1.0, 60.0), ({"m0": 1e-13, "m1": 3e-13, "m2": 1e-13}, 1.0, 0.0)],
    ids=str,
)
def test_unlikely_answers_and_small_weights_do_not_all_tie(
    weights: dict[str, float], heat: float, unlikely: float
) -> None:
    pool = random_pool(500, models=3, most=4, seed=17)
    pool = replace(pool, logprob_sum=pool.logprob_sum - unlikely)
    chosen = Weighted(weights, heat, shared=False).choose(Hypotheses(pool)).tolist()
    assert chosen == [brute_force(pool, question, weights, heat, False) for question in range(500)]


@pytest.mark.parametrize("unit", [1e-300, 1e-13, 1e307])
def test_only_the_ratios_of_the_weights_matter(unit: float) -> None:
    hypotheses = Hypotheses(random_pool(500, models=3, most=4, seed=18))
    with np.errstate(all="raise", under="ignore"):
        chosen = Weighted({"m0": unit, "m1": 3 * unit, "m2": 0}).choose(hypotheses)
    np.testing.assert_array_equal(chosen, Weighted({"m0": 1, "m1": 3, "m2": 0}).choose(hypotheses))


def test_answers_too_unlikely_for_a_float_are_still_told_apart() -> None:
    pool = pool_of({"a": [[("가", -9001.0)]], "b": [[("나", -9000.0)]], "c": [[("", -0.1)]]})
    assert pool.answers[Weighted(shared=False).choose(Hypotheses(pool))[0]] == "나"


@pytest.mark.parametrize("models", [2, 3, 4, 5, 6, 7])
def test_equal_weights_of_single_answers_are_the_f1_sum(models: int) -> None:
    pool = random_pool(5000, models, most=1, seed=40 + models)
    chosen = Weighted().choose(Hypotheses(pool))
    for question in range(5000):
        answers = pool.answers[question * models : (question + 1) * models]
        assert chosen[question] - question * models == F1Sum().choose(answers), answers


def test_three_equal_models_never_contradict_a_majority() -> None:
    pool = random_pool(10_000, models=3, most=1, seed=5)
    majorities = 0
    for question, place in enumerate(Weighted().choose(Hypotheses(pool))):
        texts = [normalize_answer(answer) for answer in pool.answers[3 * question : 3 * question + 3]]
        for text in filter(None, texts):
            if texts.count(text) >= 2:
                majorities += 1
                assert normalize_answer(pool.answers[place]) == text
    assert majorities > 1000


@pytest.mark.parametrize(
    ("weights", "chosen"),
    [({}, "가나"), ({"c": 2.5}, "다"), ({"c": 2.0}, "가나"), ({"a": 0, "b": 0}, "다")],
)
def test_weights(weights: dict[str, float], chosen: str) -> None:
    pool = single({"a": ["가나"], "b": ["가나"], "c": ["다"]})
    assert pool.answers[Weighted(weights).choose(Hypotheses(pool))[0]] == chosen


def test_duplicate_candidates_merge_their_mass() -> None:
    pool = pool_of({"a": [[("가", math.log(0.4)), ("나", math.log(0.3)), ("'나'", math.log(0.3))]]})
    assert pool.answers[Weighted().choose(Hypotheses(pool))[0]] == "나"


def test_an_unsure_model_counts_less_where_candidates_keep_their_own_probability() -> None:
    pool = pool_of({"a": [[("가", -3.0)]], "b": [[("나", -0.1)]]})
    assert pool.answers[Weighted().choose(Hypotheses(pool))[0]] == "가"
    assert pool.answers[Weighted(shared=False).choose(Hypotheses(pool))[0]] == "나"
    assert pool.answers[Weighted({"a": 20}, shared=False).choose(Hypotheses(pool))[0]] == "가"


def test_probabilities_of_very_unlikely_candidates() -> None:
    pool = pool_of({"a": [[("가", -9000.0), ("나", -9001.0)]]})
    np.testing.assert_allclose(probabilities(pool), [1 / (1 + math.exp(-1)), 1 / (1 + math.e)])
    np.testing.assert_allclose(probabilities(pool, temperature=2.0)[1], 1 / (1 + math.exp(0.5)))
    assert probabilities(pool, shared=False).tolist() == [0, 0]
    assert Weighted(shared=False).choose(Hypotheses(pool)).tolist() == [0]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"solar": 2}, "--weights solar=2: no such model; there are a, b"),
        ({"a": -1}, "--weights a=-1: a weight is a number, 0 or more"),
        ({"a": math.nan}, "--weights a=nan: a weight is a number"),
        ({"a": math.inf}, "--weights a=inf: a weight is a number"),
        ({"a": 0, "b": 0}, "--weights: every model weighs 0"),
    ],
)
def test_weights_refused(weights: dict[str, float], message: str) -> None:
    with pytest.raises(KQAError, match=message):
        Weighted(weights).choose(Hypotheses(single({"a": ["가"], "b": ["나"]})))

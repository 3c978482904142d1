"""The bootstrap over articles against a plain loop, and against samples that are really drawn anew."""

import math
from dataclasses import replace

import numpy as np
import pytest

from kqa_lightning.ensemble import bootstrap
from kqa_lightning.ensemble.bootstrap import compare, resample_means
from kqa_lightning.ensemble.evaluation import EnsembleMarks, Marks

Floats = np.ndarray


def make_marks(models: dict[str, list[float]], rules: dict[str, list[float]] | None = None) -> EnsembleMarks:
    def as_marks(values: list[float]) -> Marks:
        return Marks(np.array(values), np.array(values) == 1)

    best = [max(values) for values in zip(*models.values(), strict=True)]
    made = [{name: as_marks(values) for name, values in part.items()} for part in (models, rules or {})]
    return EnsembleMarks(*made, as_marks(best))


def grouped_scores(seed: int, articles: int) -> tuple[Floats, Floats]:
    """Scores of one system, (1, questions), that differ by article, and the articles, of one to six questions."""
    generator = np.random.default_rng(seed)
    numbers = np.repeat(np.arange(articles), generator.integers(1, 7, articles))
    own = generator.normal(0.6, 0.2, articles)[numbers]
    return np.clip(own + generator.normal(0, 0.1, len(numbers)), 0, 1)[None], numbers


def test_equals_a_loop_over_the_same_draws() -> None:
    values, articles = grouped_scores(0, 12)
    values = np.concatenate([values, values[:, ::-1] ** 2])
    drawn = resample_means(values, articles, resamples=50, seed=7)
    draws = np.random.default_rng(7).integers(0, 12, size=(50, 12))
    for resample, chosen in enumerate(draws):
        for system, scores in enumerate(values):
            collected = [score for article in chosen for score in scores[articles == article]]
            assert drawn[system, resample] == pytest.approx(sum(collected) / len(collected), abs=1e-12)


def test_steps_change_nothing_but_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    values, articles = grouped_scores(0, 12)
    whole = resample_means(values, articles, resamples=50)
    for at_once in (1, 30, 100):
        monkeypatch.setattr(bootstrap, "_AT_ONCE", at_once)
        np.testing.assert_allclose(resample_means(values, articles, resamples=50), whole, rtol=1e-12)


def test_the_spread_is_that_of_new_samples() -> None:
    means = [float(grouped_scores(seed, 200)[0].mean()) for seed in range(1000, 1400)]
    spreads = [resample_means(*grouped_scores(seed, 200), resamples=400).std() for seed in range(20)]
    assert np.mean(spreads) == pytest.approx(np.std(means), rel=0.1)
    # Drawing single questions would believe in too much.
    values, articles = grouped_scores(0, 200)
    alone = resample_means(values, np.arange(len(articles)), resamples=400).std()
    assert alone < 0.8 * resample_means(values, articles, resamples=400).std()


def test_intervals_are_those_between_the_outer_fortieths() -> None:
    values, articles = grouped_scores(2, 40)
    marks = make_marks({"a": values[0].tolist(), "b": (values[0] ** 2).tolist()}, {"rule": values[0][::-1].tolist()})
    comparison = compare(marks, articles, resamples=1000, seed=5)
    systems = np.stack([values[0], values[0] ** 2, values[0][::-1]])
    drawn = resample_means(systems, articles, resamples=1000, seed=5)
    for means, found in zip(
        drawn, (comparison.models["a"], comparison.models["b"], comparison.rules["rule"]), strict=True
    ):
        for sample, interval in ((means, found.interval), (means - drawn[0], found.difference_interval)):
            assert [interval.low, interval.high] == pytest.approx(np.percentile(sample, [2.5, 97.5]), abs=1e-12)


def test_the_truth_lies_in_the_interval_nineteen_times_in_twenty() -> None:
    truth = float(grouped_scores(9, 50_000)[0].mean())
    held = 0
    for seed in range(400):
        values, articles = grouped_scores(20_000 + seed, 60)
        interval = compare(make_marks({"a": values[0].tolist()}), articles, resamples=400).models["a"].interval
        held += interval.low <= truth <= interval.high
    assert 0.91 <= held / 400 <= 0.98  # 0.95, less what percentiles lose on few articles


def test_differences_are_paired() -> None:
    generator = np.random.default_rng(1)
    best = generator.random(300)
    marks = make_marks(
        {"a": (best - 0.2).tolist(), "b": best.tolist()},
        {"up": (best + 0.01).tolist(), "down": (best - 0.01).tolist()},
    )
    comparison = compare(marks, np.arange(300) // 3, resamples=500)
    assert (comparison.best, comparison.articles, comparison.resamples) == ("b", 100, 500)
    for name, difference in (("up", 0.01), ("down", -0.01)):
        found = comparison.rules[name]
        assert found.difference == pytest.approx(difference)
        # Far narrower than the interval of the mean itself, which holds both rules.
        assert found.difference_interval.low == pytest.approx(difference)
        assert found.difference_interval.high == pytest.approx(difference)
        assert found.interval.low < best.mean() < found.interval.high
    assert comparison.models["b"].difference == 0
    assert comparison.oracle.difference == pytest.approx(0)


def test_the_same_seed_gives_the_same_intervals() -> None:
    values, articles = grouped_scores(0, 30)
    marks = make_marks({"a": values[0].tolist(), "b": values[0][::-1].tolist()})
    assert compare(marks, articles) == compare(marks, articles)
    assert compare(marks, articles) != compare(marks, articles, seed=1)


def test_without_articles_every_question_is_its_own() -> None:
    values, _ = grouped_scores(0, 30)
    marks = make_marks({"a": values[0].tolist(), "b": values[0].tolist()})
    assert compare(marks) == compare(marks, np.arange(values.shape[1]))
    assert compare(marks).best == "a"  # the first of those that tie


def test_one_article_says_nothing_about_another() -> None:
    comparison = compare(make_marks({"a": [0.0, 1.0], "b": [0.0, 0.5]}), [0, 0])
    assert math.isnan(comparison.models["a"].interval.low) and math.isnan(comparison.models["b"].interval.high)
    assert comparison.models["b"].difference == -0.25


def test_the_oracle_over_all_candidates_is_one_more_system() -> None:
    marks = make_marks({"a": [0.2, 0.4, 1.0], "b": [0.5, 0.1, 0.0]}, {"rule": [0.2, 0.1, 1.0]})
    more = replace(marks, candidate_oracle=Marks(np.array([0.9, 0.4, 1.0]), np.array([0.0, 0.0, 1.0])))
    plain, compared = compare(marks), compare(more)
    assert plain.candidate_oracle is None and compared.candidate_oracle is not None
    assert replace(compared, candidate_oracle=None) == plain  # the same draws for the others
    assert compared.candidate_oracle.difference == pytest.approx((0.9 + 0.4 + 1.0 - 1.6) / 3)

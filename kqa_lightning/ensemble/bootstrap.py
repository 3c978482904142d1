"""Whether a gain is real: intervals of the mean F1, by drawing the articles anew.

The questions on one article are right or wrong together, so an article with all its questions is what is drawn
(the cluster bootstrap; Davison and Hinkley 1997, "Bootstrap Methods and their Application", section 3.8; paired
differences after Koehn 2004, "Statistical Significance Tests for Machine Translation Evaluation"). The
intervals are those between percentiles.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kqa_lightning.ensemble.evaluation import EnsembleMarks
from kqa_lightning.ensemble.pairwise import Floats

RESAMPLES = 4000
LEVEL = 0.95
_AT_ONCE = 8_000_000  # articles drawn in one step: some 100 MB


@dataclass(frozen=True)
class Interval:
    """From where to where a mean lies with probability `LEVEL`; NaN where there is only one article to draw."""

    low: float
    high: float


@dataclass(frozen=True)
class Uncertainty:
    """How far the mean character F1 of a model, a rule or the oracle can be trusted.

    Attributes:
        interval: of the mean.
        difference: the mean less that of the best single model.
        difference_interval: of that difference, question by question on the same articles.
    """

    interval: Interval
    difference: float
    difference_interval: Interval


@dataclass(frozen=True)
class Comparison:
    """Every model and every rule against the best single model.

    Attributes:
        best: the model with the highest character F1, the first of them at a tie.
        models: by name.
        rules: by name.
        oracle: of the best of the models' answers.
        articles: how many there were to draw.
        resamples: how often they were drawn.
        candidate_oracle: of the best of all candidates, where it is known.
    """

    best: str
    models: dict[str, Uncertainty]
    rules: dict[str, Uncertainty]
    oracle: Uncertainty
    articles: int
    resamples: int
    candidate_oracle: Uncertainty | None = None


def compare(
    marks: EnsembleMarks, articles: Sequence[int] | None = None, resamples: int = RESAMPLES, seed: int = 0
) -> Comparison:
    """Interval of every mean F1, and of its difference to the best single model.

    Args:
        marks: the scores of every question.
        articles: of each question the number of its article, from 0; without them each counts as one of its own.
        resamples: how often to draw.
        seed: of the random draws; the same seed gives the same intervals.
    """
    oracles = (marks.oracle, *([marks.candidate_oracle] if marks.candidate_oracle else []))
    systems = (*marks.models.values(), *marks.rules.values(), *oracles)
    values = np.stack([system.char_f1 for system in systems])
    clusters = np.arange(values.shape[1]) if articles is None else np.asarray(articles)
    count = int(clusters.max()) + 1
    models = list(marks.models)
    scores = marks.scores
    best = max(range(len(models)), key=lambda place: scores.models[models[place]].char_f1)
    drawn = resample_means(values, clusters, resamples, seed)
    uncertainties = [
        Uncertainty(
            _interval(means, count),
            math.fsum(own - values[best]) / values.shape[1],
            _interval(means - drawn[best], count),
        )
        for own, means in zip(values, drawn, strict=True)
    ]
    return Comparison(
        best=models[best],
        models=dict(zip(models, uncertainties, strict=False)),
        rules=dict(zip(marks.rules, uncertainties[len(models) :], strict=False)),
        oracle=uncertainties[-len(oracles)],
        articles=count,
        resamples=resamples,
        candidate_oracle=uncertainties[-1] if marks.candidate_oracle else None,
    )


def resample_means(values: Floats, articles: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """The means over questions, when as many articles as there are have been drawn with replacement.

    Args:
        values: a score of each question, (systems, questions).
        articles: of each question the number of its article, (questions,), from 0 without a gap.
        resamples: how often to draw; all systems are scored on the same draws.
        seed: of the random draws.

    Returns:
        Means, (systems, resamples).
    """
    sizes = np.bincount(articles)
    count = len(sizes)
    # The mean of a draw is the sum over its articles by the number of their questions.
    totals = np.stack([sizes, *(np.bincount(articles, weights=row) for row in values)], axis=1)
    generator = np.random.default_rng(seed)
    means = []
    step = max(1, _AT_ONCE // count)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        draws = generator.integers(0, count, size=(rows, count))
        draws += np.arange(rows)[:, None] * count
        times = np.bincount(draws.ravel(), minlength=rows * count).reshape(rows, count)
        sums = times @ totals
        means.append(sums[:, 1:].T / sums[:, 0])
    return np.concatenate(means, axis=1)


def _interval(means: Floats, articles: int) -> Interval:
    if articles < 2:
        return Interval(math.nan, math.nan)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))

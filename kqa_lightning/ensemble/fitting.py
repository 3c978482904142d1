"""What `Weighted` is to trust, from out-of-fold predictions: the models' weights and one temperature."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kqa_lightning.ensemble.hypotheses import TIE, Hypotheses
from kqa_lightning.ensemble.pairwise import Floats
from kqa_lightning.ensemble.weighted import Weighted, masses_of

# Doublings either way, the plain one first: of settings that do equally well the first is taken.
TEMPERATURES = (1.0, 2.0, 0.5, 4.0, 0.25, 8.0, 0.125, 16.0)


@dataclass(frozen=True)
class Fit:
    """A fitted strategy, and what it scores on the questions it was fitted on.

    Attributes:
        strategy: with its weights and its temperature.
        char_f1: mean character F1 of what it writes, from 0 to 1.
        models: the same of each model's own answers.
    """

    strategy: Weighted
    char_f1: float
    models: dict[str, float]


def fit_weighted(hypotheses: Hypotheses, marks: Floats, weights: Mapping[str, float] | None = None) -> Fit:
    """Weigh each model by its character F1, and take the temperature whose answers score best.

    The search is over `TEMPERATURES`, each with candidates that share their model's weight and with candidates
    that have their own probability, and so it is the same whenever it is made.

    Args:
        hypotheses: out-of-fold answers.
        marks: of each hypothesis its character F1 with gold, (hypotheses,).
        weights: of the models, if not by their F1; a model that is not named weighs 1.
    """
    models = model_f1(hypotheses, marks)
    chosen = models if weights is None else dict(weights)
    if weights is None and not any(models.values()):
        chosen = {}  # models that get nothing right are all alike
    settings = [(shared, heat) for shared in (True, False) for heat in TEMPERATURES]
    masses = np.stack([masses_of(hypotheses, chosen, heat, shared) for shared, heat in settings], axis=1)
    agreement = hypotheses.agreement(masses)
    scores = [
        float(marks[hypotheses.of[hypotheses.pick(agreement[:, place], masses[:, place])]].mean())
        for place in range(len(settings))
    ]
    best = next(place for place, score in enumerate(scores) if score >= max(scores) - TIE)
    shared, temperature = settings[best]
    return Fit(Weighted(chosen, temperature, shared), scores[best], models)


def model_f1(hypotheses: Hypotheses, marks: Floats) -> dict[str, float]:
    """The mean character F1 of each model's own answers, from 0 to 1.

    Args:
        hypotheses: the answers.
        marks: of each hypothesis its character F1 with gold, (hypotheses,).
    """
    pool = hypotheses.pool
    own = marks[hypotheses.of]
    return {name: float(own[(pool.model == place) & (pool.rank == 0)].mean()) for place, name in enumerate(pool.models)}

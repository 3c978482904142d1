"""The answer with the highest expected character F1 over all candidates of all models.

Minimum Bayes risk (Kumar and Byrne 2004, "Minimum Bayes-Risk Decoding for Statistical Machine Translation") where
the distribution of the true answer is a mixture of the models': a candidate's mass is the weight of its model times
the probability that its model gives it, and the answer is written that agrees best, by character F1, with all of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from kqa_lightning.ensemble.candidates import CandidatePool
from kqa_lightning.ensemble.hypotheses import Hypotheses
from kqa_lightning.ensemble.pairwise import Floats, Integers
from kqa_lightning.errors import KQAError


@dataclass(frozen=True)
class Weighted:
    """The candidate with the highest expected character F1.

    Equal candidates merge their masses. An abstention has no mass and is never written where there is another
    answer. At a tie the answer with the larger mass is written, then the one mentioned first; its surface form is
    that of the candidate listed first. With equal weights and one candidate a model it writes what `F1Sum` does.

    Attributes:
        weights: of each model, 0 or more; a model that is not named weighs 1.
        temperature: divides the log-probabilities; above 1 candidates differ less.
        shared: whether the candidates of a model share its weight, by a softmax of their log-probabilities. If not,
            each has its own probability, and what the model leaves to answers that it does not list is lost: a model
            counts less where it is unsure.
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    temperature: float = 1.0
    shared: bool = True

    def choose(self, hypotheses: Hypotheses) -> Integers:
        """Of each question the place of the candidate to write, (questions,).

        Raises:
            KQAError: a weight is for a model that has no answers.
        """
        pool = hypotheses.pool
        check_weights(self.weights, pool.models)
        masses = masses_of(hypotheses, self.weights, self.temperature, self.shared)
        return hypotheses.pick(hypotheses.agreement(masses[:, None])[:, 0], masses)


def masses_of(
    hypotheses: Hypotheses, weights: Mapping[str, float], temperature: float = 1.0, shared: bool = True
) -> Floats:
    """The mass of each hypothesis, in units of the likeliest answer to its question, (hypotheses,).

    Only the ratios within a question matter, but `Hypotheses.pick` takes small differences for rounding: without
    this unit unlikely answers, or small weights, would all tie.

    Args:
        hypotheses: the answers.
        weights: of the models; one that is not named weighs 1.
        temperature: divides the log-probabilities.
        shared: whether the candidates of a model to a question share its weight.
    """
    pool = hypotheses.pool
    by_model = np.array([weights.get(name, 1.0) for name in pool.models])
    logs = np.full(len(by_model), -np.inf)
    np.log(by_model, out=logs, where=by_model > 0)
    powers = log_probabilities(pool, temperature, shared) + logs[pool.model]
    powers[hypotheses.is_empty[hypotheses.of]] = -np.inf  # an abstention has no mass, and is no unit for others
    highest = np.full(len(pool.questions), -np.inf)
    np.maximum.at(highest, pool.question, powers)
    highest[np.isneginf(highest)] = 0.0
    return hypotheses.masses(np.exp(powers - highest[pool.question])).sum(axis=1)


def probabilities(pool: CandidatePool, temperature: float = 1.0, shared: bool = True) -> Floats:
    """The probability of each candidate by its own model, (candidates,).

    Where one of a model's candidates to a question has no log-probability they all count the same, 1 together.

    Args:
        pool: the candidates.
        temperature: divides the log-probabilities.
        shared: whether those of a model to a question add up to 1.
    """
    return np.exp(log_probabilities(pool, temperature, shared))


def log_probabilities(pool: CandidatePool, temperature: float = 1.0, shared: bool = True) -> Floats:
    """The logarithm of `probabilities`, which keeps apart what is too small for a float."""
    groups = pool.question * len(pool.models) + pool.model
    count = int(groups.max()) + 1
    unknown = np.bincount(groups, np.isnan(pool.logprob_sum), minlength=count) > 0
    logprobs = np.where(unknown[groups], 0.0, pool.logprob_sum) / temperature
    if not shared:
        return logprobs - np.where(unknown[groups], np.log(np.bincount(groups, minlength=count)[groups]), 0.0)
    highest = np.full(count, -np.inf)  # becomes 0, so that not all of them are too small for a float
    np.maximum.at(highest, groups, logprobs)
    logprobs -= highest[groups]
    return logprobs - np.log(np.bincount(groups, np.exp(logprobs), minlength=count)[groups])


def check_weights(weights: Mapping[str, float], models: Sequence[str], flag: str = "--weights") -> None:
    """Refuse weights of unknown models, and weights that leave nothing to weigh with.

    Raises:
        KQAError: naming the weight.
    """
    for name, weight in weights.items():
        if name not in models:
            raise KQAError(f"{flag} {name}={weight:g}: no such model; there are {', '.join(models)}")
        if not (np.isfinite(weight) and weight >= 0):
            raise KQAError(f"{flag} {name}={weight:g}: a weight is a number, 0 or more")
    if not any(weights.get(name, 1.0) for name in models):
        raise KQAError(f"{flag}: every model weighs 0; give one of them more")

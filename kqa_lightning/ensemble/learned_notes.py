"""What the user is told of what was learned, and of what it was learned from: lines of text."""

import numpy as np

from kqa_lightning.ensemble.candidates import CandidatePool
from kqa_lightning.ensemble.fitting import Fit
from kqa_lightning.ensemble.learning import OutOfFold
from kqa_lightning.ensemble.stacking import Stacking

_ALIKE = 1.25  # a beam finds fewer answers here and there; more than a quarter is another setting


def describe_unlike(learned: CandidatePool, given: CandidatePool) -> list[str]:
    """Lines on what answers to learn from and answers to choose among do not have in common.

    Args:
        learned: the out-of-fold candidates.
        given: those to choose among, of the same models.
    """
    notes = []
    scored, also = _scored(learned), _scored(given)
    if unlike := [name for name in given.models if (name in scored) != (name in also)]:
        notes.append(
            f"log-probabilities of {', '.join(unlike)} are in --oof or in what is combined, not in both, so that "
            "nothing can be learned from them: name predictions.jsonl in both places"
        )
    before, now = _candidates(learned), _candidates(given)
    unlike = [name for name in given.models if max(before[name], now[name]) > _ALIKE * min(before[name], now[name])]
    if unlike:
        counts = ", ".join(f"{name} {before[name]:.1f} and {now[name]:.1f}" for name in unlike)
        notes.append(
            f"candidates a question in --oof and in what is combined: {counts}; what is learned from few says little "
            "of many: give crossfit and predict the same --model.num_candidates"
        )
    return notes


def describe_mixed(pool: CandidatePool) -> list[str]:
    """A line on models that weigh more in `weighted` because nothing tells how sure they are of what they answer."""
    scored, counts = _scored(pool), _candidates(pool)
    sharing = [name for name in pool.models if name in scored and counts[name] > 1]
    if not sharing or not (unscored := [name for name in pool.models if name not in scored]):
        return []
    return [
        f"weighted: there are no log-probabilities of {', '.join(unscored)}, whose answers therefore count in full, "
        f"while those of {', '.join(sharing)} share their model's weight: name predictions.jsonl for each model, or "
        "give --oof to learn weights from"
    ]


def describe_fit(fit: Fit, learned_from: OutOfFold) -> str:
    """What was fitted, in one line."""
    strategy = fit.strategy
    weights = ", ".join(f"{name} {strategy.weights.get(name, 1.0):.3g}" for name in fit.models)
    kind = "shared out by a softmax" if strategy.shared else "each its own probability"
    return (
        f"weighted: {weights}; candidates {kind} at temperature {strategy.temperature:g}; out of fold, where that was "
        f"fitted, {100 * fit.char_f1:.2f}, best single model {100 * max(fit.models.values()):.2f}; "
        f"{_learned(learned_from)}"
    )


def describe_stacking(stacking: Stacking, learned_from: OutOfFold) -> str:
    """What was trained, in one line."""
    over = "single questions, too good where some share an article"
    if learned_from.knows_articles:
        over = f"{stacking.articles} articles"
    scores = ", ".join(f"{name} {100 * score:.2f}" for name, score in stacking.scores.items())
    missing = (
        ""
        if stacking.reads_articles
        else "; without articles and questions, which --oof-gold or --table lacks for most"
    )
    best = f"stacking: {stacking.learner}, the best by cross-validation over {over} ({scores})"
    return f"{best}; {_learned(learned_from)}{missing}"


def _learned(learned_from: OutOfFold) -> str:
    learned, answered = len(learned_from.hypotheses.pool.questions), len(learned_from.every_question)
    return f"learned from {learned} of {answered} questions"


def _scored(pool: CandidatePool) -> set[str]:
    """The models that have log-probabilities."""
    return {pool.models[place] for place in np.unique(pool.model[~np.isnan(pool.logprob_sum)]).tolist()}


def _candidates(pool: CandidatePool) -> dict[str, float]:
    """How many candidates each model has to a question, on average."""
    counts = np.bincount(pool.model, minlength=len(pool.models)) / len(pool.questions)
    return dict(zip(pool.models, counts.tolist(), strict=True))

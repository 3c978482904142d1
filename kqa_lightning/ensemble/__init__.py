"""From the answers of several models to one submission, and what that is worth; imports no torch."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kqa_lightning.ensemble.agreement import measure_agreement
    from kqa_lightning.ensemble.bootstrap import compare
    from kqa_lightning.ensemble.candidates import CandidatePool, read_pool
    from kqa_lightning.ensemble.evaluation import EnsembleScores, Score, evaluate, mark
    from kqa_lightning.ensemble.fitting import fit_weighted
    from kqa_lightning.ensemble.gold import read_gold
    from kqa_lightning.ensemble.hypotheses import Hypotheses
    from kqa_lightning.ensemble.pairwise import pairwise_f1
    from kqa_lightning.ensemble.predictions import read_all_predictions, write_predictions
    from kqa_lightning.ensemble.stacking import Stacking, train_stacking
    from kqa_lightning.ensemble.strategies import STRATEGIES, Strategy, combine, make_strategies
    from kqa_lightning.ensemble.tables import read_answers
    from kqa_lightning.ensemble.weighted import Weighted

_NAMES = {
    "agreement": ("measure_agreement",),
    "bootstrap": ("compare",),
    "candidates": ("CandidatePool", "read_pool"),
    "evaluation": ("EnsembleScores", "Score", "evaluate", "mark"),
    "fitting": ("fit_weighted",),
    "gold": ("read_gold",),
    "hypotheses": ("Hypotheses",),
    "pairwise": ("pairwise_f1",),
    "predictions": ("read_all_predictions", "write_predictions"),
    "stacking": ("Stacking", "train_stacking"),
    "strategies": ("STRATEGIES", "Strategy", "combine", "make_strategies"),
    "tables": ("read_answers",),
    "weighted": ("Weighted",),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "STRATEGIES",
    "CandidatePool",
    "EnsembleScores",
    "Hypotheses",
    "Score",
    "Stacking",
    "Strategy",
    "Weighted",
    "combine",
    "compare",
    "evaluate",
    "fit_weighted",
    "make_strategies",
    "mark",
    "measure_agreement",
    "pairwise_f1",
    "read_all_predictions",
    "read_answers",
    "read_gold",
    "read_pool",
    "train_stacking",
    "write_predictions",
]


def __getattr__(name: str) -> object:
    """Import a public name on first use: whoever only combines answers waits for no numpy."""
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

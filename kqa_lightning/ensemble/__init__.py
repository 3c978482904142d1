"""From the answers of several models to one submission, and what that is worth; imports no torch."""

from kqa_lightning.ensemble.evaluation import EnsembleScores, Score, evaluate, format_scores
from kqa_lightning.ensemble.gold import read_gold
from kqa_lightning.ensemble.predictions import read_all_predictions, read_predictions, write_predictions
from kqa_lightning.ensemble.strategies import STRATEGIES, Strategy, combine, make_strategies

__all__ = [
    "STRATEGIES",
    "EnsembleScores",
    "Score",
    "Strategy",
    "combine",
    "evaluate",
    "format_scores",
    "make_strategies",
    "read_all_predictions",
    "read_gold",
    "read_predictions",
    "write_predictions",
]

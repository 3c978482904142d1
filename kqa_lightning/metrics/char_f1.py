"""CharF1 and ExactMatch: means over questions as torchmetrics classes, exact under DDP."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from kqa_lightning.metrics.functional import char_f1, exact_match


class _MeanOverQuestions(Metric):
    """The mean of a score from 0 to 1; its sum and count are added up over processes."""

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    total: Tensor  # float64: 100,000 scores added one by one in float32 are off by 5e-4
    count: Tensor  # int64

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    @staticmethod
    @abstractmethod
    def score(prediction: str | None, golds: str | Sequence[str]) -> float:
        """The score of one question."""

    def update(self, predictions: Sequence[str | None], golds: Sequence[str | Sequence[str]]) -> None:
        """Add questions.

        Args:
            predictions: one answer a question; None, a missing one, scores 0.
            golds: the gold answer, or the gold answers, of each of the same questions.

        Raises:
            ValueError: the two do not go together, or a question has no gold answer.
        """
        if isinstance(predictions, str) or isinstance(golds, str):
            raise ValueError("predictions and golds are lists with one entry a question, not single strings")
        scores = [self.score(*pair) for pair in zip(predictions, golds, strict=True)]
        self.total += math.fsum(scores)
        self.count += len(scores)

    def compute(self) -> Tensor:
        """The mean over all questions of all processes, float64 []; nan where there was none."""
        return self.total / self.count


class CharF1(_MeanOverQuestions):
    """Mean character F1 of KorQuAD 1.0, from 0 to 1; see `kqa_lightning.metrics.functional.char_f1`.

    >>> metric = CharF1()
    >>> metric.update(["국민은행", None], [["우리은행", "KB 국민은행"], "3%"])
    >>> metric.compute()
    tensor(0.4000, dtype=torch.float64)
    """

    score = staticmethod(char_f1)


class ExactMatch(_MeanOverQuestions):
    """Share of exact matches, from 0 to 1; see `kqa_lightning.metrics.functional.exact_match`.

    >>> metric = ExactMatch()
    >>> metric.update(["3%", "4%"], ["3", ["3", "5"]])
    >>> metric.compute()
    tensor(0.5000, dtype=torch.float64)
    """

    score = staticmethod(exact_match)

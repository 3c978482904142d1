"""The mean loss of an optimizer step, whatever the number of micro-batches and processes it is computed in.

Micro-batches hold different numbers of answers, so that the mean of their means is not the mean. Here each
micro-batch descends on a sum, and the gradients are divided once, by what all micro-batches of all processes hold.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import Tensor

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

    from kqa_lightning.data.packing import PackedBatch

LossNormalisation = Literal["token", "example"]


class StepMean:
    """The loss of an optimizer step: a mean over its answer tokens, or over its answers.

    Args:
        kind: token counts every supervised token alike, so that long answers weigh more; example counts every
            answer alike, each by the mean over its tokens.
    """

    def __init__(self, kind: LossNormalisation) -> None:
        self.kind = kind
        self._sums: list[Tensor] = []
        self._count = 0

    def begin(self) -> None:
        """Forget what an optimizer step that was cut off had added up."""
        self._sums, self._count = [], 0

    def add(self, losses: Tensor, batch: "PackedBatch") -> Tensor:
        """The sum to descend on for one micro-batch.

        Args:
            losses: Of its supervised tokens, [supervised], answer by answer.
            batch: The micro-batch.
        """
        total, count = losses.sum(), len(losses)
        if self.kind == "example":
            lengths = torch.tensor(batch.answer_lengths, dtype=torch.int64, device=losses.device)
            total, count = (losses / lengths.repeat_interleave(lengths)).sum(), len(lengths)
        self._sums.append(total.detach())  # no number yet: that would wait for the device
        self._count += count
        return total

    def finish(self, parameters: Iterable[Tensor], trainer: "Trainer") -> float:
        """Divide the gradients by what the optimizer step counted, in all processes; returns its mean loss.

        Args:
            parameters: Those with a gradient, a sum over micro-batches and a mean over processes.
            trainer: Adds up over the processes.
        """
        total = torch.stack(self._sums).sum() if self._sums else torch.zeros((), device=trainer.strategy.root_device)
        here = torch.stack([total.double(), torch.full_like(total, self._count, dtype=torch.float64)])
        loss, count = cast(Tensor, trainer.strategy.reduce(here, reduce_op="sum")).tolist()
        self.begin()
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.mul_(trainer.world_size / max(count, 1.0))
        return float(loss / max(count, 1.0))

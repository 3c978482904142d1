"""Keeps a loss or gradient that is no number from spoiling the adapters."""

from itertools import zip_longest
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.optim import Optimizer

from kqa_lightning.data.datamodule import data_of
from kqa_lightning.data.packing import PackedBatch
from kqa_lightning.errors import KQAError
from kqa_lightning.messages import say
from kqa_lightning.processes import gathered

SHOWN = 5


class FiniteGuard(Callback):
    """Skips an optimizer step whose gradients are not finite, and stops the run when there are too many of them.

    The adapters, and with them every checkpoint, stay what they were before the step.

    Args:
        max_skipped_steps: Most steps to skip in a run, however often it is stopped and goes on; the next one stops it.
            0 stops at the first.
    """

    def __init__(self, max_skipped_steps: int = 3) -> None:
        if max_skipped_steps < 0:
            raise KQAError(f"--finite_guard.max_skipped_steps {max_skipped_steps}: it cannot be below 0")
        self.max_skipped_steps = max_skipped_steps
        self._skipped = 0
        self._rows: list[int] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Count anew; a checkpoint's count comes after this."""
        if stage == "fit":
            self._skipped, self._rows = 0, []

    def state_dict(self) -> dict[str, Any]:
        """The count, so that a run that goes on stops where it would have stopped undisturbed."""
        return {"skipped": self._skipped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self._skipped = state_dict["skipped"]

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: PackedBatch, batch_idx: int
    ) -> None:
        """Remember which rows the optimizer step learns from."""
        self._rows += [question.row for article in batch.articles for question in article.questions]

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Take the gradients away where one of them is not finite: an optimizer leaves such weights alone.

        Raises:
            KQAError: too many steps were skipped; with the rows of this one.
        """
        rows, self._rows = self._rows, []
        gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
        if torch.isfinite(torch.nn.utils.get_total_norm(gradients)):
            return
        self._skipped += 1
        shares = zip_longest(*gathered(trainer, rows))  # the gradients are those of all processes
        rows = [row for each in shares for row in each if row is not None]
        ids: list[Any] = data_of(trainer).tables["train"]["id"][:]
        named = ", ".join(str(ids[row]) for row in rows[:SHOWN]) + (", …" if len(rows) > SHOWN else "")
        cause = f"step {trainer.global_step + 1} has a loss or gradient that is not finite; its rows: {named}"
        if self._skipped > self.max_skipped_steps:
            raise KQAError(
                f"{cause}. That is step {self._skipped} of this kind in the run; look at those rows, or lower "
                "--model.learning_rate (--finite_guard.max_skipped_steps allows more)"
            )
        say(f"{cause}. The step is skipped ({self._skipped} of {self.max_skipped_steps} allowed)")
        for parameter in pl_module.parameters():
            parameter.grad = None

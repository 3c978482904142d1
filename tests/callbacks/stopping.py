"""A callback that ends a run where it stands, as a kill would; the command line builds it by class path."""

import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class Killed(BaseException):
    """Passes through everything, as no error would."""


class StopAt(Callback):
    """Stops when an optimizer step has been reached.

    Args:
        step: The step.
        where: Which hook it happens in: batch, validating (its first batch), validation or epoch.
    """

    def __init__(self, step: int, where: str = "batch") -> None:
        self.step, self.where = step, where

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        self._stop(trainer, "batch")

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        self._stop(trainer, "validating")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop(trainer, "validation")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop(trainer, "epoch")

    def _stop(self, trainer: Trainer, where: str) -> None:
        if (where, trainer.global_step) == (self.where, self.step):
            raise Killed


class StopAnswering(Callback):
    """Stops a prediction before the answers of a group are kept, or when all are and nothing is written.

    Args:
        group: The group's number; None for the end.
        seconds: To wait in each group, so that there is time to be killed in.
    """

    def __init__(self, group: int | None = None, seconds: float = 0) -> None:
        self.group, self.seconds = group, seconds

    def on_predict_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *args: Any
    ) -> None:
        time.sleep(self.seconds if outputs else 0)
        if batch_idx == self.group:
            raise Killed

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.group is None and not self.seconds:
            raise Killed

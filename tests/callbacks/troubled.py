"""A callback that troubles one of several processes; the command line builds it by class path."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from kqa_lightning.errors import KQAError


class Trouble(Callback):
    """Does something in one process, at the end of a batch.

    Args:
        rank: The process.
        step: The optimizer step, counted from 1; in a validation the one before it.
        what: error, bug, killed, or the name of a signal to itself; with "to all", to all processes of the command.
        once: A file that is made then; where it is, there is no trouble any more.
        validating: In the batches of a validation, and not in those of the training.
    """

    def __init__(self, rank: int, step: int, what: str, once: str | None = None, validating: bool = False) -> None:
        self.rank, self.step, self.what, self.once, self.validating = rank, step, what, once, validating

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        if not self.validating:
            self._act(trainer)

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        if self.validating:
            self._act(trainer)

    def _act(self, trainer: Trainer) -> None:
        if (trainer.global_rank, trainer.global_step) != (self.rank, self.step):
            return
        if self.once is not None:
            if Path(self.once).exists():
                return
            Path(self.once).touch()
        if self.what == "error":
            raise KQAError("the disk of this process is full")
        if self.what == "bug":
            raise RuntimeError("nobody has thought of this")
        name, *_ = self.what.partition(" to all")
        if name != self.what:
            os.killpg(os.getpgid(0), signal.Signals[name])
        else:
            os.kill(os.getpid(), signal.SIGKILL if name == "killed" else signal.Signals[name])
        time.sleep(0.01)


class Early(Callback):
    """Sends a SIGTERM when training is about to start, before any other callback knows."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)

"""Ends a command soon after SIGTERM or an interrupt from the keyboard, in every stage."""

import signal
import threading
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException

from kqa_lightning.messages import say
from kqa_lightning.trainer import KQATrainer


class SignalExit(Callback):
    """Raises SIGTERMException at the end of the batch in which SIGTERM came; the command line exits with 143.

    While training, Lightning itself raises it, after the callbacks of the batch have run and so with a checkpoint
    written; prediction, on its own, would pass over the signal. An interrupt from the keyboard takes the same way,
    and ends with 130; a second one stops at once, as any program does.
    """

    def __init__(self) -> None:
        self._trainer: KQATrainer | None = None
        self._before: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen to the keyboard once there is something to save."""
        self._listen(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen, in a validation of its own too."""
        self._listen(trainer)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen in a test."""
        self._listen(trainer)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen in a prediction."""
        self._listen(trainer)

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> None:
        """Stop a validation."""
        _stop_if_told(trainer)

    def on_test_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> None:
        """Stop a test."""
        _stop_if_told(trainer)

    def on_predict_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> None:
        """Stop a prediction."""
        _stop_if_told(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Listen no longer."""
        self._restore()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Listen no longer."""
        self._restore()

    def _listen(self, trainer: Trainer) -> None:
        if self._trainer is None and threading.current_thread() is threading.main_thread():
            assert isinstance(trainer, KQATrainer)
            self._trainer = trainer
            self._before = signal.signal(signal.SIGINT, self._interrupt)

    def _restore(self) -> None:
        if self._trainer is not None:
            signal.signal(signal.SIGINT, self._before)
            self._trainer = None

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        assert self._trainer is not None
        say("stopping after this batch; once more stops at once")
        self._trainer.stopped_by_user = True
        self._restore()
        signal.raise_signal(signal.SIGTERM)  # which Lightning turns into a flag, in every process of the run


def _stop_if_told(trainer: Trainer) -> None:
    if trainer.received_sigterm:
        raise SIGTERMException

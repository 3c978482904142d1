"""Ends a command soon after SIGTERM, in every stage."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException


class SignalExit(Callback):
    """Raises SIGTERMException at the end of the batch in which SIGTERM came; the command line exits with 143.

    While training, Lightning itself raises it, after the callbacks of the batch have run; prediction, on its own,
    would pass over the signal.
    """

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> None:
        """Stop a validation."""
        _stop_if_told(trainer)

    def on_test_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> None:
        """Stop a test."""
        _stop_if_told(trainer)

    def on_predict_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> None:
        """Stop a prediction."""
        _stop_if_told(trainer)


def _stop_if_told(trainer: Trainer) -> None:
    if trainer.received_sigterm:
        raise SIGTERMException

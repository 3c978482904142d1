"""Says with which weights a command works, once it does."""

from lightning.pytorch import Callback, LightningModule, Trainer

from kqa_lightning.messages import say
from kqa_lightning.trainer import KQATrainer


class StartNote(Callback):
    """Says the trainer's note when work starts; where input is refused before that, the refusal stands alone."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say it before training."""
        _say(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say it before a validation."""
        _say(trainer)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say it before a test."""
        _say(trainer)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say it before a prediction."""
        _say(trainer)


def _say(trainer: Trainer) -> None:
    assert isinstance(trainer, KQATrainer)
    if trainer.note:
        say(trainer.note)
    trainer.note = ""

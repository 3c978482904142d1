"""Keeps the steps that curves are drawn at equal to the optimizer steps done, wherever a run goes on."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn


class CurveSteps(Callback):
    """Draws each training batch at the number of optimizer steps before it, and what validates a step where that is.

    Lightning counts what it draws apart from the optimizer's steps, and after the validations of a batch. Going on from
    a checkpoint of a validation it makes up for that only where the schedule has a validation there too: after a run
    that ``--trainer.max_steps`` or ``max_time`` ended in mid-epoch, all curves would be a step late. It comes before
    every callback that draws.
    """

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Set the count."""
        _draw_at(trainer, trainer.global_step)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set it for the validation that ends a run; those amid the training come before Lightning counts on."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            _draw_at(trainer, max(trainer.global_step - 1, 0))


def _draw_at(trainer: Trainer, step: int) -> None:
    trainer.fit_loop.epoch_loop._batches_that_stepped = step  # it has no public name

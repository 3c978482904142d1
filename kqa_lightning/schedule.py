"""Where a training stands in Lightning's schedule of steps, validations and epochs, and how it goes on there."""

import math

from lightning.pytorch import Trainer


def validation_is_next(trainer: Trainer, batch_idx: int) -> bool:
    """Whether the schedule has a validation after this batch."""
    every_n_epochs, every_n_batches = trainer.check_val_every_n_epoch, trainer.val_check_batch
    if not trainer.enable_validation or every_n_batches is None:  # by the clock: nobody knows beforehand
        return False
    if every_n_epochs is not None and (trainer.current_epoch + 1) % every_n_epochs:
        return False
    if every_n_batches == math.inf:
        return trainer.is_last_batch
    number = trainer.fit_loop.total_batch_idx if every_n_epochs is None else batch_idx
    return (number + 1) % every_n_batches == 0


def leave_finished_epoch(trainer: Trainer) -> None:
    """Where a run goes on from the end of an epoch, begin with the next one.

    With ``max_steps`` Lightning ends the finished one a second time, and so passes over the next.
    """
    loop = trainer.fit_loop
    if loop.restarted_on_epoch_end:
        loop.epoch_progress.increment_completed()
        loop.reset_restart_stage()
        loop.epoch_loop.restarting = False


def validate_now(trainer: Trainer) -> None:
    """Run a validation of a training that has not begun yet, as Lightning does amid one."""
    loop = trainer.fit_loop.epoch_loop.val_loop
    loop.restarting = False  # from its first batch
    trainer.validating = True
    loop.run()
    trainer.training = True
    loop._has_run = False  # or Lightning leaves an epoch that ends here before it has counted it

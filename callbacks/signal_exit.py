"""Ends a command soon after SIGTERM, an interrupt from the keyboard or a scheduler's signal, in every stage."""

import os
import signal
import subprocess
import threading
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.environments import SLURMEnvironment
from lightning.pytorch.utilities.exceptions import SIGTERMException

from kqa_lightning.companions import heard, tell_companions
from kqa_lightning.messages import say
from kqa_lightning.processes import largest
from kqa_lightning.trainer import KQATrainer


class SignalExit(Callback):
    """Ends a command after SIGTERM (status 143) or an interrupt from the keyboard (130; a second one ends at once).

    A training ends after the optimizer step that it is in, with last.ckpt written, and then with a validation; one
    that is validating ends after that. A second SIGTERM ends such a validation after its batch, as the first does with
    validation, test and prediction by themselves. Of several processes it does not matter which of them the signal
    came to; in a prediction that torchrun or SLURM started, each stops for its own signal alone, and its journal has
    what it answered.

    Under SLURM the signal of ``#SBATCH --signal`` (SIGUSR1, or the requeue_signal of Lightning's SLURMEnvironment)
    has the job queued again, unless its auto_requeue is off; that waits for no validation.
    """

    def __init__(self) -> None:
        self._trainer: KQATrainer | None = None
        self._requeue_signal: int | None = None
        self._step = 0
        self._amid_step = False  # micro-batches of an optimizer step are done, and it is not

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen once there is something to save."""
        self._step = trainer.global_step
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

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> None:
        """After an optimizer step, have all processes know of a signal that came to one of them."""
        self._amid_step = trainer.global_step == self._step
        if not self._amid_step:
            self._step = trainer.global_step
            assert isinstance(trainer, KQATrainer)
            (trainer.stop_signal,) = largest(trainer, trainer.signalled or heard())

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> None:
        """Stop a validation in all processes after the same batch; that of a training only at the second signal."""
        assert isinstance(trainer, KQATrainer)
        number, told_twice = largest(trainer, trainer.signalled or heard(), int(trainer.is_told_twice))
        trainer.is_told_twice = bool(told_twice)
        if told_twice or trainer.sanity_checking or not trainer.in_fit or number == self._requeue_signal:
            _stop_for(trainer, number)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End a training that was to stop meanwhile; amid an optimizer step only after that."""
        assert isinstance(trainer, KQATrainer)
        if trainer.in_fit and not trainer.sanity_checking and not self._amid_step:
            (trainer.stop_signal,) = largest(trainer, trainer.signalled or heard())

    def on_test_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> None:
        """Stop a test, likewise."""
        assert isinstance(trainer, KQATrainer)
        _stop_for(trainer, *largest(trainer, trainer.signalled or heard()))

    def on_predict_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> None:
        """Stop a prediction. Its processes do not wait for one another: that would take the time of the slowest."""
        assert isinstance(trainer, KQATrainer)
        _stop_for(trainer, trainer.signalled or heard())

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Queue the job again where the scheduler asked for that; listen no longer."""
        asked = self._trainer is not None and self._trainer.stop_signal == self._requeue_signal
        if asked and isinstance(exception, SIGTERMException):
            assert self._trainer is not None
            self._trainer.queued_again = True
            if trainer.is_global_zero:
                _requeue()
        self._trainer = None

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Listen no longer; Lightning has put all handlers back."""
        self._trainer = None

    def _listen(self, trainer: Trainer) -> None:
        """Put a handler where Lightning has put its own, and where it brings back the former ones in the end."""
        if self._trainer is not None or threading.current_thread() is not threading.main_thread():
            return
        assert isinstance(trainer, KQATrainer)
        self._trainer, self._requeue_signal = trainer, _requeue_signal(trainer)
        for number in (signal.SIGTERM, signal.SIGINT, self._requeue_signal):
            if number is not None:
                signal.signal(number, self._note)
        if trainer.heard_sigterm and not trainer.signalled:
            self._note(signal.SIGTERM, None)

    def _note(self, number: int, frame: FrameType | None) -> None:
        trainer = self._trainer
        if trainer is None:
            return
        if number == signal.SIGINT:
            if trainer.stopped_early:
                signal.default_int_handler(number, frame)
            say(f"stopping after this {_piece(trainer)}; once more stops at once")
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if trainer.signalled:
            trainer.is_told_twice = trainer.is_told_twice or trainer.validating
        else:
            tell_companions(number)
            if number == signal.SIGTERM and trainer.in_fit and trainer.validating:
                say("stopping after this validation; once more stops after its batch")
        trainer.signalled = trainer.signalled or number


def _piece(trainer: KQATrainer) -> str:
    """What a command does not leave unfinished."""
    if trainer.training:
        return "step"
    return "validation" if trainer.in_fit and trainer.validating else "batch"


def _stop_for(trainer: KQATrainer, number: int) -> None:
    """Stop for a signal; 0 for none."""
    trainer.stop_signal = number
    if number:
        raise SIGTERMException


def _requeue_signal(trainer: Trainer) -> int | None:
    """The signal with which SLURM announces that it takes the job's machines away; None where nothing is to be done."""
    environment = trainer._accelerator_connector.cluster_environment  # a strategy of one process has none to ask
    if not isinstance(environment, SLURMEnvironment) or not environment.auto_requeue:
        return None
    return environment.requeue_signal


def _requeue() -> None:
    job = os.environ["SLURM_JOB_ID"]
    if (array := os.environ.get("SLURM_ARRAY_JOB_ID")) is not None:
        job = f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    try:
        done = subprocess.run(["scontrol", "requeue", job], check=False).returncode == 0
    except OSError:
        done = False
    say(f"SLURM job {job} is queued again" if done else f"SLURM job {job} could not be queued again (scontrol requeue)")

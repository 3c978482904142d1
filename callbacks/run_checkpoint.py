"""Writes last.ckpt, best.ckpt and the adapter of a training run, and goes on exactly where one stopped."""

import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.exceptions import SIGTERMException

from kqa_lightning.adapter_folder import complete_adapter, write_adapter
from kqa_lightning.errors import KQAError
from kqa_lightning.messages import say
from kqa_lightning.model.module import KQAModule
from kqa_lightning.processes import gathered, largest
from kqa_lightning.random_state import random_state, restore_random_state
from kqa_lightning.resuming import CONTENTS, base_content, check_contents, check_settings, written_with
from kqa_lightning.run_folder import OF_A_STOP, RunFolder
from kqa_lightning.schedule import leave_finished_epoch, validate_now, validation_is_next
from kqa_lightning.trainer import KQATrainer

SCORE = "val/char_f1"


class RunCheckpoint(Callback):
    """Keeps ``checkpoints/last.ckpt``, ``checkpoints/best.ckpt`` and ``adapter/`` of a ``fit``.

    Both checkpoints hold all that is needed to go on. The best is the one with the highest val/char_f1, the earliest
    of equal ones, unless that is lost; ``adapter/`` holds its adapters in PEFT format. last.ckpt is never written among
    the micro-batches of an optimizer step. One that is written before a validation says so, and the run that goes on
    begins with it.
    A validation that only a signal brought about can make another checkpoint the best as well, until the run goes on:
    that is then the run which was never stopped.

    Args:
        every_n_train_steps: Optimizer steps between two writings of last.ckpt; it is written too before and after a
            validation, at each epoch's end and where a signal stops the run.
        every_n_minutes: Minutes after which last.ckpt is written, however few the steps, as by
            ``--checkpoint.every_n_minutes 10``; null for steps alone.
    """

    def __init__(self, every_n_train_steps: int = 100, every_n_minutes: float | None = None) -> None:
        if every_n_train_steps < 1:
            raise KQAError(f"--checkpoint.every_n_train_steps {every_n_train_steps}: at least 1 is needed")
        if every_n_minutes is not None and every_n_minutes <= 0:
            raise KQAError(f"--checkpoint.every_n_minutes {every_n_minutes}: it is to be above 0")
        self.every_n_train_steps = every_n_train_steps
        self.every_n_minutes = every_n_minutes
        self.best_score: float | None = None
        self._fitting = False
        self._continues = False
        self._score_before: float | None = None  # the best one, by the checkpoint that the run goes on from
        self._best_is_lost = False  # it was written by the run that this one goes on with, and cannot be read
        self._step = 0  # optimizer steps done at the end of the latest batch
        self._saved_time = 0.0
        self._batches_into_step = 0  # micro-batches since the latest optimizer step
        self._adapter_is_best = False  # written by this run, from the weights of best.ckpt
        self._validation_due = False  # it belongs to the schedule, and is not over
        self._resumed: dict[str, Any] | None = None  # states of a checkpoint, until training starts
        self._own: dict[str, dict[str, str]] = {}  # settings and contents of this run, as its checkpoints hold them
        self._changes: list[str] = []  # what the command line changes of the checkpoint's settings, until that is said
        self._train_loader: Any = None  # the trainer forgets it before the last validation

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Note whether this is a ``fit``: its last validation runs as a stage of its own.

        Raises:
            KQAError: it goes on with other settings or questions than its checkpoint's. The base is not loaded yet.
        """
        if stage == "fit":
            self._fitting, self._resumed, self._adapter_is_best = True, None, False
            assert isinstance(trainer, KQATrainer)
            self._own, before = written_with(trainer), trainer.going_on_from
            self._changes = [] if before is None else check_settings(trainer, before, self._own)
        elif stage != "validate":
            self._fitting = False

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note whether this run goes on in its own folder, its training data, and its base."""
        assert isinstance(pl_module, KQAModule)
        self._own[CONTENTS] |= base_content(pl_module.base_model)
        self._continues = _folder(trainer).holds(trainer.ckpt_path)
        self._train_loader = trainer.train_dataloader

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put data and random generators where the checkpoint has them.

        Lightning brings the loader's state back only if no loader was made before; but the learning rate's schedule
        needs one, for the number of steps. The generators come last: everything before this drew from them too.
        """
        self._train_loader = trainer.train_dataloader
        if self._resumed is not None:
            self._train_loader.load_state_dict(self._resumed["train_loader"])
            states = [self._resumed["random_state"], *self._resumed["other_random_states"]]
            restore_random_state(states[trainer.global_rank % len(states)])
            self._resumed = None
            leave_finished_epoch(trainer)
        self._step, self._batches_into_step, self._saved_time = trainer.global_step, 0, time.monotonic()
        self._begin(trainer)
        if self._validation_due:
            validate_now(trainer)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the epoch's loader: ``--trainer.reload_dataloaders_every_n_epochs`` makes new ones."""
        self._train_loader = trainer.train_dataloader

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin here where there is nothing left to train; write last.ckpt before a validation amid the training.

        Going on from what is written after the batch would skip the validation. Here Lightning has counted the batch,
        and whether an epoch ends with it makes no difference.

        Raises:
            SIGTERMException: the run is to stop, and does so before the validation.
        """
        if not self._fitting:
            return
        self._begin(trainer)
        amid = trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking
        if amid and not self._validation_due and not self._batches_into_step:
            self._validation_due = True
            self._save_last(trainer)
            if trainer.received_sigterm:
                raise SIGTERMException

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write last.ckpt when it is due, between two optimizer steps and never among the batches of one."""
        stepped = trainer.global_step != self._step
        self._step = trainer.global_step
        self._batches_into_step = 0 if stepped else self._batches_into_step + 1
        if not stepped:
            return
        if self._step == trainer.max_steps:
            trainer.should_stop = True  # unlike max_steps alone, this ends an epoch with a validation
        if self._is_due(trainer) and not trainer.is_last_batch and not validation_is_next(trainer, batch_idx):
            self._save_last(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write best.ckpt and the adapter where the score is a new best, and last.ckpt in mid-epoch."""
        if not self._fitting or trainer.sanity_checking:
            return
        assert isinstance(trainer, KQATrainer) and isinstance(pl_module, KQAModule)
        trainer.validated_step = trainer.global_step
        was_due, self._validation_due = self._validation_due, False
        score = float(trainer.callback_metrics.get(SCORE, -1.0))
        if self._is_new_best(trainer, score):
            self.best_score, self._best_is_lost = score, False
            if trainer.stopped_early and trainer.is_global_zero:
                trainer.folder.keep_best()
            trainer.save_checkpoint(trainer.folder.best)
            if not trainer.stopped_early and trainer.is_global_zero:
                trainer.folder.best_before_stop.unlink(missing_ok=True)
            write_adapter(trainer, pl_module)
            self._adapter_is_best = True
        in_training = trainer.state.fn == TrainerFn.FITTING
        ends_epoch = in_training and trainer.is_last_batch  # that is still to come
        # After a signal last.ckpt stays what the run goes on from, with this validation where one is due.
        if was_due and not ends_epoch and not trainer.stopped_early:
            self._save_last(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write last.ckpt after an epoch that ran to its end; one that was cut short wrote it at its last step."""
        if trainer.is_last_batch:
            self._save_last(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """At the end of the run, make sure that all of its three products are there."""
        if self._fitting and isinstance(trainer, KQATrainer) and not self._is_to_validate(trainer):
            self._begin(trainer)  # where there was nothing left to do
            if not trainer.stopped_early and trainer.is_global_zero:
                trainer.folder.undo_stop()
            self._complete(trainer, pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """The same where a signal ends it, once there is something."""
        is_stop = self._fitting and isinstance(exception, SIGTERMException)
        if is_stop and isinstance(trainer, KQATrainer) and trainer.begun and not self._is_to_validate(trainer):
            self._complete(trainer, pl_module)

    def _is_new_best(self, trainer: KQATrainer, score: float) -> bool:
        """Of equal scores the earlier one is best, unless its checkpoint is lost.

        What a signal brought about replaces none that is lost: adapter/ has its weights, and nothing else.
        """
        if self.best_score is None:
            return True
        if self._best_is_lost:
            return score >= self.best_score and not trainer.stopped_early
        return score > self.best_score

    def _is_to_validate(self, trainer: KQATrainer) -> bool:
        """Whether the run's last validation is still to come."""
        return trainer.enable_validation and trainer.validated_step != trainer.global_step

    def _complete(self, trainer: KQATrainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, KQAModule)
        folder = trainer.folder
        # What is missing the first process says: another could see a file that is being written.
        if trainer.strategy.broadcast(not folder.last.exists()):
            self._save_last(trainer)
        lacking = complete_adapter(trainer, pl_module, self._adapter_is_best)
        say(
            lacking or f"best {SCORE} {self.best_score:.4f}: {folder.best} and {folder.adapter}; the end: {folder.last}"
        )

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add the best score so far, where in the data the run is, and the states of the random generators."""
        checkpoint["best_score"] = self.best_score
        checkpoint[OF_A_STOP] = isinstance(trainer, KQATrainer) and trainer.stopped_early
        checkpoint["validation_due"] = self._validation_due
        checkpoint["batches_into_step"] = self._batches_into_step
        # Where nothing was left to train, the states are still those of the checkpoint.
        checkpoint.update(self._resumed or _states(self._train_loader.state_dict(), gathered(trainer, random_state())))
        checkpoint.update(self._own)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep the states until training starts.

        Raises:
            KQAError: the base is another now.
        """
        if trainer.state.fn == TrainerFn.FITTING:
            assert isinstance(pl_module, KQAModule)
            check_contents(checkpoint, base_content(pl_module.base_model), str(trainer.ckpt_path))
            self._validation_due = checkpoint.get("validation_due", False)
            if lost := checkpoint.get("batches_into_step", 0):
                say(
                    f"{trainer.ckpt_path} was written amid an optimizer step: going on from it leaves out"
                    f" {lost} of its micro-batches; --ckpt_path last leaves out none"
                )
        self._score_before = None if checkpoint.get(OF_A_STOP) else checkpoint["best_score"]
        of_others = checkpoint.get("other_random_states", [])  # none where a single process wrote it
        self._resumed = _states(checkpoint["train_loader"], [checkpoint["random_state"], *of_others])

    def _begin(self, trainer: Trainer) -> None:
        """Take the folder and set an earlier run aside, now that nothing the user gave can fail any more.

        Raises:
            KQAError: another run is writing to the folder, or a predict to its journal there.
        """
        if self._changes:
            say(f"going on with {', '.join(self._changes)}")
            self._changes = []
        assert isinstance(trainer, KQATrainer)
        if trainer.begun:
            return
        folder = trainer.folder
        if trainer.is_global_zero:
            folder.take()
            if not self._continues and (moved := folder.set_aside()):
                say(f"an earlier run in {folder.root} was moved to {moved}")
        trainer.begun = True
        trainer.strategy.barrier("an earlier run is set aside")
        self.best_score = None
        if self._continues:
            # What the first process reads counts: files may differ, or change.
            score = folder.best_score(self._score_before)
            self.best_score, can_be_read = trainer.strategy.broadcast((score, folder.has_best()))
            self._best_is_lost = self.best_score is not None and not can_be_read
        # Last in line from here on: what else stops the run has spoken before a checkpoint is written.
        others = [other for other in trainer.callbacks if other is not self]
        trainer.callbacks = [*others, self]

    def _is_due(self, trainer: Trainer) -> bool:
        late = False
        if self.every_n_minutes is not None:  # clocks differ: of several processes one that is late is enough
            late = any(largest(trainer, time.monotonic() - self._saved_time >= 60 * self.every_n_minutes))
        return self._step % self.every_n_train_steps == 0 or late or _is_stopping(trainer)

    def _save_last(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(_folder(trainer).last)
        self._saved_time = time.monotonic()


def _states(train_loader: dict[str, Any], random_states: list[dict[str, Any]]) -> dict[str, Any]:
    """Where a run is, as a checkpoint holds it: in the data, and in the random numbers of each process."""
    first, *others = random_states
    return {"train_loader": train_loader, "random_state": first, "other_random_states": others}


def _folder(trainer: Trainer) -> RunFolder:
    assert isinstance(trainer, KQATrainer)
    return trainer.folder


def _is_stopping(trainer: Trainer) -> bool:
    return trainer.should_stop or trainer.received_sigterm

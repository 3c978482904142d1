"""KQATrainer: Lightning's trainer, with checkpoints found by name in any process and a run that ends validated."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.utilities.exceptions import MisconfigurationException, SIGTERMException

from kqa_lightning.checkpoints import read_checkpoint
from kqa_lightning.curves import Curves
from kqa_lightning.messages import say
from kqa_lightning.run_folder import LAST, RunFolder
from kqa_lightning.trainer_settings import check_launcher, check_settings, explain


class KQATrainer(Trainer):
    """Lightning's trainer over a run folder, ``default_root_dir``.

    Args:
        args: As for Lightning's trainer.
        kwargs: As for Lightning's trainer.
    """

    # Which Lightning sets without declaring them.
    callbacks: list[Callback]
    overfit_batches: int | float

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        check_settings(kwargs)
        try:
            super().__init__(*args, **kwargs)
        except (MisconfigurationException, TypeError, ValueError) as error:
            raise explain(error, kwargs) from error
        check_launcher(self)
        self._settings = dict(kwargs)
        self.folder = RunFolder(self.default_root_dir)
        self.validated_step: int | None = None  # optimizer step of the latest validation; RunCheckpoint keeps it
        self.in_fit = False  # also in the validation that ends a fit
        self.going_on_from: Path | None = None  # the checkpoint of this fit; None where it begins anew
        self.begun = False  # whether this fit has passed all checks and writes to its folder
        self.signalled = 0  # SIGINT, SIGTERM or a scheduler's signal that came to this process; 0 for none
        self.is_told_twice = False  # a second signal came to this process while it validated
        self.stop_signal = 0  # the one that the run stops for, in all its processes
        self.stopped_early = False  # this fit has been stopped by a signal, and only its last validation is to come
        self.queued_again = False  # the scheduler takes the machine away now, and has the run go on later
        self.weights: Path | None = None  # the checkpoint that validate, test or predict uses; None for none
        self.note = ""  # which weights are used; StartNote says it when the work starts

    @property
    def received_sigterm(self) -> bool:
        """Whether the run is to stop.

        All processes of a training say the same, and say it between two optimizer steps: Lightning's own handler has
        them communicate whenever a signal comes, which another may do at the same time about something else.
        """
        return self.stop_signal != 0

    @property
    def heard_sigterm(self) -> bool:
        """Whether Lightning's own handler had a SIGTERM, which it has until SignalExit puts its own there."""
        return super().received_sigterm

    def fit(  # type: ignore[override]
        self,
        model: LightningModule,
        datamodule: LightningDataModule | None = None,
        ckpt_path: str | None = None,
    ) -> None:
        """Fine-tune on data.train_path, validating as it goes and at the end.

        Args:
            model: The module to train.
            datamodule: The questions.
            ckpt_path: Go on from a checkpoint: last or best of this root dir, or a file. Where there is no last yet,
                training starts.
        """
        self.folder = folder = RunFolder(self.default_root_dir)
        folder.check_writable()
        checkpoint = None if ckpt_path is None else folder.resolve(ckpt_path, may_be_missing=True)
        self.going_on_from = checkpoint
        if checkpoint is not None:
            step = read_checkpoint(checkpoint, mmap=True)["global_step"]
            self.note = f"going on from {checkpoint}, step {step}"
            if folder.holds(checkpoint) and isinstance(self.logger, Curves):
                self.logger.go_on_from(step)
        elif ckpt_path == LAST:
            self.note = f"there is no {folder.last} to go on from: starting from the base model"
        self.in_fit, self.begun, self.stopped_early = True, False, False
        try:
            with self._refusals():
                try:
                    super().fit(model, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True)
                except SIGTERMException:
                    self._have_it_validated()
                # A run that was finished before, or stopped between validations, has weights none has seen.
                if self.enable_validation and self.validated_step != self.global_step:
                    super().validate(model, datamodule=datamodule, verbose=False)
                if self.received_sigterm:
                    raise SIGTERMException
        except BaseException:
            if self.begun and folder.last.exists():
                say(f"{folder.last} holds what was done: the same command with --ckpt_path last goes on")
            elif not self.begun and self.is_global_zero and isinstance(self.logger, Curves):
                folder.discard_new_curves()
            raise
        finally:
            self.in_fit = False
            folder.let_go()

    def validate(  # type: ignore[override]
        self,
        model: LightningModule,
        datamodule: LightningDataModule | None = None,
        ckpt_path: str | None = None,
    ) -> None:
        """Score answers on data.val_path, or on the part of data.train_path kept for validation.

        Args:
            model: The module to score.
            datamodule: The questions.
            ckpt_path: Use a checkpoint: last or best of this root dir, or a file. Without one, the base model alone.
        """
        checkpoint = self._weights(ckpt_path)
        with self._refusals():
            super().validate(model, datamodule=datamodule, ckpt_path=checkpoint, verbose=False, weights_only=True)

    def test(  # type: ignore[override]
        self,
        model: LightningModule,
        datamodule: LightningDataModule | None = None,
        ckpt_path: str | None = None,
    ) -> None:
        """Score answers on data.test_path.

        Args:
            model: The module to score.
            datamodule: The questions.
            ckpt_path: Use a checkpoint: last or best of this root dir, or a file. Without one, the base model alone.
        """
        checkpoint = self._weights(ckpt_path)
        try:
            with self._refusals():
                super().test(model, datamodule=datamodule, ckpt_path=checkpoint, verbose=False, weights_only=True)
        except BaseException:  # its curves are two points at the end
            if self.is_global_zero:
                self.folder.discard_new_curves()
            raise

    def predict(  # type: ignore[override]
        self,
        model: LightningModule,
        datamodule: LightningDataModule | None = None,
        ckpt_path: str | None = None,
    ) -> None:
        """Answer the questions of data.predict_path.

        Args:
            model: The module that answers.
            datamodule: The questions.
            ckpt_path: Use a checkpoint: last or best of this root dir, or a file. Without one, the base model alone.
        """
        checkpoint = self._weights(ckpt_path)
        with self._refusals():
            super().predict(
                model, datamodule=datamodule, return_predictions=False, ckpt_path=checkpoint, weights_only=True
            )

    # LightningCLI takes a command's options from the trainer's method of its name (here --ckpt_path), and runs its own
    # method of that name where it has one: KQACLI.crossfit. `def crossfit` would not do: jsonargparse names a group of
    # options after the method, and there is a group crossfit.
    def _options_of_crossfit(
        self,
        model: LightningModule,
        datamodule: LightningDataModule | None = None,
        ckpt_path: str | None = None,
    ) -> None:
        """Fine-tune a model for each fold of data.train_path, and answer the fold's questions with it.

        Args:
            model: Not used: each fold has its own.
            datamodule: Not used: each fold has its own.
            ckpt_path: Go on with what was begun in this root dir: last. Where there is nothing yet, the first fold
                starts.
        """
        raise NotImplementedError("each fold has a trainer of its own: use kqa_lightning.loops.crossfit.Crossfit")

    crossfit = _options_of_crossfit

    def _have_it_validated(self) -> None:
        """Make ready for the validation that ends a training which a signal stopped, once last.ckpt is written.

        Raises:
            SIGTERMException: there is nothing to validate, or no time for it.
        """
        cannot_wait = self.queued_again or self.is_told_twice
        if not self.enable_validation or cannot_wait or not self.begun or not self.global_step:
            raise SIGTERMException
        if self.validated_step != self.global_step:
            say(f"{self.folder.last} is written; validating what was trained (one more signal ends that)")
            self.stopped_early, self.stop_signal = True, 0

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """Turn what Lightning itself raises about a setting when a run begins into the error of wrong input, and the
        SIGTERM that stands for an interrupt from the keyboard back into one.
        """
        try:
            yield
        except SIGTERMException:
            if self.stop_signal == signal.SIGINT:
                raise KeyboardInterrupt from None
            raise
        except (MisconfigurationException, ValueError) as error:
            of_a_setting = not self.begun and _raised_in(error).startswith("lightning.")
            if isinstance(error, MisconfigurationException) or of_a_setting:
                raise explain(error, self._settings) from error
            raise

    def _weights(self, ckpt_path: str | None) -> str | None:
        """The file of the weights to use."""
        self.folder = RunFolder(self.default_root_dir)
        self.folder.check_writable()
        self.weights = None if ckpt_path is None else self.folder.resolve(ckpt_path)
        if self.weights is None:
            self.note = "no --ckpt_path given: the base model answers as it is (zero-shot)"
            return None
        self.note = f"using {self.weights}"
        return str(self.weights)


def _raised_in(error: Exception) -> str:
    """The module that raised ``error``."""
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    return "" if step is None else step.tb_frame.f_globals.get("__name__", "")

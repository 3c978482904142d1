"""The progress bar: while questions are answered, it counts answers and not batches."""

from typing import Any, TypeVar

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.trainer.states import TrainerFn
from tqdm import tqdm

from callbacks.answer_evaluation import AnswerEvaluation
from callbacks.prediction_writer import PredictionWriter
from callbacks.running_score import RunningScore
from kqa_lightning.data.datamodule import data_of
from kqa_lightning.data.tables import Part

_Kind = TypeVar("_Kind", bound=Callback)


class AnswerProgress(TQDMProgressBar):
    """Lightning's progress bar, with answers done, answers a second, time left and the character F1 so far.

    So in validate, test and predict; in predict where the table has gold answers. Answers that an earlier predict
    left in its journal count as done. In fit the bars count batches, as Lightning's do.

    Args:
        args: As for Lightning's bar.
        kwargs: As for Lightning's bar.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the bar of a training; one that goes on in mid-epoch is not told that an epoch starts."""
        super().on_train_start(trainer, pl_module)
        if trainer.fit_loop.restarted_mid_epoch:
            bar = self.train_progress_bar
            bar.reset(total=self.total_train_batches)
            # Counted, and taking none of this run's time.
            bar.initial = bar.n = trainer.fit_loop.epoch_loop.batch_progress.current.ready
            bar.set_description(f"Epoch {trainer.current_epoch}")

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the bar of a validation."""
        super().on_validation_start(trainer, pl_module)
        if not _in_fit(trainer):
            self._begin(self.val_progress_bar, trainer, "val", trainer.num_val_batches)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the bar of a test."""
        super().on_test_start(trainer, pl_module)
        self._begin(self.test_progress_bar, trainer, "test", trainer.num_test_batches)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the bar of a prediction, with the answers there are."""
        super().on_predict_start(trainer, pl_module)
        bar = self.predict_progress_bar
        self._begin(bar, trainer, "predict", trainer.num_predict_batches)
        for writer in _of_type(trainer, PredictionWriter):
            bar.initial = bar.n = writer.score.answered  # they took none of this run's time
            bar.refresh()

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any
    ) -> None:
        """Leave the bar's total as it is, where it counts answers."""
        if _in_fit(trainer):
            super().on_validation_batch_start(trainer, pl_module, *args)

    def on_test_batch_start(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        """Leave the bar's total as it is."""

    def on_predict_batch_start(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        """Leave the bar's total as it is."""

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        """Show the answers so far."""
        if _in_fit(trainer):
            super().on_validation_batch_end(trainer, pl_module, *args)
            return
        for evaluation in _of_type(trainer, AnswerEvaluation):
            self._show(self.val_progress_bar, evaluation.score)

    def on_test_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        """Show the answers so far."""
        for evaluation in _of_type(trainer, AnswerEvaluation):
            self._show(self.test_progress_bar, evaluation.score)

    def on_predict_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        """Show the answers so far."""
        for writer in _of_type(trainer, PredictionWriter):
            self._show(self.predict_progress_bar, writer.score)

    def _begin(self, bar: tqdm, trainer: Trainer, part: Part, batches: list[int | float]) -> None:
        questions = sum(map(len, data_of(trainer).groups(part)[: int(sum(batches))]))
        if part != "predict":
            limits = (evaluation.limit(trainer) for evaluation in _of_type(trainer, AnswerEvaluation))
            questions = min([questions, *(limit for limit in limits if limit is not None)])
        bar.unit = " answers"
        bar.reset(total=questions)

    def _show(self, bar: tqdm, score: RunningScore) -> None:
        if bar.disable:
            return
        bar.n = score.answered
        if score.char_f1 is not None:
            bar.set_postfix(char_f1=f"{score.char_f1:.4f}", refresh=False)
        bar.refresh()


def _in_fit(trainer: Trainer) -> bool:
    """Whether the validation is one among trainings; the one that ends a fit is a stage of its own."""
    return trainer.state.fn == TrainerFn.FITTING


def _of_type(trainer: Trainer, kind: type[_Kind]) -> list[_Kind]:
    return [callback for callback in trainer.callbacks if isinstance(callback, kind)]  # type: ignore[attr-defined]

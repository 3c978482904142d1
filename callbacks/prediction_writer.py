"""Writes the answers of ``predict``."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from kqa_lightning.errors import KQAError
from kqa_lightning.files import user_path
from kqa_lightning.messages import say
from kqa_lightning.model.module import AnsweredQuestion
from kqa_lightning.prediction_files import TABLE, write_answers, write_candidates


class PredictionWriter(Callback):
    """Writes ``predictions.csv`` (id, answer) and ``predictions.jsonl`` (every candidate with its scores).

    Both are in the order of the table that was read, in UTF-8, and appear whole when all questions are answered.

    Args:
        path: Folder for the two files, or a name for the first ending in .csv, beside which the second goes; null for
            the root dir.
    """

    def __init__(self, path: str | None = None) -> None:
        self.path = path
        self._answered: dict[int, AnsweredQuestion] = {}  # by row of the table

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a place that cannot be written to before any question is answered.

        Raises:
            KQAError: naming the place; or where several processes would each write their own part.
        """
        if stage == "predict":
            if trainer.world_size > 1:
                raise KQAError(f"predict runs in one process, not in {trainer.world_size}: pass --trainer.devices 1")
            self._answered.clear()
            for target in self._targets(trainer):
                _check_writable(target)

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: list[AnsweredQuestion],
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Keep a batch's answers."""
        self._answered.update({question.row: question for question in outputs})

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write both files."""
        if not trainer.is_global_zero:
            return
        ids = trainer.datamodule.tables["predict"]["id"][:]  # type: ignore[attr-defined]
        questions = {ids[row]: self._answered[row] for row in sorted(self._answered)}
        table, lines = self._targets(trainer)
        write_answers(table, {name: question.candidates[0].answer for name, question in questions.items()})
        write_candidates(
            lines, {name: [asdict(one) for one in question.candidates] for name, question in questions.items()}
        )
        part = "" if len(questions) == len(ids) else f" to {len(ids)} questions (--trainer.limit_predict_batches)"
        say(f"{table}: {len(questions)} answers{part}; every candidate with its scores: {lines}")

    def _targets(self, trainer: Trainer) -> tuple[Path, Path]:
        path = user_path(trainer.default_root_dir if self.path is None else self.path)
        table = path if path.suffix == ".csv" else path / TABLE
        return table, table.with_suffix(".jsonl")


def _check_writable(target: Path) -> None:
    folder = next(path for path in target.absolute().parents if path.exists())
    if target.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise KQAError(f"--prediction_writer.path: {target} cannot be written; name a folder, or a file ending in .csv")

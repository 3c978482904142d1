"""Writes the answers of ``predict``: to a journal as they come, to their files at the end."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from callbacks.running_score import RunningScore
from kqa_lightning.answer_journal import AnswerJournal, Group, find_journals, journal_path, read_journals
from kqa_lightning.answer_settings import answer_settings
from kqa_lightning.data.datamodule import data_of
from kqa_lightning.errors import KQAError
from kqa_lightning.files import remove_leftovers, user_path
from kqa_lightning.messages import say
from kqa_lightning.model.groups import TokenBudget
from kqa_lightning.model.module import AnsweredQuestion, KQAModule
from kqa_lightning.prediction_files import TABLE, write_answers, write_candidates
from kqa_lightning.processes import gathered
from kqa_lightning.trainer import KQATrainer


class PredictionWriter(Callback):
    """Writes ``predictions.csv`` (id, answer) and ``predictions.jsonl`` (every candidate with its scores).

    Both are in the order of the table that was read, in UTF-8, and appear whole when all questions are answered. Until
    then the answers are in a journal beside them, ``predictions.rank0.journal``: where predict is stopped, the same
    command goes on with what it holds.

    Args:
        path: Folder for the two files, or a name for the first ending in .csv, beside which the second goes; null for
            the root dir.
    """

    def __init__(self, path: str | None = None) -> None:
        self.path = path
        self.score = RunningScore()
        self._settings: dict[str, str] = {}
        self._groups: list[tuple[str, ...]] = []  # ids of each batch that is this process's to answer
        self._going_on_with: set[tuple[str, ...]] = set()  # groups that are in the journals already
        self._budgets: dict[int, TokenBudget] = {}  # with which those of them ended that are this process's
        self._journal: AnswerJournal | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Look for answers of a run that was stopped, and have the data module leave out what they are to.

        Raises:
            KQAError: a place that cannot be written to, or answers there that were given with other settings. The
                model is not loaded yet.
        """
        if stage != "predict":
            return
        assert isinstance(trainer, KQATrainer)
        assert isinstance(pl_module, KQAModule)
        if trainer.num_nodes > 1:
            raise KQAError(f"predict runs on one machine, not on {trainer.num_nodes}: pass --trainer.num_nodes 1")
        data = data_of(trainer)
        table, lines = self._targets(trainer)
        for target in (table, lines):
            _check_writable(target, [user_path(source) for source in data.paths.values() if source])
        self._settings = answer_settings(trainer, pl_module, data)
        ids, golds = (data.tables["predict"][column][:] for column in ("id", "answers"))
        # A group is left out only where it is now what it was: its questions were answered together, in this order.
        answered = {group.ids: group for group in read_journals(find_journals(table), self._settings)}
        self._going_on_with = set(answered)
        self.score, self._budgets, planned = RunningScore(), {}, data.groups("predict")
        self._groups = [tuple(ids[row] for row in rows) for rows in planned]
        for number, rows in enumerate(planned):
            group = answered.get(self._groups[number])
            if group is not None:
                self._budgets[number] = TokenBudget(**group.budget)
                answers = [candidates[0]["answer"] for candidates in group.answers.values()]
                self.score.add(answers, [golds[row] for row in rows])
        data.pass_over(self._budgets)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the journal, or go on with it.

        Raises:
            KQAError: it cannot be written, another process writes to it, or has finished while the model was loaded.
        """
        assert isinstance(pl_module, KQAModule)
        pl_module.answer_budget.become(TokenBudget())  # what a validation before has lowered it to is not in a journal
        table, lines = self._targets(trainer)
        path = journal_path(table, trainer.global_rank)
        self._journal = AnswerJournal(path, self._settings)
        if trainer.is_global_zero:  # which alone writes the two files, and holds the journal's lock now
            remove_leftovers(table.parent, table.name, lines.name)
        if not self._going_on_with <= {group.ids for group in read_journals(find_journals(table), self._settings)}:
            raise KQAError(f"{table}: another predict has finished meanwhile; run this one again to answer anew")
        if self.score.answered:
            say(f"{path} holds {self.score.answered} answers: going on with the others")

    def on_predict_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Begin a group with the bounds on memory that the one before it ended with, also where that is passed over.

        Other bounds make other parts of it, and another last digit of some scores.
        """
        assert isinstance(pl_module, KQAModule)
        if before := self._budgets.get(batch_idx - 1):
            pl_module.answer_budget.become(before)

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: list[AnsweredQuestion],
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Put a batch's answers on the disk.

        Raises:
            KQAError: they cannot be written.
        """
        assert self._journal is not None
        assert isinstance(pl_module, KQAModule)
        if not outputs:
            return
        asked = data_of(trainer).tables["predict"].select([question.row for question in outputs])
        found = [[asdict(candidate) for candidate in question.candidates] for question in outputs]
        answers = dict(zip(asked["id"], found, strict=True))
        self._journal.append(Group(answers, asdict(pl_module.answer_budget)))
        self.score.add([candidates[0]["answer"] for candidates in found], asked["answers"][:])

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write both files from the journals of all processes, and remove these.

        Raises:
            KQAError: the files cannot be written, or the journals no longer hold what was answered.
        """
        ours = self._groups[: int(trainer.num_predict_batches[0])]
        groups = [group for each in gathered(trainer, ours) for group in each if group]  # once all have answered
        if trainer.is_global_zero:
            self._write(trainer, groups)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Let the journal go, however the run ended."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """The same, and say how to go on where no error does."""
        if self._journal is not None and self.score.answered and not isinstance(exception, KQAError):
            say(f"{self._journal.path} holds what was answered: the same command goes on")
        self.teardown(trainer, pl_module, "predict")

    def _write(self, trainer: Trainer, groups: Sequence[tuple[str, ...]]) -> None:
        table, lines = self._targets(trainer)
        journals = find_journals(table)
        answered = {group.ids: group for group in read_journals(journals, self._settings)}
        if lost := sum(len(group) for group in groups if group not in answered):
            raise KQAError(
                f"{journal_path(table, 0)}: of {sum(map(len, groups))} answers {lost} are not there any more, because"
                " a journal was damaged, moved or removed while predict ran; the same command again answers them"
            )
        found = {name: candidates for group in groups for name, candidates in answered[group].answers.items()}
        ids = data_of(trainer).tables["predict"]["id"][:]
        candidates = {name: found[name] for name in ids if name in found}
        try:
            write_answers(table, {name: each[0]["answer"] for name, each in candidates.items()})
            write_candidates(lines, candidates)
        except OSError as error:
            raise KQAError(
                f"{table} and {lines.name} cannot be written ({error.strerror}); make room, and the same command"
                " writes them without answering anew"
            ) from error
        for journal in journals:
            journal.unlink()
        part = "" if len(candidates) == len(ids) else f" to {len(ids)} questions (--trainer.limit_predict_batches)"
        say(f"{table}: {len(candidates)} answers{part}; every candidate with its scores: {lines}")

    def _targets(self, trainer: Trainer) -> tuple[Path, Path]:
        path = user_path(trainer.default_root_dir if self.path is None else self.path)
        table = path if path.suffix == ".csv" else path / TABLE
        return table, table.with_suffix(".jsonl")


def _check_writable(target: Path, tables: Sequence[Path]) -> None:
    if target.exists() and any(table.exists() and target.samefile(table) for table in tables):
        raise KQAError(f"--prediction_writer.path: {target} is a table of questions; name another file")
    folder = next(path for path in target.absolute().parents if path.exists())
    if target.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise KQAError(f"--prediction_writer.path: {target} cannot be written; name a folder, or a file ending in .csv")

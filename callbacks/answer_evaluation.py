"""Scores generated answers in validation and test, and shows some of them."""

import random
from collections.abc import Sequence
from itertools import chain, islice
from typing import Any, Literal

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from callbacks.running_score import RunningScore
from kqa_lightning.data.datamodule import data_of
from kqa_lightning.errors import KQAError
from kqa_lightning.metrics import CharF1, ExactMatch
from kqa_lightning.model.module import AnsweredQuestion, KQAModule
from kqa_lightning.trainer import KQATrainer

Part = Literal["val", "test"]


class AnswerEvaluation(Callback):
    """Answers the questions of a validation or test; logs char_f1 and exact_match of the answers, from 0 to 1.

    Args:
        num_examples: Questions shown with answer and gold in TensorBoard's text tab, the same at each validation; of
            several processes the first shows of its own.
        max_questions: Most questions to answer in each validation of fit, from the start of the table; null for all.
            The commands validate and test answer all.
    """

    def __init__(self, num_examples: int = 8, max_questions: int | None = None) -> None:
        if num_examples < 0:
            raise KQAError(f"--answer_evaluation.num_examples {num_examples}: it cannot be below 0")
        if max_questions is not None and max_questions < 1:
            raise KQAError(f"--answer_evaluation.max_questions {max_questions}: at least 1 is needed")
        self.num_examples = num_examples
        self.max_questions = max_questions
        self.char_f1 = CharF1()
        self.exact_match = ExactMatch()
        self.score = RunningScore()  # of this process alone, for the progress bar
        self._wanted: frozenset[int] | None = None  # rows of the table to answer; None for all
        self._answers: dict[int, str] = {}  # by row of the table

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the answers of the validation before."""
        self._start(trainer, pl_module, "val")

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the answers of the test before."""
        self._start(trainer, pl_module, "test")

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *indices: int
    ) -> None:
        """Answer a batch's questions."""
        self._answer(trainer, pl_module, batch, "val")

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *indices: int
    ) -> None:
        """Answer a batch's questions."""
        self._answer(trainer, pl_module, batch, "test")

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the scores and show the examples."""
        self._log(pl_module, "val")
        self._show(trainer, "val")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the scores and show the examples."""
        self._log(pl_module, "test")
        self._show(trainer, "test")

    def limit(self, trainer: Trainer) -> int | None:
        """Most questions that a validation or test by ``trainer`` answers; None for all."""
        return self.max_questions if isinstance(trainer, KQATrainer) and trainer.in_fit else None

    def _start(self, trainer: Trainer, pl_module: LightningModule, part: Part) -> None:
        limit = self.limit(trainer)
        rows = chain.from_iterable(data_of(trainer).articles[part].question_rows)  # in the order they are answered in
        self._wanted = None if limit is None else frozenset(islice(rows, limit))
        self.score = RunningScore()
        for metric in (self.char_f1, self.exact_match):
            metric.reset()
            metric.to(pl_module.device)
        self._answers.clear()

    def _answer(self, trainer: Trainer, pl_module: LightningModule, batch: Any, part: Part) -> None:
        assert isinstance(pl_module, KQAModule)
        wanted = self._wanted
        rows = {question.row for article in batch.articles for question in article.questions}
        asked = rows if wanted is None else rows & wanted
        answered: list[AnsweredQuestion] = pl_module.answer(batch) if asked else []
        if wanted is not None:
            answered = [question for question in answered if question.row in wanted]
        answers = [question.candidates[0].answer for question in answered]
        golds = _column(trainer, part, "answers", [question.row for question in answered])
        self.char_f1.update(answers, golds)
        self.exact_match.update(answers, golds)
        self.score.add(answers, golds)
        self._answers.update({question.row: answer for question, answer in zip(answered, answers, strict=True)})

    def _log(self, pl_module: LightningModule, part: Part) -> None:
        for name, metric in (("char_f1", self.char_f1), ("exact_match", self.exact_match)):
            pl_module.log(f"{part}/{name}", metric.compute().float(), prog_bar=name == "char_f1", sync_dist=True)

    def _show(self, trainer: Trainer, part: Part) -> None:
        """Write the table of examples where there are curves to write it beside."""
        if not isinstance(trainer.logger, TensorBoardLogger) or not trainer.is_global_zero or trainer.sanity_checking:
            return
        # A generator of its own: drawing from the global one would change the training that goes on.
        rows = sorted(random.Random(0).sample(sorted(self._answers), min(self.num_examples, len(self._answers))))
        questions, golds = _column(trainer, part, "question", rows), _column(trainer, part, "answers", rows)
        lines = ["| question | answer | gold |", "| --- | --- | --- |"]
        for row, question, gold in zip(rows, questions, golds, strict=True):
            cells = (question, self._answers[row], " / ".join(gold))
            lines.append("| " + " | ".join(map(_as_cell, cells)) + " |")
        if rows:
            step = max(trainer.global_step - 1, 0)  # curves count steps from 0
            trainer.logger.experiment.add_text(f"{part}/examples", "\n".join(lines), step)


def _column(trainer: Trainer, part: Part, column: str, rows: Sequence[int]) -> list[Any]:
    """The values of ``column`` at ``rows`` of the table of ``part``."""
    return data_of(trainer).tables[part].select(rows)[column][:]


def _as_cell(text: str) -> str:
    """``text`` as the content of one cell of a Markdown table."""
    for sign, shown in (("&", "&amp;"), ("<", "&lt;"), ("|", "&#124;"), ("*", "&#42;"), ("_", "&#95;"), ("`", "&#96;")):
        text = text.replace(sign, shown)
    return " ".join(text.split())

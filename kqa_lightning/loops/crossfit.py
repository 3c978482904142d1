"""Cross-fitting: predictions for a whole training table, each by a model that has not read its article.

A plain loop over the folds of the training table, with a trainer, a module and a data module of its own for each.
What an ensemble learns from these predictions (stacked generalisation, Wolpert 1992) holds for questions that no
model was trained on, as those of a test table are.
"""

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import torch
from lightning import seed_everything
from lightning.pytorch.utilities import rank_zero_only

from kqa_lightning.data.datamodule import KQADataModule
from kqa_lightning.data.splits import article_key, split_folds
from kqa_lightning.data.tables import load_table
from kqa_lightning.errors import KQAError
from kqa_lightning.loops.fold_scores import FoldScore, format_scores, read_candidates, score_fold, write_scores
from kqa_lightning.loops.plan import begin_plan, table_digest
from kqa_lightning.messages import say
from kqa_lightning.model.module import KQAModule
from kqa_lightning.prediction_files import LINES, TABLE, write_answers, write_candidates
from kqa_lightning.run_folder import LAST, RunFolder
from kqa_lightning.trainer import KQATrainer


@dataclass(frozen=True)
class Run:
    """What one fine-tuning needs, made for it alone.

    Args:
        trainer: Over the run's own folder.
        model: The module to train.
        data: The questions.
    """

    trainer: KQATrainer
    model: KQAModule
    data: KQADataModule


@dataclass(frozen=True)
class Folds:
    """A cross-fitting that has been begun.

    Args:
        folder: The root dir, which the first process has taken.
        table: The training table.
        rows: Of each fold its rows of the table.
    """

    folder: RunFolder
    table: datasets.Dataset
    rows: list[list[int]]


class Crossfit:
    """Fine-tunes a model for each fold of data.train_path on the other folds, and answers the fold with it.

    Args:
        folds: Parts that the articles of the training table are dealt to.
        final_model: Whether to fine-tune a last model on the whole training table, in ``final/`` of the root dir.
    """

    def __init__(self, folds: int = 5, final_model: bool = False) -> None:
        self.folds = folds
        self.final_model = final_model

    def begin(self, run: Run, settings: Mapping[str, Any], go_on: bool = False) -> Folds:
        """Check what can be checked before the first fold, and begin or go on in the run's root dir.

        Args:
            run: One over the root dir.
            settings: All that decides the predictions, by the name of its option.
            go_on: Keep the folds that an earlier call has answered, and go on in the one that it was in.

        Raises:
            KQAError: naming the setting that is wrong, or that is not what it was when the first fold began; or
                another run is writing to the folder.
        """
        _check(run.trainer)
        table = run.data.training_table()
        rows = split_folds(table["context"], self.folds, run.data.seed)
        folder = RunFolder(run.trainer.default_root_dir)
        folder.check_writable()
        plan = dict(settings) | {"content of data.train_path": table_digest(table)}
        if (validation := _validation_table(run.data, table)) is not None:
            plan["content of data.val_path"] = table_digest(validation)
        run.data.hold_out(rows[0])
        run.data.setup("fit")
        if run.trainer.is_global_zero:
            folder.take()
            try:
                begin_plan(folder, plan, go_on)
            except KQAError:
                folder.let_go()
                raise
        return Folds(folder, table, rows)

    def run(self, folds: Folds, make: Callable[[Path], Run], seed: int | bool = 0) -> None:
        """Leave out-of-fold predictions for the whole training table in ``oof/``, and print what they score.

        Args:
            folds: What was begun.
            make: Gives the run that writes into a folder.
            seed: Every run begins with it; False for none.
        """
        scores = []
        for number, rows in enumerate(folds.rows, start=1):
            place = folds.folder.out_of_fold / f"fold-{number}"
            if (place / LINES).exists():
                say(f"fold {number} of {self.folds}: answered before")
            else:
                say(f"fold {number} of {self.folds}: learning from the others, to answer {len(rows)} questions")
                _fit_and_answer(make(place), rows, seed)
            scores.append(score_fold(place / LINES, folds.table.select(rows)))
        _gather(folds, scores)
        if self.final_model:
            say(f"a model on all {len(folds.table)} questions")
            _fit_on_all(make(folds.folder.final), seed)


def _check(trainer: KQATrainer) -> None:
    if trainer.num_nodes > 1:
        raise KQAError(f"crossfit runs on one machine, not on {trainer.num_nodes}: pass --trainer.num_nodes 1")
    limit = trainer.limit_predict_batches  # --trainer.fast_dev_run sets it too
    if isinstance(limit, int) or limit != 1.0:  # 1 is one batch, 1.0 is all of them
        raise KQAError(
            "crossfit answers every question of the training table: leave out --trainer.limit_predict_batches and "
            "--trainer.fast_dev_run"
        )


def _validation_table(data: KQADataModule, table: datasets.Dataset) -> datasets.Dataset | None:
    """The table of data.val_path, None where there is none.

    Raises:
        KQAError: it has an article of the training table, whose fold would choose its own checkpoint.
    """
    source = data.paths["val"]
    if source is None:
        return None
    validation = load_table(source, "val", data.columns, require_answers=True)
    trained, validated = ({article_key(context) for context in set(part["context"])} for part in (table, validation))
    if known := len(trained & validated):
        raise KQAError(
            f"--data.val_path {source} shares {known} of its {len(validated)} articles with the training table: the "
            "fold that is answered would choose its own checkpoint; give a table of other articles, or leave "
            "the flag out to validate on a part of the other folds"
        )
    return validation


def _fit_and_answer(run: Run, rows: Sequence[int], seed: int | bool) -> None:
    """Fine-tune without the questions of some rows, then answer these."""
    run.data.hold_out(rows)
    _fit(run, seed)
    best = run.trainer.folder.best
    if run.trainer.folder.best_is_lost():
        how = "damaged" if best.exists() else "gone"
        raise KQAError(f"{best} is {how}; remove {run.trainer.folder.root}, and the same command makes this fold anew")
    run.trainer.predict(run.model, run.data, ckpt_path=str(best if best.exists() else run.trainer.folder.last))
    run.trainer.strategy.barrier("the fold's answers are written")


def _fit_on_all(run: Run, seed: int | bool) -> None:
    run.data.train_on_all()
    if run.data.paths["val"] is None:
        run.trainer.limit_val_batches = 0  # nothing is left to validate on
    _fit(run, seed)


def _fit(run: Run, seed: int | bool) -> None:
    _free_memory()
    if seed is not False:
        seed_everything(seed, workers=True, verbose=False)
    folder = run.trainer.folder
    begun = folder.last.exists() or folder.previous.exists()
    if begun and folder.nothing_to_go_on_with():
        raise KQAError(
            f"neither {folder.last} nor {folder.previous} can be read; remove {folder.root}, and the same command makes"
            " this model anew"
        )
    run.trainer.fit(run.model, run.data, ckpt_path=LAST if begun else None)


def _free_memory() -> None:
    """Give back the model of the run before: two may not fit on a GPU."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@rank_zero_only
def _gather(folds: Folds, scores: Sequence[FoldScore]) -> None:
    """Write the predictions of all folds in the order of the table, and what they score."""
    candidates: dict[str, list[dict[str, Any]]] = {}
    for score in scores:
        candidates |= read_candidates(score.predictions)
    ordered = {question: candidates[question] for question in folds.table["id"]}
    folder = folds.folder.out_of_fold
    write_candidates(folder / LINES, ordered)
    write_answers(folder / TABLE, {question: found[0]["answer"] for question, found in ordered.items()})
    write_scores(folder / "scores.json", scores)
    print(format_scores(scores))
    say(f"{folder / LINES}: {len(ordered)} questions, each answered by a model that has not read its article")

"""Out-of-fold predictions are those of separate runs by hand, for every row, whatever happens on the way."""

import json
import shutil
import signal
import time
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from safetensors.torch import load_file
from small_runs import SmallRuns, contents, read_rows, read_yaml, refusal, write_rows

from kqa_lightning.__main__ import main
from kqa_lightning.data.packing import PackedBatch
from kqa_lightning.data.splits import split_folds
from kqa_lightning.ensemble.candidate_files import read_candidates
from kqa_lightning.metrics.functional import char_f1
from kqa_lightning.model.module import KQAModule

FOLDS = ("--crossfit.folds", "2")
SCORES = "oof/scores.json"
LINES = "oof/predictions.jsonl"
ADAPTER = "adapter/adapter_model.safetensors"


class Stopped(BaseException):
    """Passes through everything, as no error would."""


def stop(target: Path) -> NoReturn:
    raise Stopped


@pytest.fixture(scope="module")
def crossfitted(runs: SmallRuns) -> Path:
    """An undisturbed cross-fitting in two folds; not to be written to."""
    assert runs("crossfit", "crossfitted", *FOLDS) == 0
    return runs.folder / "crossfitted"


def test_every_row_is_answered_in_order(runs: SmallRuns, crossfitted: Path) -> None:
    ids = [row["id"] for row in read_rows(runs.tables["train"])]
    found = read_candidates(crossfitted / LINES)  # the ensemble takes what is written
    assert found.ids == ids
    assert [row["id"] for row in read_rows(crossfitted / "oof/predictions.csv")] == ids
    assert [row["answer"] for row in read_rows(crossfitted / "oof/predictions.csv")] == found.answers
    assert read_yaml(crossfitted / "crossfit.yaml")["trainer"]["default_root_dir"] == str(crossfitted)


def test_a_fold_is_answered_as_by_a_fit_on_the_other_folds(runs: SmallRuns, crossfitted: Path) -> None:
    rows = read_rows(runs.tables["train"])
    held_out = split_folds([row["context"] for row in rows], 2, seed=0)[1]
    others = [row for place, row in enumerate(rows) if place not in held_out]
    assert not {row["context"] for row in others} & {rows[place]["context"] for place in held_out}
    train = write_rows(runs.folder / "others.csv", others)
    predict = write_rows(runs.folder / "held-out.csv", [rows[place] for place in held_out])
    options = ("--data.train_path", str(train), "--data.predict_path", str(predict))
    assert runs("fit", "by-hand", *options) == 0
    assert runs("predict", "by-hand", *options, "--ckpt_path", "best") == 0
    for file in ("predictions.csv", "predictions.jsonl", ADAPTER):
        assert (crossfitted / "oof/fold-2" / file).read_bytes() == (runs.folder / "by-hand" / file).read_bytes()


def test_scores_are_those_of_the_answers(runs: SmallRuns, crossfitted: Path) -> None:
    gold = {row["id"]: row["answer"] for row in read_rows(runs.tables["train"])}
    answers = {row["id"]: row["answer"] for row in read_rows(crossfitted / "oof/predictions.csv")}
    scores = json.loads((crossfitted / SCORES).read_text(encoding="utf-8"))
    mean = sum(char_f1(answers[name], gold[name]) for name in gold) / len(gold)
    assert scores["all"]["char_f1"] == pytest.approx(mean)
    assert scores["all"]["questions"] == sum(fold["questions"] for fold in scores["folds"]) == len(gold)
    assert [fold["articles"] for fold in scores["folds"]] == [3, 3]


def test_going_on_after_sigkill_gives_the_same_files(runs: SmallRuns, crossfitted: Path) -> None:
    folder = runs.folder / "killed"
    options = (*FOLDS, "--checkpoint.every_n_train_steps", "1")
    process = runs.fork("crossfit", "killed", *options)
    while not (folder / "oof/fold-2/checkpoints/last.ckpt").exists() and process.poll() is None:
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (folder / LINES).exists()
    answered = contents(folder / "oof/fold-1")
    assert runs("crossfit", "killed", *options, "--ckpt_path", "last") == 0
    assert contents(folder / "oof/fold-1") == answered
    for file in (LINES, "oof/predictions.csv", SCORES):
        assert (folder / file).read_bytes() == (crossfitted / file).read_bytes()


@pytest.mark.parametrize("step", [2, 1])
def test_a_fold_goes_on_with_the_step_that_it_was_in(
    runs: SmallRuns, crossfitted: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    root = f"in-a-fold-{step}"
    fold = runs.folder / root / "oof/fold-2"
    options = (*FOLDS, "--checkpoint.every_n_train_steps", "1")
    learn = KQAModule.training_step
    seen: list[tuple[str, int]] = []

    def noting(self: KQAModule, batch: PackedBatch, batch_idx: int) -> object:
        place = self.trainer.default_root_dir, self.trainer.global_step
        first = place not in seen
        seen.append(place)
        if first and place == (str(fold), 2):
            stop(fold)
        return learn(self, batch, batch_idx)

    monkeypatch.setattr(KQAModule, "training_step", noting)
    with pytest.raises(Stopped):
        runs("crossfit", root, *options)
    assert (fold / "checkpoints/last.ckpt").exists()
    if step == 1:  # the one before it is good
        (fold / "checkpoints/last.ckpt").unlink()
    before = len(seen)
    assert runs("crossfit", root, *options, "--ckpt_path", "last") == 0
    assert seen[before] == (str(fold), step)  # and nothing of the first fold
    assert not (fold / "earlier").exists()
    for file in (LINES, "oof/predictions.csv", SCORES):
        assert (runs.folder / root / file).read_bytes() == (crossfitted / file).read_bytes()


def test_a_fold_whose_answers_are_in_a_journal_is_not_answered_again(
    runs: SmallRuns, crossfitted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fold = runs.folder / "answering/oof/fold-1"
    written = "kqa_lightning.prediction_files.written_whole"
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(written, stop)  # as a kill would, before the files of the first fold
        runs("crossfit", "answering", *FOLDS)
    assert (fold / "predictions.rank0.journal").exists()
    asked: list[str] = []
    answer = KQAModule.predict_step

    def noting(self: KQAModule, batch: PackedBatch, batch_idx: int) -> list:
        asked.extend([self.trainer.default_root_dir] * len(batch.articles))
        return answer(self, batch, batch_idx)

    monkeypatch.setattr(KQAModule, "predict_step", noting)
    assert runs("crossfit", "answering", *FOLDS, "--ckpt_path", "last") == 0
    assert set(asked) == {str(fold.with_name("fold-2"))}
    assert not list(runs.folder.glob("answering/oof/*/*.journal"))
    for file in (LINES, "oof/predictions.csv", SCORES):
        assert (runs.folder / "answering" / file).read_bytes() == (crossfitted / file).read_bytes()


def test_without_last_it_begins_anew_and_keeps_what_was_there(
    runs: SmallRuns, crossfitted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = runs.folder / "twice"
    (folder / "oof").mkdir(parents=True)
    (folder / "oof/predictions.csv").write_text("before", encoding="utf-8")
    assert runs("crossfit", "twice", *FOLDS, "--ckpt_path", "last") == 0  # there is no plan: nothing to go on with
    assert "there is no cross-fitting" in capsys.readouterr().err
    assert (folder / "earlier/1/oof/predictions.csv").read_text(encoding="utf-8") == "before"
    assert (folder / LINES).read_bytes() == (crossfitted / LINES).read_bytes()


def test_the_final_model_learns_from_the_whole_table(runs: SmallRuns, crossfitted: Path) -> None:
    assert runs("crossfit", "final", *FOLDS, "--crossfit.final_model", "true") == 0
    assert runs("fit", "whole") == 0
    assert (runs.folder / "final/final" / ADAPTER).read_bytes() == (runs.folder / "whole" / ADAPTER).read_bytes()


def test_the_final_model_leaves_nothing_to_validate_on(runs: SmallRuns, capsys: pytest.CaptureFixture[str]) -> None:
    table = str(runs.tables["train"])
    arguments = runs.arguments("crossfit", "no-val", *FOLDS, "--crossfit.final_model", "true")
    place = arguments.index("--data.val_path")
    del arguments[place : place + 2]
    assert main([*arguments, "--data.val_fraction", "0.34"]) == 0
    assert "nothing was validated" in capsys.readouterr().err
    validated = runs.folder / "no-val/oof/fold-1/checkpoints/best.ckpt"  # on a part of the other fold
    assert validated.exists()
    assert not (runs.folder / "no-val/final/checkpoints/best.ckpt").exists()
    options = ("--data.train_path", table, "--trainer.limit_val_batches", "0")
    assert runs("fit", "all-unvalidated", *options) == 0
    ours, whole = (load_file(runs.folder / run / ADAPTER) for run in ("no-val/final", "all-unvalidated"))
    assert all(ours[name].equal(whole[name]) for name in whole)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--crossfit.folds", "7"), "--crossfit.folds 7: 6 articles make 2 to 6 folds"),
        (("--crossfit.folds", "1"), "--crossfit.folds 1"),
        (("--ckpt_path", "best"), "--ckpt_path best: crossfit goes on from last"),
        *((("--trainer.limit_predict_batches", part), "--trainer.limit_predict_batches") for part in ("1", "0.5")),
        (("--trainer.fast_dev_run", "true"), "--trainer.fast_dev_run"),
        (("--data.train_path", "none.csv"), "none.csv"),
        (("--crossfit.fold", "2"), "--crossfit.folds"),
        (("--ckpt_path", "last", "--crossfit.folds", "3"), "crossfit.folds was 2 and is 3"),
        *(
            (("--ckpt_path", "last", *FOLDS, f"--{name}", value), f"{name.rstrip('+')} was")
            for name, value in (
                ("model.learning_rate", "0.1"),
                ("trainer.overfit_batches", "1"),
                ("trainer.min_epochs", "2"),
                ("trainer.min_steps", "9"),
                ("trainer.callbacks+", "callbacks.Throughput"),
                ("checkpoint.every_n_train_steps", "1"),
            )
        ),
    ],
)
def test_wrong_input_is_refused_and_changes_nothing(
    runs: SmallRuns, crossfitted: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], message: str
) -> None:
    before = contents(crossfitted)
    assert message in refusal(capsys, *runs.arguments("crossfit", "crossfitted", *options))
    assert contents(crossfitted) == before


def test_what_decides_nothing_may_change(runs: SmallRuns, crossfitted: Path) -> None:
    before = (crossfitted / LINES).read_bytes()
    options = (
        *("--data.num_workers", "1", "--data.test_path", "null", "--trainer.log_every_n_steps", "7"),
        *("--trainer.logger", "false", "--finite_guard.max_skipped_steps", "9", "--trainer.detect_anomaly", "true"),
    )
    assert runs("crossfit", "crossfitted", *FOLDS, "--ckpt_path", "last", *options) == 0
    assert (crossfitted / LINES).read_bytes() == before


@pytest.mark.parametrize("part", ["train", "val"])
def test_another_table_is_refused(
    runs: SmallRuns, crossfitted: Path, capsys: pytest.CaptureFixture[str], part: str
) -> None:
    rows = read_rows(runs.tables[part])
    changed = write_rows(runs.folder / f"changed-{part}.csv", [rows[0] | {"answer": "다른 답"}, *rows[1:]])
    moved = write_rows(runs.folder / f"moved-{part}.csv", rows)
    options = (*FOLDS, "--ckpt_path", "last", f"--data.{part}_path")
    message = refusal(capsys, *runs.arguments("crossfit", "crossfitted", *options, str(changed)))
    assert f"content of data.{part}_path was" in message
    before = (crossfitted / LINES).read_bytes()
    assert runs("crossfit", "crossfitted", *options, str(moved)) == 0  # the same rows under another name
    assert (crossfitted / LINES).read_bytes() == before


def test_a_fold_has_no_say_in_its_own_checkpoint(runs: SmallRuns, capsys: pytest.CaptureFixture[str]) -> None:
    known, *others = read_rows(runs.tables["train"]), *read_rows(runs.tables["val"])
    again = known[0] | {"id": "again", "context": known[0]["context"].replace(" ", "  ")}  # the same article yet
    shared = write_rows(runs.folder / "shared.csv", [again, *others])
    message = refusal(capsys, *runs.arguments("crossfit", "shared", *FOLDS, "--data.val_path", str(shared)))
    assert f"--data.val_path {shared} shares 1 of its 3 articles with the training table" in message
    assert not (runs.folder / "shared").exists()


def test_a_damaged_fold_is_named(runs: SmallRuns, capsys: pytest.CaptureFixture[str]) -> None:
    assert runs("crossfit", "damaged", *FOLDS) == 0
    lines = runs.folder / "damaged/oof/fold-1/predictions.jsonl"
    lines.write_text(lines.read_text(encoding="utf-8")[:-20], encoding="utf-8")
    capsys.readouterr()
    assert runs("crossfit", "damaged", *FOLDS, "--ckpt_path", "last") == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert str(lines) in errors[0]


def copy_with_damaged_best(crossfitted: Path, root: Path) -> Path:
    """The first fold of the copy, which is to be answered again."""
    shutil.copytree(crossfitted, root)
    fold = root / "oof/fold-1"
    for file in (*fold.glob("predictions.*"), root / LINES):
        file.unlink()
    (fold / "checkpoints/best.ckpt").write_bytes(b"no checkpoint")
    return fold


def test_a_fold_whose_best_checkpoint_is_damaged_is_answered_by_an_end_that_is_as_good(
    runs: SmallRuns, crossfitted: Path, tmp_path: Path
) -> None:
    root = tmp_path / "damaged"
    copy_with_damaged_best(crossfitted, root)
    assert runs("crossfit", str(root), *FOLDS, "--ckpt_path", "last") == 0
    assert (root / LINES).read_bytes() == (crossfitted / LINES).read_bytes()


def test_a_fold_whose_checkpoints_are_damaged_can_be_made_anew(
    runs: SmallRuns, crossfitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "damaged"
    fold = copy_with_damaged_best(crossfitted, root)
    last = fold / "checkpoints/last.ckpt"
    torch.save({**torch.load(last, weights_only=True), "best_score": 1.0}, last)  # the end was not the best
    assert runs("crossfit", str(root), *FOLDS, "--ckpt_path", "last") == 2
    *_, error = capsys.readouterr().err.splitlines()
    assert error.startswith("error: ")
    assert error.endswith(f"best.ckpt is damaged; remove {fold}, and the same command makes this fold anew")
    for name in ("last", "previous"):
        (fold / f"checkpoints/{name}.ckpt").write_bytes(b"no checkpoint")
    assert runs("crossfit", str(root), *FOLDS, "--ckpt_path", "last") == 2
    *_, error = capsys.readouterr().err.splitlines()
    assert "previous.ckpt can be read" in error
    assert error.endswith(f"; remove {fold}, and the same command makes this model anew")
    shutil.rmtree(fold)
    assert runs("crossfit", str(root), *FOLDS, "--ckpt_path", "last") == 0
    assert (root / LINES).read_bytes() == (crossfitted / LINES).read_bytes()


@pytest.mark.parametrize("content", ["[]", "null", "[" * 100_000])
def test_a_damaged_plan_is_named(
    runs: SmallRuns, crossfitted: Path, tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "damaged"
    shutil.copytree(crossfitted, root)
    (root / "oof/plan.json").write_text(content, encoding="utf-8")
    message = refusal(capsys, *runs.arguments("crossfit", str(root), *FOLDS, "--ckpt_path", "last"))
    assert "plan.json cannot be read" in message

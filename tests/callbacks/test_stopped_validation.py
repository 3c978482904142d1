"""A fit that a signal stops ends with a validation, which the run that goes on knows nothing of."""

import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from checkpoint_files import ADAPTER, BEST, LAST, LIKE_FITTED, in_checkpoint, load, same_weights
from safetensors.torch import load_file
from small_runs import SmallRuns
from test_signal_exit import NEVER, trouble

from kqa_lightning.assets import sample_table

sys.path.insert(0, str(Path(__file__).parent))
LATE = (*("--trainer.max_epochs", "2", "--trainer.check_val_every_n_epoch", "2"), *NEVER)


@pytest.mark.parametrize(("number", "status"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_stopped_fit_has_all_three_products(
    runs: SmallRuns, capsys: pytest.CaptureFixture[str], number: str, status: int
) -> None:
    folder = runs.folder / f"products-{number}"
    assert runs("fit", folder.name, *LATE, trouble(1, number)) == status
    assert "validating what was trained" in capsys.readouterr().err
    last, best, adapter = load(folder / LAST), load(folder / BEST), load_file(folder / ADAPTER)
    assert (last["global_step"], best["global_step"]) == (1, 1)
    assert (last["best_score"], best["best_score"] is None) == (None, False)
    assert all(best["state_dict"][in_checkpoint(name)].equal(tensor) for name, tensor in adapter.items())


def test_without_validation_the_adapter_holds_the_last_weights(runs: SmallRuns) -> None:
    folder = runs.folder / "unvalidated"
    assert runs("fit", folder.name, *LATE, "--trainer.limit_val_batches", "0", trouble(1, "SIGTERM")) == 143
    last, adapter = load(folder / LAST)["state_dict"], load_file(folder / ADAPTER)
    assert all(last[in_checkpoint(name)].equal(tensor) for name, tensor in adapter.items())
    assert not (folder / BEST).exists()


KEPT = "checkpoints/best-before-stop.ckpt"


def rescored(checkpoint: Path, score: float) -> None:
    torch.save(load(checkpoint) | {"best_score": score}, checkpoint)


def assert_never_stopped(runs: SmallRuns, folder: Path, fitted: Path) -> None:
    """Whatever the validation that the signal brought about has found: nothing could beat it."""
    rescored(folder / BEST, 2.0)
    assert runs("fit", folder.name, *LIKE_FITTED, "--ckpt_path", "last") == 0
    assert not (folder / KEPT).exists()
    for name in (BEST, LAST):
        assert load(folder / name)["best_score"] == load(fitted / name)["best_score"]
        assert same_weights(folder / name, fitted / name)
    assert (folder / ADAPTER).read_bytes() == (fitted / ADAPTER).read_bytes()


@pytest.mark.parametrize("step", [2, 6])  # after step 6 a validation is due
def test_the_run_that_goes_on_was_never_stopped(runs: SmallRuns, fitted: Path, step: int) -> None:
    folder = runs.folder / f"never-stopped-{step}"
    assert runs("fit", folder.name, *LIKE_FITTED, *NEVER, trouble(step, "SIGTERM")) == 143
    assert load(folder / BEST)["global_step"] == step
    assert load(folder / LAST)["validation_due"] is (step == 6)
    assert (folder / KEPT).exists() is (step == 6)
    assert_never_stopped(runs, folder, fitted)


@pytest.mark.parametrize("damage", [Path.unlink, lambda best: best.write_bytes(b"x")], ids=["gone", "damaged"])
def test_a_stop_replaces_no_best_that_is_lost(
    runs: SmallRuns, tmp_path: Path, damage: Callable[[Path], object], capsys: pytest.CaptureFixture[str]
) -> None:
    """Its weights are in adapter/ alone then."""
    folder = runs.folder / f"lost-{tmp_path.name}"
    validated = trouble(3, "SIGTERM", tmp_path / "once", validating=True)
    assert runs("fit", folder.name, *LIKE_FITTED, validated) == 143
    assert runs("fit", folder.name, *LIKE_FITTED, *NEVER, trouble(4, "SIGTERM"), "--ckpt_path", "last") == 143
    (folder / KEPT).unlink(missing_ok=True)
    damage(folder / BEST)
    rescored(folder / LAST, -1.0)  # whatever is found is better
    adapter = (folder / ADAPTER).read_bytes()
    capsys.readouterr()
    assert runs("fit", folder.name, *LIKE_FITTED, *NEVER, trouble(5, "SIGTERM"), "--ckpt_path", "last") == 143
    assert f"{folder / 'adapter'} is as it was" in capsys.readouterr().err
    assert (folder / ADAPTER).read_bytes() == adapter
    assert not (folder / KEPT).exists()
    assert runs("fit", folder.name, *LIKE_FITTED, "--ckpt_path", "last") == 0
    assert load(folder / BEST)["global_step"] > 5


@pytest.mark.parametrize("go_on_from", ["last", "best"])
def test_the_best_before_is_the_best_again(runs: SmallRuns, fitted: Path, tmp_path: Path, go_on_from: str) -> None:
    folder = runs.folder / f"best-again-{go_on_from}"
    validated = trouble(3, "SIGTERM", tmp_path / "once", validating=True)
    assert runs("fit", folder.name, *LIKE_FITTED, validated) == 143
    score = load(folder / BEST)["best_score"]
    rescored(folder / BEST, -1.0)  # or step 4 might be no better
    assert runs("fit", folder.name, *LIKE_FITTED, *NEVER, trouble(4, "SIGTERM"), "--ckpt_path", "last") == 143
    assert (load(folder / KEPT)["global_step"], load(folder / BEST)["global_step"]) == (3, 4)
    rescored(folder / KEPT, score)
    if go_on_from == "best":
        (folder / LAST).write_bytes((folder / BEST).read_bytes())
    assert_never_stopped(runs, folder, fitted)


def test_the_best_of_a_stop_stays_until_there_is_another(runs: SmallRuns) -> None:
    """Whoever ends the run that goes on before its first validation still has a best checkpoint, and its adapter."""
    folder = runs.folder / "stays"
    assert runs("fit", folder.name, *LIKE_FITTED, *NEVER, trouble(1, "SIGTERM")) == 143
    process = runs.fork("fit", folder.name, *LIKE_FITTED, trouble(2, "killed"), "--ckpt_path", "last")
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    best, adapter = load(folder / BEST), load_file(folder / ADAPTER)
    assert best["global_step"] == 1
    assert all(best["state_dict"][in_checkpoint(name)].equal(tensor) for name, tensor in adapter.items())


def test_a_finished_run_gone_on_with_without_validation_ends_well(
    runs: SmallRuns, fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(fitted, folder := runs.folder / "nothing-left")
    options = ("--trainer.max_epochs", "2", "--trainer.val_check_interval", "3", "--trainer.limit_val_batches", "0")
    assert runs("fit", folder.name, *options, "--ckpt_path", "last") == 0
    assert "best val/char_f1" in capsys.readouterr().err
    assert (folder / ADAPTER).read_bytes() == (fitted / ADAPTER).read_bytes()


def test_a_sigterm_that_only_lightning_hears_counts(runs: SmallRuns) -> None:
    """Its handler comes before ours."""
    folder = runs.folder / "early"
    early = "--trainer.callbacks+={class_path: troubled.Early}"
    assert runs("fit", folder.name, *LATE, early) == 143
    assert load(folder / LAST)["global_step"] == 1


def test_a_validation_under_way_is_finished(
    runs: SmallRuns, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = runs.folder / "finished-first"
    options = ("--data.evaluation_tokens_per_batch", "1", *LIKE_FITTED, *NEVER)
    assert runs("fit", folder.name, *options, trouble(3, "SIGINT", tmp_path / "once", validating=True)) == 130
    assert "stopping after this validation; once more stops at once" in capsys.readouterr().err
    last, best = load(folder / LAST), load(folder / BEST)
    assert (last["global_step"], last["validation_due"], last["best_score"]) == (3, False, best["best_score"])
    assert best["global_step"] == 3


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_second_signal_ends_the_validation(runs: SmallRuns, number: int, status: int) -> None:
    """It would take minutes: answers are long, and a batch has one article."""
    folder = runs.folder / f"second-{number}"
    options = ("--data.val_path", str(sample_table("val")), "--data.evaluation_tokens_per_batch", "1")
    name = signal.Signals(number).name
    process = runs.fork("fit", folder.name, *LATE, *options, "--model.max_new_tokens", "300", trouble(1, name))
    while not (folder / LAST).exists() and process.poll() is None:
        time.sleep(0.05)
    time.sleep(3)
    assert process.poll() is None
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == status, errors
    assert "--ckpt_path last" in errors
    assert "Traceback" not in errors
    assert not (folder / BEST).exists()

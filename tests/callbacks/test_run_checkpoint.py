"""What fit leaves on disk, and that going on gives what an undisturbed run gives."""

import math
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from checkpoint_files import ADAPTER, BEST, LAST, LIKE_FITTED, in_checkpoint, load, same_weights
from curves import scalars
from safetensors.torch import load_file
from small_runs import SmallRuns, contents
from stopping import Killed

from kqa_lightning.__main__ import main
from kqa_lightning.run_folder import RunFolder

MEBIBYTE = 1 << 20
RATE = "lr-PagedAdamW32bit"


def killed(runs: SmallRuns, run: str, step: int, where: str, *options: str) -> None:
    stop = f"--trainer.callbacks+={{class_path: stopping.StopAt, init_args: {{step: {step}, where: {where}}}}}"
    with pytest.raises(Killed):
        runs("fit", run, *options, stop)


# --- what is written ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["gemma2", "eeve", "nous"])
def test_checkpoints_of_each_family_hold_adapters_and_no_base(runs: SmallRuns, family: str) -> None:
    small = SmallRuns(runs.folder, f"tiny-{family}.yaml")
    assert small("fit", f"size-{family}", "--trainer.max_steps", "2") == 0
    for name in (LAST, BEST):
        path = runs.folder / f"size-{family}" / name
        assert path.stat().st_size < 3 * MEBIBYTE
        checkpoint = load(path)
        assert checkpoint["state_dict"]
        assert all("lora_" in name for name in checkpoint["state_dict"])
        assert checkpoint["optimizer_states"][0]["state"]
    exported = load_file(runs.folder / f"size-{family}" / ADAPTER)
    assert len(exported) == len(load(runs.folder / f"size-{family}" / BEST)["state_dict"])


def test_best_is_the_first_of_the_highest_scores(fitted: Path) -> None:
    curve = scalars(fitted, "val/char_f1")
    assert len(curve) == 4  # two validations an epoch
    best = load(fitted / BEST)
    highest = max(value for _, value in curve)
    assert best["best_score"] == pytest.approx(highest)
    assert best["global_step"] == min(step for step, value in curve if value == highest) + 1


def test_of_equal_scores_the_earlier_stays_best(runs: SmallRuns) -> None:
    options = ("--model.learning_rate", "0", "--trainer.max_epochs", "2")
    assert runs("fit", "tie", *options) == 0
    assert load(runs.folder / "tie" / BEST)["global_step"] == 6
    assert load(runs.folder / "tie" / LAST)["global_step"] == 12


def test_last_is_the_end_and_the_adapter_is_the_best(fitted: Path) -> None:
    assert load(fitted / LAST)["global_step"] == 12
    best, adapter = load(fitted / BEST)["state_dict"], load_file(fitted / ADAPTER)
    assert all(torch.equal(adapter[name], best[in_checkpoint(name)]) for name in adapter)


def test_a_run_that_fails_later_keeps_its_curves_and_says_how_to_go_on(
    runs: SmallRuns, capsys: pytest.CaptureFixture[str]
) -> None:
    killed(runs, "fails-later", 3, "batch", "--checkpoint.every_n_train_steps", "2")
    assert list((runs.folder / "fails-later").glob("events.out.tfevents.*"))
    assert "last.ckpt holds what was done: the same command with --ckpt_path last goes on" in capsys.readouterr().err


# --- what ends a run -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        (("--trainer.max_steps", "2"), 2),
        (("--trainer.max_steps", "2", "--trainer.min_epochs", "1"), 2),
        (("--trainer.max_epochs", "1", "--trainer.check_val_every_n_epoch", "5"), 6),
        (("--trainer.max_time", "00:00:00:00"), 0),
    ],
    ids=["in mid-epoch", "before min_epochs", "between validations", "before it began"],
)
def test_a_run_ends_with_a_validation(
    runs: SmallRuns, request: pytest.FixtureRequest, options: tuple, steps: int
) -> None:
    run = request.node.callspec.id.replace(" ", "-")
    assert runs("fit", run, *options) == 0
    folder = runs.folder / run
    for name in (LAST, BEST):
        assert load(folder / name)["global_step"] == steps
    assert not math.isnan(load(folder / BEST)["best_score"])
    assert (folder / ADAPTER).exists()
    assert [step for step, _ in scalars(folder, "val/char_f1")] == [max(steps - 1, 0)]


def test_a_fresh_fit_sets_an_earlier_run_aside(
    runs: SmallRuns, fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "used"
    shutil.copytree(fitted, folder)
    for number in ("1", "2"):
        assert runs("fit", str(folder), "--trainer.max_steps", "1") == 0
        assert f"was moved to {folder / 'earlier' / number}" in capsys.readouterr().err
    first = contents(folder / "earlier" / "1")
    assert first == {name: content for name, content in contents(fitted).items() if "earlier" not in name}
    assert [step for step, _ in scalars(folder, "train/loss")] == [0]


# --- going on ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "where"),
    [
        *((1, "batch"), (3, "validation"), (4, "batch"), (6, "validation"), (6, "epoch"), (7, "batch"), (11, "batch")),
        *((3, "validating"), (6, "validating"), (12, "validating")),
    ],
)
def test_going_on_gives_the_weights_of_an_undisturbed_run(runs: SmallRuns, fitted: Path, step: int, where: str) -> None:
    run = f"killed-{step}-{where}"
    killed(runs, run, step, where, *LIKE_FITTED)
    if where == "validating":  # the steps before it are not lost, and it is not passed over
        assert load(runs.folder / run / LAST)["global_step"] == step
    assert runs("fit", run, *LIKE_FITTED, "--ckpt_path", "last") == 0
    folder = runs.folder / run
    assert same_weights(folder / LAST, fitted / LAST)
    assert same_weights(folder / BEST, fitted / BEST)
    assert load(folder / BEST)["best_score"] == load(fitted / BEST)["best_score"]
    assert dict(scalars(folder, "val/char_f1")) == dict(scalars(fitted, "val/char_f1"))  # some drawn a second time


@pytest.mark.parametrize("limit", [(), ("--trainer.max_steps", "12")], ids=["by epochs", "by steps"])
def test_a_validation_that_was_cut_off_is_run_once(runs: SmallRuns, fitted: Path, limit: tuple[str, ...]) -> None:
    """Killed at an epoch's end, and again before another checkpoint is due than that after its validation."""
    run = f"cut-off-{len(limit)}"
    options = (*LIKE_FITTED, *limit, "--checkpoint.every_n_train_steps", "1000")
    killed(runs, run, 6, "validating", *options)
    killed(runs, run, 8, "batch", *options, "--ckpt_path", "last")
    assert not load(runs.folder / run / LAST)["validation_due"]
    assert runs("fit", run, *options, "--ckpt_path", "last") == 0
    assert same_weights(runs.folder / run / LAST, fitted / LAST)
    assert [step for step, _ in scalars(runs.folder / run, "val/char_f1")].count(8) == 1
    assert load(runs.folder / run / LAST)["best_score"] == load(fitted / LAST)["best_score"]


def test_a_run_that_is_cut_off_in_its_last_validation_keeps_its_random_numbers(runs: SmallRuns) -> None:
    options = (*LIKE_FITTED, "--model.lora.dropout", "0.1", "--trainer.max_steps", "2")
    run = "cut-off-at-the-end"
    killed(runs, run, 2, "validating", *options)
    after_training = load(runs.folder / run / LAST)["random_state"]["torch"]
    assert runs("fit", run, *options, "--ckpt_path", "last") == 0
    assert torch.equal(load(runs.folder / run / LAST)["random_state"]["torch"], after_training)


def test_a_damaged_best_checkpoint_and_no_validation_is_no_traceback(
    runs: SmallRuns, fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "damaged-best"
    shutil.copytree(fitted, folder)
    (folder / BEST).write_bytes(b"x")
    options = (*LIKE_FITTED, "--trainer.limit_val_batches", "0", "--ckpt_path", "last")
    assert runs("fit", str(folder), *options) == 0
    assert f"{folder / BEST} cannot be read; the end: {folder / LAST}" in capsys.readouterr().err


def test_a_best_checkpoint_that_is_gone_leaves_its_adapter(
    runs: SmallRuns, fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last weights score less and are no new best; where the adapter is gone too, they are all there is."""
    assert load(fitted / BEST)["global_step"] < load(fitted / LAST)["global_step"]
    folder = tmp_path / "no-best"
    shutil.copytree(fitted, folder)
    (folder / BEST).unlink()
    before = contents(folder / "adapter")
    assert runs("fit", str(folder), *LIKE_FITTED, "--ckpt_path", "last") == 0
    assert f"{folder / 'adapter'} is as it was, {folder / BEST} cannot be read" in capsys.readouterr().err
    assert not (folder / BEST).exists()
    assert contents(folder / "adapter") == before
    shutil.rmtree(folder / "adapter")
    assert runs("fit", str(folder), *LIKE_FITTED, "--ckpt_path", "last") == 0
    assert f"cannot be read: {folder / 'adapter'} holds the last weights" in capsys.readouterr().err
    last, adapter = load(folder / LAST)["state_dict"], load_file(folder / ADAPTER)
    assert all(torch.equal(adapter[name], last[in_checkpoint(name)]) for name in adapter)


@pytest.mark.parametrize("damage", [Path.unlink, lambda best: best.write_bytes(b"x")], ids=["gone", "damaged"])
def test_a_best_checkpoint_that_is_lost_is_written_again_by_an_equal_score(
    runs: SmallRuns, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    """As where a finished run goes on whose end was the best."""
    options = ("--trainer.max_steps", "2")
    run = runs.folder / "equal"
    assert runs("fit", str(run), *options) == 0
    before = Path(shutil.copy(run / BEST, tmp_path))
    damage(run / BEST)
    assert runs("fit", str(run), *options, "--ckpt_path", "last") == 0
    assert load(run / BEST)["best_score"] == load(before)["best_score"]
    assert same_weights(run / BEST, before)
    best, adapter = load(run / BEST)["state_dict"], load_file(run / ADAPTER)
    assert all(torch.equal(adapter[name], best[in_checkpoint(name)]) for name in adapter)


def test_loaders_that_are_made_anew_each_epoch_go_on_where_they_were(runs: SmallRuns, fitted: Path) -> None:
    options = (*LIKE_FITTED, "--trainer.reload_dataloaders_every_n_epochs", "1")
    killed(runs, "reloaded", 11, "batch", *options)
    assert load(runs.folder / "reloaded" / LAST)["train_loader"]["epoch"] == 1
    assert runs("fit", "reloaded", *options, "--ckpt_path", "last") == 0
    assert same_weights(runs.folder / "reloaded" / LAST, fitted / LAST)


@pytest.mark.parametrize(
    ("step", "where"), [(5, "batch"), (4, "batch"), (3, "validation"), (6, "validation"), (6, "epoch"), (7, "batch")]
)
def test_the_curves_go_on_without_a_seam(runs: SmallRuns, fitted: Path, step: int, where: str) -> None:
    run = f"killed-seam-{step}-{where}"
    killed(runs, run, step, where, *LIKE_FITTED)
    assert runs("fit", run, *LIKE_FITTED, "--ckpt_path", "last") == 0
    for name in ("train/loss", RATE, "val/loss", "val/char_f1"):
        found = scalars(runs.folder / run, name)
        # A validation whose end no checkpoint saw is drawn a second time.
        assert list(dict(found).items()) == scalars(fitted, name)
        assert name.startswith("val/") or len(found) == 12


@pytest.mark.parametrize("checkpoint", ["last", "best"])
def test_curves_go_on_at_their_steps_however_often_a_run_is_ended_by_max_steps(
    runs: SmallRuns, checkpoint: str
) -> None:
    """In mid-epoch, at an epoch's end (6), and with a schedule that has no validation where the run was ended."""
    folder = runs.folder / f"chain-{checkpoint}"
    ends = (1, 2, 4, 6, 7, 9)
    for end in ends:
        going_on = ("--ckpt_path", checkpoint) if folder.exists() else ()
        assert runs("fit", folder.name, "--trainer.max_epochs", "2", "--trainer.max_steps", str(end), *going_on) == 0
        for name in ("train/loss", RATE, "train/answers_per_second"):
            assert [step for step, _ in scalars(folder, name)] == list(range(end))
        assert max(step for step, _ in scalars(folder, "val/char_f1")) == end - 1
    if checkpoint == "last":
        assert [step for step, _ in scalars(folder, "val/char_f1")] == [end - 1 for end in ends]


def test_going_on_from_best(runs: SmallRuns, fitted: Path, tmp_path: Path) -> None:
    folder = tmp_path / "from-best"
    shutil.copytree(fitted, folder)
    (folder / LAST).unlink()
    assert runs("fit", str(folder), *LIKE_FITTED, "--ckpt_path", "best") == 0
    assert same_weights(folder / LAST, fitted / LAST)


def test_nothing_is_written_within_an_accumulation_window(runs: SmallRuns) -> None:
    options = ("--trainer.accumulate_grad_batches", "4", "--checkpoint.every_n_train_steps", "1")
    options = (*options, "--trainer.max_epochs", "2")
    assert runs("fit", "window", *options) == 0
    # Two steps an epoch, after 4 and after 6 batches; stopped among the batches of the fourth.
    killed(runs, "window-killed", 3, "batch", *options)
    assert load(runs.folder / "window-killed" / LAST)["global_step"] == 2
    assert runs("fit", "window-killed", *options, "--ckpt_path", "last") == 0
    assert same_weights(runs.folder / "window-killed" / LAST, runs.folder / "window" / LAST)


def test_learning_rate_of_the_command_line_wins(runs: SmallRuns, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--trainer.max_steps", "4", "--model.optimizer", "adamw")
    killed(runs, "rate", 3, "batch", *options, "--checkpoint.every_n_train_steps", "2")
    assert runs("fit", "rate", *options, "--ckpt_path", "last", "--model.learning_rate", "0.5") == 0
    assert "--model.learning_rate 0.5 (it was 0.04)" in capsys.readouterr().err
    rates = dict(scalars(runs.folder / "rate", "lr-AdamW"))
    assert rates[1] < 0.05
    assert rates[2] > 0.1


def test_going_on_after_sigkill(runs: SmallRuns, fitted: Path) -> None:
    folder = runs.folder / "sigkill"
    options = (*LIKE_FITTED, "--checkpoint.every_n_train_steps", "1")
    process = runs.fork("fit", "sigkill", *options)
    while not (folder / LAST).exists() and process.poll() is None:
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    process.communicate()
    assert runs("fit", "sigkill", *options, "--ckpt_path", "last") == 0
    assert same_weights(folder / LAST, fitted / LAST)


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_last_is_replaced_by_the_one_before(
    runs: SmallRuns, fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(fitted, folder)
    assert load(folder / "checkpoints/previous.ckpt")["validation_due"]  # it was written before the last one
    (folder / LAST).write_bytes((folder / LAST).read_bytes()[:-1000])
    if damage == "gone":
        (folder / LAST).unlink()
    assert runs("fit", str(folder), *LIKE_FITTED, "--ckpt_path", "last") == 0
    assert f"{damage.replace('cut', 'damaged')}: using the one before it" in capsys.readouterr().err
    assert same_weights(folder / LAST, fitted / LAST)


@pytest.mark.parametrize("command", ["fit", "crossfit"])
@pytest.mark.parametrize("options", [(), ("--ckpt_path", "last")])
def test_a_folder_that_another_run_writes_to_is_refused(
    runs: SmallRuns,
    fitted: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    options: tuple[str, ...],
) -> None:
    monkeypatch.setattr("kqa_lightning.locks.PATIENCE", 0.1)
    folder = tmp_path / "run"
    shutil.copytree(fitted, folder)
    before, other = contents(folder), RunFolder(folder)
    other.take()
    folds = () if command == "fit" else ("--crossfit.folds", "2")
    assert runs(command, str(folder), *folds, *options) == 2
    *_, error = capsys.readouterr().err.splitlines()
    assert error.startswith(f"error: {folder}: another run is writing to this folder")
    assert contents(folder) == before
    other.let_go()


def test_last_where_there_is_none_yet_starts(runs: SmallRuns, capsys: pytest.CaptureFixture[str]) -> None:
    assert runs("fit", "new", "--trainer.max_steps", "1", "--ckpt_path", "last") == 0
    assert "there is no" in capsys.readouterr().err


def test_every_n_train_steps_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--config", "tiny-nous.yaml", "--checkpoint.every_n_train_steps", "0"]) == 2
    assert "--checkpoint.every_n_train_steps 0" in capsys.readouterr().err

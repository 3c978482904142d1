"""A gradient that is no number costs its step, and no weight."""

import sys
from pathlib import Path

import pytest
import torch
from small_runs import SmallRuns, read_rows, refusal
from stopping import Killed

sys.path.insert(0, str(Path(__file__).parent))
LAST = "checkpoints/last.ckpt"


def poison(steps: list[int], value: str = ".nan") -> str:
    return f"--trainer.callbacks+={{class_path: poison.Poison, init_args: {{steps: {steps}, value: {value}}}}}"


def state(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["state_dict"]


@pytest.mark.parametrize("value", [".nan", ".inf"])
def test_a_step_is_skipped_and_training_goes_on(
    runs: SmallRuns, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    run = f"skipped-{value.strip('.')}"
    assert runs("fit", run, "--trainer.max_steps", "6", poison([3], value)) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "is skipped" in line]
    assert len(said) == 1
    assert said[0].startswith("step 3 has a loss or gradient that is not finite; its rows: TRAIN_")
    weights = state(runs.folder / run / LAST)
    assert all(tensor.isfinite().all() for tensor in weights.values())
    assert runs("fit", f"{run}-clean", "--trainer.max_steps", "6") == 0
    clean = state(runs.folder / f"{run}-clean" / LAST)
    assert any(not torch.equal(weights[name], clean[name]) for name in clean)


def test_too_many_stop_the_run_with_their_rows(runs: SmallRuns, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--checkpoint.every_n_train_steps", "1", "--finite_guard.max_skipped_steps", "1")
    assert runs("fit", "stopped", "--trainer.max_steps", "6", *options, poison([3, 4, 5])) == 2
    errors = capsys.readouterr().err
    assert "1 of 1 allowed" in errors
    line = next(line for line in errors.splitlines() if line.startswith("error: "))
    assert "step 4 has a loss or gradient that is not finite" in line
    assert any(row["id"] in line for row in read_rows(runs.tables["train"]))
    assert "--finite_guard.max_skipped_steps" in line
    weights = state(runs.folder / "stopped" / LAST)
    assert all(tensor.isfinite().all() for tensor in weights.values())
    first = ("--checkpoint.every_n_train_steps", "1", "--finite_guard.max_skipped_steps", "0")
    assert runs("fit", "until-2", "--trainer.max_steps", "6", *first, poison([3])) == 2
    before = state(runs.folder / "until-2" / LAST)
    assert all(torch.equal(before[name], weights[name]) for name in weights)  # no skipped step moved them


def test_a_run_that_goes_on_counts_on(runs: SmallRuns, capsys: pytest.CaptureFixture[str]) -> None:
    """Killed between two of them, it stops at the one at which an undisturbed run does."""
    allowed = ("--checkpoint.every_n_train_steps", "1", "--finite_guard.max_skipped_steps", "1")
    options = ("--trainer.max_steps", "6", *allowed, poison([2, 4]))
    stop = "--trainer.callbacks+={class_path: stopping.StopAt, init_args: {step: 2}}"
    with pytest.raises(Killed):
        runs("fit", "counts-on", *options, stop)
    assert "1 of 1 allowed" in capsys.readouterr().err
    assert runs("fit", "counts-on", *options, "--ckpt_path", "last") == 2
    assert "step 4 has a loss or gradient that is not finite" in capsys.readouterr().err


def test_a_number_below_zero_is_refused(runs: SmallRuns, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = runs.arguments("fit", "refused", "--finite_guard.max_skipped_steps", "-1")
    assert "--finite_guard.max_skipped_steps -1" in refusal(capsys, *arguments)

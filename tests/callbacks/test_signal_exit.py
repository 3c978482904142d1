"""A signal stops a training where nothing is lost, and has SLURM queue its job again."""

import os
import sys
from pathlib import Path

import pytest
import torch
from checkpoint_files import LAST, LIKE_FITTED, same_weights
from small_runs import SmallRuns

sys.path.insert(0, str(Path(__file__).parent))
NEVER = ("--checkpoint.every_n_train_steps", "1000")  # the signal alone writes a checkpoint
JOB = {
    **{"SLURM_JOB_ID": "4711", "SLURM_JOB_NAME": "kqa", "SLURM_NTASKS": "1", "SLURM_NTASKS_PER_NODE": "1"},
    **{"SLURM_NNODES": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"},
}


def trouble(step: int, number: str, once: Path | None = None, validating: bool = False) -> str:
    settings = f"{{rank: 0, step: {step}, what: {number}, once: {once or 'null'}, validating: {validating}}}"
    return f"--trainer.callbacks+={{class_path: troubled.Trouble, init_args: {settings}}}"


def test_slurm_takes_the_machine_and_the_job_goes_on(runs: SmallRuns, fitted: Path, tmp_path: Path) -> None:
    """The signal comes just before a validation, which the run that goes on begins with."""
    asked, scontrol = tmp_path / "asked", tmp_path / "scontrol"
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {asked}\n', encoding="utf-8")
    scontrol.chmod(0o755)
    environment = JOB | {"PATH": os.pathsep.join([str(tmp_path), os.environ["PATH"]])}
    process = runs.fork("fit", "slurm", *LIKE_FITTED, *NEVER, trouble(9, "SIGUSR1"), environment=environment)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 143, errors
    assert "SLURM job 4711 is queued again" in errors
    assert "Traceback" not in errors
    assert asked.read_text(encoding="utf-8") == "requeue 4711\n"
    folder = runs.folder / "slurm"
    assert torch.load(folder / LAST, weights_only=True)["global_step"] == 9
    assert not list(folder.glob("hpc_ckpt*"))  # Lightning's own, which it writes wherever the signal finds it
    assert runs("fit", "slurm", *LIKE_FITTED, *NEVER, "--ckpt_path", "last") == 0
    assert same_weights(folder / LAST, fitted / LAST)


@pytest.mark.parametrize(("number", "status"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_amid_an_optimizer_step_waits_for_its_end(
    runs: SmallRuns, tmp_path: Path, number: str, status: int
) -> None:
    window = ("--trainer.accumulate_grad_batches", "4")
    assert runs("fit", f"amid-{number}", *window, *NEVER, trouble(0, number, tmp_path / "once")) == status
    checkpoint = torch.load(runs.folder / f"amid-{number}" / LAST, weights_only=True)
    assert (checkpoint["global_step"], checkpoint["train_loader"]["count"]) == (1, 4)
    assert checkpoint["batches_into_step"] == 0


def test_where_it_stops_is_said(runs: SmallRuns, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert runs("fit", "said-fit", "--trainer.max_steps", "2", trouble(1, "SIGINT")) == 130
    assert "stopping after this step; once more stops at once" in capsys.readouterr().err
    assert runs("validate", "said-validate", trouble(0, "SIGINT", validating=True)) == 130
    assert "stopping after this batch; once more stops at once" in capsys.readouterr().err


def test_a_validation_amid_an_optimizer_step_writes_no_last(
    runs: SmallRuns, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three batches before the validation, in steps of two; going on from the best says that one is left out."""
    options = ("--trainer.accumulate_grad_batches", "2", "--trainer.val_check_interval", "3", *NEVER)
    assert runs("fit", "mid-window", *options, trouble(2, "SIGTERM")) == 143
    checkpoints = runs.folder / "mid-window/checkpoints"
    best, last = (torch.load(checkpoints / name, weights_only=True) for name in ("best.ckpt", "last.ckpt"))
    assert (best["batches_into_step"], last["batches_into_step"]) == (1, 0)
    assert last["global_step"] == 2
    assert not (checkpoints / "previous.ckpt").exists()
    capsys.readouterr()
    assert runs("fit", "mid-window", *options, "--ckpt_path", "best") == 0
    assert "best.ckpt was written amid an optimizer step: going on from it leaves out 1 of" in capsys.readouterr().err


def test_minutes_write_a_checkpoint(runs: SmallRuns) -> None:
    options = ("--trainer.limit_val_batches", "0", "--checkpoint.every_n_minutes", "1e-6", *NEVER)
    assert runs("fit", "minutes", *options, "--trainer.max_steps", "3") == 0
    previous = runs.folder / "minutes/checkpoints/previous.ckpt"
    assert torch.load(previous, weights_only=True)["global_step"] == 2

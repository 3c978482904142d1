"""The adapter folder of a run whose best weights are not those in memory, or not there."""

import shutil
from pathlib import Path

import pytest
import torch
from checkpoint_files import ADAPTER, BEST, LAST, LIKE_FITTED, in_checkpoint, load
from safetensors.torch import load_file
from small_runs import SmallRuns, contents


def test_without_validation_the_adapter_is_the_end(runs: SmallRuns, capsys: pytest.CaptureFixture[str]) -> None:
    assert runs("fit", "unvalidated", "--trainer.max_steps", "2", "--trainer.limit_val_batches", "0") == 0
    assert "nothing was validated" in capsys.readouterr().err
    folder = runs.folder / "unvalidated"
    assert not (folder / BEST).exists()
    last, adapter = load(folder / LAST)["state_dict"], load_file(folder / ADAPTER)
    assert len(adapter) == len(last)
    assert all(torch.equal(adapter[name], last[in_checkpoint(name)]) for name in adapter)


def test_a_finished_run_is_left_as_it_is_and_completed(runs: SmallRuns, fitted: Path, tmp_path: Path) -> None:
    folder = tmp_path / "finished"
    shutil.copytree(fitted, folder)
    shutil.rmtree(folder / "adapter")
    before = contents(folder / "checkpoints")
    assert runs("fit", str(folder), *LIKE_FITTED, "--ckpt_path", "last") == 0
    assert contents(folder / "checkpoints") == before
    exported, expected = load_file(folder / ADAPTER), load_file(fitted / ADAPTER)
    assert all(torch.equal(exported[name], expected[name]) for name in expected)
    assert not (folder / "earlier").exists()

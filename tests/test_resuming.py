"""What may not change where a run goes on; what may is said by RunCheckpoint's tests."""

import shutil
from pathlib import Path

import pytest
from checkpoint_files import LAST, LIKE_FITTED, load
from small_runs import SmallRuns, contents, refusal


def test_other_data_are_refused_with_both_fingerprints_and_nothing_changes(
    runs: SmallRuns, fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The checkpoint is at an epoch's end, where no order of batches would tell."""
    folder = tmp_path / "other-data"
    shutil.copytree(fitted, folder)
    before = contents(folder)
    options = (*LIKE_FITTED, "--trainer.max_epochs", "3", "--ckpt_path", "last")
    table = str(runs.tables["val"])
    message = refusal(capsys, *runs.arguments("fit", str(folder), *options, "--data.train_path", table))
    assert load(folder / LAST)["training_data"][:12] in message
    assert "this run has" in message
    assert contents(folder) == before

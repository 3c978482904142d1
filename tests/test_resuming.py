"""What may change where a run goes on is said, and what may not is refused."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from checkpoint_files import LAST, LIKE_FITTED, load
from small_runs import SmallRuns, contents, refusal

from kqa_lightning.resuming import changes


def test_a_change_is_told_with_its_option_and_both_values() -> None:
    trainer: Any = SimpleNamespace(max_epochs=3, max_steps=-1)
    module: Any = SimpleNamespace(learning_rate=0.1, weight_decay=0.0)
    before = {"--model.learning_rate": 0.2, "--model.weight_decay": 0.0, "--trainer.max_epochs": 2}
    said = ["--model.learning_rate 0.1 (it was 0.2)", "--trainer.max_epochs 3 (it was 2)"]
    assert changes({"changeable": before}, trainer, module) == said
    assert changes({}, trainer, module) == []  # of an earlier version, which did not keep them


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

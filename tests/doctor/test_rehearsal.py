"""doctor refuses what fit refuses, in the same words, and touches nothing."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from small_runs import SmallRuns, contents, refusal

from kqa_lightning.doctor.findings import Finding


@pytest.fixture(autouse=True)
def hub_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kqa_lightning.doctor.look_for_hub", lambda: Finding("hub", "not asked"))


def stopping(capsys: pytest.CaptureFixture[str], runs: SmallRuns, run: str, *options: str) -> dict[str, str]:
    """What the doctor says would stop a run, by its label."""
    assert runs("doctor", run, *options) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("✗ ")]
    return {label: text.strip() for label, _, text in (line[2:].partition(" ") for line in lines)}


@pytest.mark.parametrize(
    ("options", "label"),
    [
        *(
            ((f"--{label}", value), label)
            for label, value in (
                ("trainer.accelerator", "gpu"),
                ("trainer.devices", "0"),
                ("trainer.strategy", "nonsense"),
                ("trainer.strategy", "ddp_spawn"),
                ("trainer.strategy", "ddp_fork"),
                ("trainer.precision", "16-true"),
                ("trainer.max_epochs", "-1"),
                ("trainer.val_check_interval", "1000"),
                ("trainer.limit_train_batches", "-1"),
                ("trainer.accumulate_grad_batches", "0"),
                ("trainer.barebones", "true"),
                ("trainer.callbacks", "{class_path: StochasticWeightAveraging, init_args: {swa_lrs: 0.01}}"),
                ("data.max_length", "0"),
                ("data.tokens_per_batch", "-5"),
                ("data.train_path", "null"),
                ("data.train_path", "nowhere.csv"),
                ("model.lora.r", "0"),
                ("model.base_model", "./nowhere"),
                ("model.attn_implementation", "flex_attention"),
                ("ckpt_path", "best"),
            )
        ),
        (("--model.lora.target_modules", "[nothing]"), "model.lora"),
        (("--trainer.default_root_dir", "FILE/run"), "trainer.default_root_dir"),
        (("--trainer.strategy", "ddp", "--trainer.devices", "2", "--data.max_length", "0"), "data.max_length"),
    ],
)
def test_what_fit_refuses(
    runs: SmallRuns, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: Sequence[str], label: str
) -> None:
    (tmp_path / "file").touch()
    root = tmp_path / "run"
    options = [option.replace("FILE", str(tmp_path / "file")) for option in options]
    found = stopping(capsys, runs, str(root), *options)
    assert list(found) == [label]
    if "ddp" not in options:  # fit would start a second process, and say it there too
        assert refusal(capsys, *runs.arguments("fit", str(root), *options)) == f"error: {found[label]}"
    assert not root.exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--ckpt_path", "last"),
        ("--ckpt_path", "last", "--trainer.max_epochs", "2"),  # nothing is left to train
        ("--trainer.limit_val_batches", "0"),
        ("--trainer.num_sanity_val_steps", "2"),
        ("--trainer.fast_dev_run", "true"),
        ("--trainer.strategy", "ddp", "--trainer.devices", "2"),
    ],
)
def test_what_fit_does_is_left_undone(
    runs: SmallRuns, fitted: Path, capsys: pytest.CaptureFixture[str], options: Sequence[str]
) -> None:
    before = contents(fitted)
    assert runs("doctor", str(fitted), *options) == 0
    assert contents(fitted) == before
    assert (" for 2 processes with a model each, and " in capsys.readouterr().out) == ("ddp" in options)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (("--model.lora.r", "2"), "lora"),
        (("--model.optimizer", "adamw"), "optimizer"),
        (("--data.max_length", "200"), "data"),
    ],
)
def test_what_a_checkpoint_does_not_allow(
    runs: SmallRuns, fitted: Path, capsys: pytest.CaptureFixture[str], options: Sequence[str], part: str
) -> None:
    before = contents(fitted)
    going_on = ("--ckpt_path", "last", *options)
    ((_, found),) = stopping(capsys, runs, str(fitted), *going_on).items()
    assert part in found
    assert refusal(capsys, *runs.arguments("fit", str(fitted), *going_on)) == f"error: {found}"
    assert contents(fitted) == before


def test_an_empty_folder_stays(runs: SmallRuns, tmp_path: Path) -> None:
    assert runs("doctor", str(tmp_path)) == 0
    assert tmp_path.is_dir()


def test_widths_that_bitsandbytes_gets_wrong_are_named(
    runs: SmallRuns, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(runs.base, tmp_path / "base")
    config = json.loads((tmp_path / "base/config.json").read_text(encoding="utf-8"))
    config["intermediate_size"] += 1
    (tmp_path / "base/config.json").write_text(json.dumps(config), encoding="utf-8")
    found = stopping(capsys, runs, "wide", "--model.base_model", str(tmp_path / "base"))
    assert "width is a multiple of 64" in found["model.base_model"]

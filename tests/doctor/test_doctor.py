"""doctor says what is there, and stops with 1 where a run would."""

import importlib.metadata
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from small_runs import refusal

from kqa_lightning.__main__ import main

PARTS = ("weights", "adapters", "optimizer", "activations")


def test_the_machine_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    report = capsys.readouterr().out
    for name in ("lightning", "transformers", "peft", "bitsandbytes", "torch"):
        assert f"{name} " in report
        assert importlib.metadata.version(name) in report
    assert "sdpa drops the soft cap" in report
    assert "hub" in report
    assert "memory, weights" not in report
    assert report.endswith("nothing found that would stop a run\n")


@pytest.mark.parametrize("family", ["gemma2", "eeve", "nous"])
def test_a_config_that_fits(family: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "not" / "yet"
    assert main(["doctor", "--config", f"tiny-{family}.yaml", "--trainer.default_root_dir", str(root)]) == 0
    report = capsys.readouterr().out
    assert all(f"memory, {part}" in report for part in PARTS)
    assert f"free at {tmp_path}" in report
    assert not root.exists()


def test_what_does_not_fit_the_memory_stops(capsys: pytest.CaptureFixture[str]) -> None:
    batch = ("--data.tokens_per_batch", "10000000")
    assert main(["doctor", "--config", "tiny-nous.yaml", *batch]) == 1
    assert "a run would fail: memory, all" in capsys.readouterr().out


def test_a_full_disk_stops(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(100, 99, 1))
    assert main(["doctor"]) == 1
    assert "a run would fail: disk, TMPDIR" in capsys.readouterr().out


def test_a_version_that_is_too_old_stops(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    real = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "4.0" if name == "transformers" else real(name))
    assert main(["doctor"]) == 1
    report = capsys.readouterr().out
    assert "4.0; needed: >=" in report
    assert "a run would fail: transformers" in report


def test_a_base_that_cannot_be_had_stops(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--config", "tiny-nous.yaml", "--model.base_model", "./nowhere"]) == 1
    assert "a run would fail: model.base_model" in capsys.readouterr().out


def test_wrong_options_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--model.base_model" in refusal(capsys, "doctor", "--config", "tiny-nous.yaml", "--model.base_mod", "x")

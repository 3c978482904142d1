"""Damaged adapters, journals, configurations and predictions: one clear line, or the same result."""

import shutil
from pathlib import Path
from random import Random

import ensemble
import pytest
from damaged_bytes import ANY_FILE, TEXT_FILE
from fault_table import Tally
from outcomes import Outcome, attempt
from small_runs import SmallRuns, contents

from kqa_lightning.__main__ import main
from kqa_lightning.config_files import bundled_configs

KIND = "damaged adapters, journals, configurations, predictions"
JOURNAL = "predictions.rank0.journal"
WEIGHTS, SETTINGS = "adapter/adapter_model.safetensors", "adapter/adapter_config.json"
FIT = ("--trainer.max_epochs", "2", "--trainer.val_check_interval", "3")


@pytest.fixture
def folder(fitted: Path, tmp_path: Path, tally: Tally) -> Path:
    tally.points += 1
    return Path(shutil.copytree(fitted, tmp_path / "run"))


@pytest.mark.parametrize(("file", "name"), [*((WEIGHTS, name) for name in ANY_FILE), (SETTINGS, "bits flipped")])
def test_a_damaged_adapter(
    runs: SmallRuns,
    fitted: Path,
    folder: Path,
    tally: Tally,
    capfd: pytest.CaptureFixture[str],
    file: str,
    name: str,
) -> None:
    """No command reads it, and a fit that goes on writes it again."""
    (folder / file).write_bytes(ANY_FILE[name]((folder / file).read_bytes(), Random(name)))
    words = runs.arguments("fit", str(folder), *FIT, "--ckpt_path", "last")
    assert attempt(lambda: main(words), capfd, tally, folder, ("adapter",)).status == 0
    same = contents(folder / "adapter") == contents(fitted / "adapter")
    tally.equal += same
    tally.lost += not same
    assert same


@pytest.fixture(scope="module")
def predicted(runs: SmallRuns) -> tuple[Path, bytes]:
    """A folder of predictions, and the journal that came before them."""
    words = ("predict", "to-damage")
    unlink, kept = Path.unlink, b""

    def keep(self: Path, missing_ok: bool = False) -> None:
        nonlocal kept
        if self.name == JOURNAL:
            kept = self.read_bytes()
        unlink(self, missing_ok=missing_ok)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "unlink", keep)
        assert runs(*words) == 0
    assert kept
    return runs.folder / "to-damage", kept


@pytest.mark.parametrize("name", ANY_FILE)
def test_a_damaged_journal(
    runs: SmallRuns,
    predicted: tuple[Path, bytes],
    tmp_path: Path,
    tally: Tally,
    capfd: pytest.CaptureFixture[str],
    name: str,
) -> None:
    expected, journal = predicted
    tally.points += 1
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / JOURNAL).write_bytes(ANY_FILE[name](journal, Random(name)))
    words = runs.arguments("predict", str(tmp_path / "run"))
    outcome = attempt(lambda: main(words), capfd, tally, tmp_path / "run", (JOURNAL,))
    if outcome.status == 0:
        same = (tmp_path / "run/predictions.csv").read_bytes() == (expected / "predictions.csv").read_bytes()
        tally.equal += same
        tally.lost += not same
        assert same


@pytest.mark.parametrize("name", [*ANY_FILE, *TEXT_FILE])
def test_a_damaged_configuration(
    runs: SmallRuns, folder: Path, tally: Tally, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    config = folder.with_name("mine.yaml")
    good = (bundled_configs() / "tiny-nous.yaml").read_bytes()
    config.write_bytes((ANY_FILE | TEXT_FILE)[name](good, Random(name)))
    small = SmallRuns(runs.folder, str(config))
    words = small.arguments("fit", str(folder), "--ckpt_path", "last", *FIT)
    outcome = attempt(lambda: main(words), capfd, tally, folder, ("mine.yaml", "--", "checkpoint", "last.ckpt"))
    assert isinstance(outcome, Outcome)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
@pytest.mark.parametrize("name", [*ANY_FILE, *TEXT_FILE])
def test_damaged_predictions(
    predicted: tuple[Path, bytes],
    tmp_path: Path,
    tally: Tally,
    capfd: pytest.CaptureFixture[str],
    name: str,
    suffix: str,
) -> None:
    tally.points += 1
    good = predicted[0] / f"predictions{suffix}"
    damaged = tmp_path / f"damaged{suffix}"
    damaged.write_bytes((ANY_FILE | TEXT_FILE)[name](good.read_bytes(), Random(name)))
    submission = tmp_path / "out" / "submission.csv"
    submission.parent.mkdir()
    submission.write_text("of an earlier run", encoding="utf-8")
    words = [f"one={good}", f"two={damaged}", "--strategy", "weighted", "--output", str(submission)]
    outcome = attempt(lambda: ensemble.main(words), capfd, tally, submission.parent, (damaged.name, "two"))
    if outcome.status == 0:  # every question of both, and no other
        assert submission.read_bytes().count(b"\n") == (predicted[0] / "predictions.csv").read_bytes().count(b"\n")
    assert set(contents(submission.parent)) == {"submission.csv"}

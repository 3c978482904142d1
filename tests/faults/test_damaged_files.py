"""Damaged checkpoints, adapters, configurations and predictions: one clear line, or a way around that is said."""

import io
import os
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import ensemble
import pytest
import torch
from damaged_bytes import ANY_FILE, TEXT_FILE
from fault_table import Tally
from outcomes import Outcome, attempt
from small_runs import SmallRuns, contents

from kqa_lightning.__main__ import main
from kqa_lightning.config_files import bundled_configs

KIND = "damaged checkpoints, journals, configurations, predictions"
LAST, BEST = "checkpoints/last.ckpt", "checkpoints/best.ckpt"
JOURNAL = "predictions.rank0.journal"


class Code:
    """Pickled, it would leave a file behind when it is read."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.witness),)


def _saved(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def _rewritten(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes, Random, Path], bytes]:
    def damage(data: bytes, choose: Random, witness: Path) -> bytes:
        checkpoint = torch.load(io.BytesIO(data), weights_only=True)
        change(checkpoint)
        return _saved(checkpoint)

    return damage


def _half_the_weights(checkpoint: dict[str, Any]) -> None:
    for name in list(checkpoint["state_dict"])[::2]:
        del checkpoint["state_dict"][name]


def _other_shapes(checkpoint: dict[str, Any]) -> None:
    checkpoint["state_dict"] = {name: tensor[:1] for name, tensor in checkpoint["state_dict"].items()}


WRITTEN: dict[str, Callable[[bytes, Random, Path], bytes]] = {
    "code": lambda data, choose, witness: _saved({"state_dict": {}, "x": Code(witness)}),
    "another program's": lambda data, choose, witness: _saved({"state_dict": {}, "epoch": 1}),
    "a tensor": lambda data, choose, witness: _saved(torch.ones(3)),
    "code in a whole one": _rewritten(lambda checkpoint: checkpoint.update(loops=print)),
    "no random state": _rewritten(lambda checkpoint: checkpoint.pop("random_state")),
    "half the weights": _rewritten(_half_the_weights),
    "weights of other shapes": _rewritten(_other_shapes),
    "no weights": _rewritten(lambda checkpoint: checkpoint.update(state_dict={})),
    "weights are text": _rewritten(lambda checkpoint: checkpoint.update(state_dict="none")),
    "a csv": lambda data, choose, witness: "id,answer\n1,가\n".encode(),
}
FIT = ("--trainer.max_epochs", "2", "--trainer.val_check_interval", "3")
COMMANDS = {"fit": FIT, "predict": (), "validate": ()}
CHECKPOINTS = [
    *((command, LAST, name) for command in COMMANDS for name in WRITTEN),
    *((command, LAST, name) for command in ("fit", "predict") for name in ANY_FILE),
    *(("predict", BEST, name) for name in ANY_FILE),
]


def damage_file(path: Path, name: str, witness: Path) -> None:
    choose, data = Random(zlib.crc32(f"{path.name} {name}".encode())), path.read_bytes()
    path.write_bytes(WRITTEN[name](data, choose, witness) if name in WRITTEN else ANY_FILE[name](data, choose))


@pytest.fixture
def folder(fitted: Path, tmp_path: Path, tally: Tally) -> Path:
    tally.points += 1
    return Path(shutil.copytree(fitted, tmp_path / "run"))


@pytest.mark.parametrize(("command", "file", "name"), CHECKPOINTS, ids=[" ".join(case) for case in CHECKPOINTS])
def test_a_damaged_checkpoint(
    runs: SmallRuns, folder: Path, tally: Tally, capfd: pytest.CaptureFixture[str], command: str, file: str, name: str
) -> None:
    witness = folder.with_name("witness")
    damage_file(folder / file, name, witness)
    words = runs.arguments(command, str(folder), *COMMANDS[command], "--ckpt_path", Path(file).stem)
    outcome = attempt(lambda: main(words), capfd, tally, folder, (Path(file).name,))
    assert not witness.exists()
    if outcome.status == 0:  # a bit that is no tensor's and not read, or a way around
        said = ("damaged", "cannot be read", "going on from", "using")
        assert any(word in outcome.err for word in said), outcome


@pytest.mark.parametrize("name", [*ANY_FILE, "a csv", "code"])
def test_a_damaged_best_while_going_on(
    runs: SmallRuns, folder: Path, tally: Tally, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    witness = folder.with_name("witness")
    damage_file(folder / BEST, name, witness)
    words = runs.arguments("fit", str(folder), *FIT, "--ckpt_path", "last")
    attempt(lambda: main(words), capfd, tally, folder, ("best.ckpt",))
    assert not witness.exists()


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

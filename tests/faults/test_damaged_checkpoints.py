"""Damaged checkpoints: refused in one line, or read where it does not matter, or the one before them is used."""

import contextlib
import io
import os
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from damaged_bytes import ANY_FILE
from fault_table import Tally
from outcomes import attempt
from small_runs import SmallRuns
from test_killed_fit import products

from kqa_lightning.__main__ import main
from kqa_lightning.checkpoints import read_checkpoint
from kqa_lightning.errors import KQAError

KIND = "damaged checkpoints"
LAST, BEST, PREVIOUS = "checkpoints/last.ckpt", "checkpoints/best.ckpt", "checkpoints/previous.ckpt"


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
FIT = ("--trainer.max_epochs", "2", "--trainer.val_check_interval", "3")  # as the finished run
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


Result = dict[str, object]


@pytest.fixture(scope="module")
def results(runs: SmallRuns, fitted: Path) -> Callable[[str, str], Result]:
    """What a command makes of a whole checkpoint of the finished run, by their names; each is run once."""
    known: dict[tuple[str, str], Result] = {}

    def result(command: str, file: str) -> Result:
        if command == "fit":  # whichever it goes on from, it ends where the finished run did
            return products(fitted)
        if (command, file) not in known:
            place = f"whole-{command}-{Path(file).stem}"
            with contextlib.redirect_stdout(io.StringIO()) as out:
                assert runs(command, place, "--ckpt_path", str(fitted / file)) == 0
            known[command, file] = result_of(command, runs.folder / place, out.getvalue())
            assert all(known[command, file].values())
        return known[command, file]

    return result


def result_of(command: str, folder: Path, out: str) -> Result:
    """What a command came to: the products of a fit, the answers of a prediction, the scores of a validation."""
    if command == "fit":
        return products(folder)
    if command == "predict":
        return {name: (folder / name).read_bytes() for name in ("predictions.csv", "predictions.jsonl")}
    return {"scores": [line for line in out.splitlines() if line.startswith("val/")]}


@pytest.mark.parametrize(("command", "file", "name"), CHECKPOINTS, ids=[" ".join(case) for case in CHECKPOINTS])
def test_a_damaged_checkpoint(
    runs: SmallRuns,
    results: Callable[[str, str], Result],
    folder: Path,
    tally: Tally,
    capfd: pytest.CaptureFixture[str],
    command: str,
    file: str,
    name: str,
) -> None:
    """One that is refused is named. Of one that is not, the damage did not matter, or the one before it is used."""
    witness = folder.with_name("witness")
    damage_file(folder / file, name, witness)
    words = runs.arguments(command, str(folder), *COMMANDS[command], "--ckpt_path", Path(file).stem)
    outcome = attempt(lambda: main(words), capfd, tally, folder, (Path(file).name,))
    assert not witness.exists()
    if outcome.status != 0:
        return
    instead = f"{folder / file} is damaged: using the one before it, {folder / PREVIOUS}" in outcome.err
    used = PREVIOUS if instead else file
    assert f"{'going on from' if command == 'fit' else 'using'} {folder / used}" in outcome.err
    expected, found = results(command, used), result_of(command, folder, outcome.out)
    tally.equal += found == expected
    tally.lost += found != expected
    assert {part for part in expected if found[part] != expected[part]} == set(), outcome


@pytest.mark.parametrize("name", [*ANY_FILE, "a csv", "code"])
def test_a_damaged_best_while_going_on(
    runs: SmallRuns, fitted: Path, folder: Path, tally: Tally, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    """The adapters of the best are not lost with it, nor replaced by those of a lower score."""
    witness = folder.with_name("witness")
    damage_file(folder / BEST, name, witness)
    damaged = is_damaged(folder / BEST)
    words = runs.arguments("fit", str(folder), *FIT, "--ckpt_path", "last")
    outcome = attempt(lambda: main(words), capfd, tally, folder, ("best.ckpt",))
    assert not witness.exists()
    assert (outcome.status, f"{folder / BEST} cannot be read" in outcome.err) == (0, damaged)
    expected, found = products(fitted), products(folder, ("last",))
    kept = {part for part in expected if not part.startswith("best")}
    if damaged and not is_damaged(folder / BEST):  # the last validation's score was the best's, and it is the best now
        best, before = (torch.load(one / BEST, weights_only=True) for one in (folder, fitted))
        assert best["best_score"] == before["best_score"]
        assert best["global_step"] > before["global_step"]
        kept.remove("adapter")
    different = {part for part in kept if found[part] != expected[part]}
    tally.equal += not different
    tally.lost += bool(different)
    assert different == set()


def is_damaged(path: Path) -> bool:
    try:
        read_checkpoint(path)
    except KQAError:
        return True
    return False

"""crossfit, stopped anywhere: going on gives the answers of an undisturbed one, byte for byte, from each fold."""

import random
from pathlib import Path

import pytest
from chains import START, Chains
from fault_table import Tally
from small_disk import small_disk
from small_runs import SmallRuns

KIND = "crossfit: kills, signals, full disks"
OPTIONS = ("--crossfit.folds", "2", "--checkpoint.every_n_train_steps", "1")
CHAINS, POINTS, DISKS = 2, 5, 2


def products(folder: Path) -> dict[str, object]:
    names = ["predictions.csv", "predictions.jsonl", "scores.json"]
    names += [f"fold-{fold}/adapter/adapter_model.safetensors" for fold in (1, 2)]
    return {name: (folder / "oof" / name).read_bytes() for name in names}


@pytest.fixture(scope="module")
def chains(runs: SmallRuns) -> Chains:
    return Chains(runs, ("crossfit", *OPTIONS), products, "crossfit", START)


@pytest.mark.parametrize("seed", range(CHAINS))
def test_stopped_and_gone_on(chains: Chains, tally: Tally, seed: int) -> None:
    chains.stopped(seed, POINTS, tally)


@pytest.mark.parametrize("seed", range(DISKS))
def test_a_full_disk(chains: Chains, tally: Tally, tmp_path: Path, seed: int) -> None:
    size = random.Random(seed).randint(500, 9000)
    with small_disk(tmp_path / "disk", size) as disk:
        folder = tmp_path / "disk" / "run"
        if chains.full(folder, 1, tally, None if disk else 1024 * size) and disk:
            disk.grow()
        chains.finish(folder, tally, f"disk of {size} kB")

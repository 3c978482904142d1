"""predict, stopped anywhere: the same command again writes the files of an undisturbed run, byte for byte."""

import random
from pathlib import Path

import pytest
from chains import Chains
from fault_table import Tally
from small_disk import small_disk
from small_runs import SmallRuns, read_rows, write_rows

KIND = "predict: kills, signals, full disks"
CHAINS, POINTS, DISKS = 5, 4, 4


def products(folder: Path) -> dict[str, object]:
    assert not list(folder.glob("*.journal"))
    return {name: (folder / name).read_bytes() for name in ("predictions.csv", "predictions.jsonl")}


@pytest.fixture(scope="module")
def chains(runs: SmallRuns) -> Chains:
    rows = [row | {"id": row["id"] + "-" * 400} for row in read_rows(runs.tables["train"])]
    table = write_rows(runs.folder / "long-ids.csv", rows)  # a journal larger than the settings
    options = ("--data.predict_path", str(table), "--data.share_articles", "false")
    words = ("predict", *options, "--data.evaluation_tokens_per_batch", "1")  # a group of every question
    return Chains(runs, words, products, "predict")


@pytest.mark.parametrize("seed", range(CHAINS))
def test_stopped_and_gone_on(chains: Chains, tally: Tally, seed: int) -> None:
    chains.stopped(seed, POINTS, tally)


@pytest.mark.parametrize("seed", range(DISKS))
def test_a_full_disk(chains: Chains, tally: Tally, tmp_path: Path, seed: int) -> None:
    size = random.Random(seed).randint(4, 48)  # kilobytes; journal, settings and both files take about 50
    with small_disk(tmp_path / "disk", size) as disk:
        folder = tmp_path / "disk" / "run"
        if chains.full(folder, 1, tally, None if disk else 1024 * size) and disk:
            disk.grow()
        chains.finish(folder, tally, f"disk of {size} kB")

"""The figures of the curves are those of the batches."""

import subprocess
import sys
from collections import deque
from pathlib import Path

import pytest
import torch
from curves import events, scalars
from small_runs import SmallRuns

from callbacks.throughput import Work, figures, measure, peak_memory
from kqa_lightning.data.encoding import EncodedArticle, EncodedQuestion
from kqa_lightning.data.packing import pack

NAMES = {
    "train/answers_per_second",
    "train/tokens_per_second",
    "train/separate_tokens_per_second",
    "train/padding_share",
    "train/peak_memory_gib",
}


def test_a_batch_is_measured() -> None:
    one = EncodedArticle((1,) * 10, (EncodedQuestion(0, (2, 3), (4,)), EncodedQuestion(1, (2,), (4, 5))), False)
    other = EncodedArticle((1,) * 4, (EncodedQuestion(2, (2,), ()),), False)
    work = measure(pack([one, other], 0), seconds=2.0)
    assert work == Work(2.0, answers=2, computed=21, separate=31, cells=32)


def test_figures_are_those_of_all_batches_together() -> None:
    work = deque([Work(1.0, 2, 30, 60, 40), Work(3.0, 2, 50, 100, 60)])
    assert figures(work) == {
        "train/answers_per_second": 1.0,
        "train/tokens_per_second": 20.0,
        "train/separate_tokens_per_second": 40.0,
        "train/padding_share": pytest.approx(0.2),
    }


def test_the_curves_of_a_fit(fitted: Path) -> None:
    assert set(events(fitted).Tags()["scalars"]) >= NAMES
    for name in NAMES:
        values = [value for _, value in scalars(fitted, name)]
        assert len(values) == 12
        assert min(values) >= 0
    assert all(value > 0 for _, value in scalars(fitted, "train/answers_per_second"))


def test_a_run_that_goes_on_in_mid_epoch_times_its_own_batches(runs: SmallRuns) -> None:
    for steps in ("2", "4"):
        assert runs("fit", "paced", "--trainer.max_steps", steps, "--ckpt_path", "last") == 0
    *_, before, third, fourth = (value for _, value in scalars(runs.folder / "paced", "train/answers_per_second"))
    for value in (third, fourth):  # the clock of a machine counts from its start: hours or days
        assert before / 100 < value < before * 100


def test_peak_memory_holds_what_was_allocated() -> None:
    before = peak_memory(torch.device("cpu"))
    held = torch.ones(2**26)  # 256 MiB, each page of them written to
    after = peak_memory(torch.device("cpu"))
    assert after >= before
    assert after > held.nbytes


@pytest.mark.skipif(sys.platform == "win32", reason="peak memory is not known there")
def test_peak_memory_is_not_that_of_the_program_that_started_this_one() -> None:
    fat = torch.ones(2**28 + 2**27)  # 1.5 GiB
    child = "import torch; from callbacks.throughput import peak_memory; print(peak_memory(torch.device('cpu')))"
    said = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, check=True).stdout
    assert 2**26 < int(said) < fat.nbytes

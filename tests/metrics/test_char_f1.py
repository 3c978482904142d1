"""The torchmetrics classes, in one process and in two that talk over gloo."""

import math
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from kqa_lightning.metrics import CharF1, ExactMatch
from kqa_lightning.metrics.functional import char_f1, exact_match

PREDICTIONS = ["25명", "14일, 다섯 차례", None, "공소시효", "3%", "국민은행", ""]
GOLDS = ["1710명", ["다섯 차례", "14일"], "가", "선거사범의 공소시효", ["3", "4"], "은행국민", "없음"]


@pytest.mark.parametrize(("metric_class", "function"), [(CharF1, char_f1), (ExactMatch, exact_match)])
def test_mean_of_the_function_over_batches(metric_class, function) -> None:
    metric = metric_class()
    metric.update(PREDICTIONS[:3], GOLDS[:3])
    metric.update([], [])
    metric.update(tuple(PREDICTIONS[3:]), tuple(GOLDS[3:]))
    expected = math.fsum(map(function, PREDICTIONS, GOLDS)) / len(GOLDS)
    assert metric.compute().dtype == torch.float64
    assert metric.compute().item() == pytest.approx(expected, abs=1e-15)
    metric.reset()
    metric.update(["3%"], ["3"])
    assert metric.compute().item() == 1.0


def test_forward_gives_the_batch_and_keeps_the_whole() -> None:
    metric = ExactMatch()
    assert metric(["가"], ["가"]).item() == 1.0
    assert metric(["가"], ["나"]).item() == 0.0
    assert metric.compute().item() == 0.5


def test_float64_survives_a_half_precision_model() -> None:
    metric = CharF1().half().float()
    metric.update(["가"], ["가나"])
    assert metric.total.dtype == metric.compute().dtype == torch.float64


def test_many_small_scores_add_up_exactly() -> None:
    metric = CharF1()
    for _ in range(1000):
        metric.update(["가"] * 100, ["가나"] * 100)
    assert metric.compute().item() == pytest.approx(2 / 3, abs=1e-12)  # float32 is off by 5e-6


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_no_question_is_nan() -> None:
    assert torch.isnan(CharF1().compute())


@pytest.mark.parametrize(
    ("predictions", "golds"),
    [(["가"], ["가", "나"]), (["가", "나"], ["가"]), ("가", ["가"]), (["가"], "가"), (["가"], [[]])],
)
def test_what_does_not_go_together_is_refused(predictions, golds) -> None:
    metric = CharF1()
    with pytest.raises(ValueError):
        metric.update(predictions, golds)
    assert metric.count == 0


SPLITS = (5, len(GOLDS))  # uneven shares; nothing for the second process


def _score_shares(rank: int, folder: str) -> None:
    """One of two processes: rank 0 scores the questions before each split, rank 1 the others."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    results = []
    for split in SPLITS:
        share = slice(None, split) if rank == 0 else slice(split, None)
        for metric in (CharF1(), ExactMatch()):
            if PREDICTIONS[share]:
                metric.update(PREDICTIONS[share], GOLDS[share])
            results.append(metric.compute())
    torch.save(results, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_give_what_one_gives(tmp_path: Path) -> None:
    mp.spawn(_score_shares, args=(str(tmp_path),), nprocs=2)
    alone = []
    for metric in (CharF1(), ExactMatch()):
        metric.update(PREDICTIONS, GOLDS)
        alone.append(metric.compute().item())
    assert 0 < alone[1] < alone[0] < 1
    for rank in range(2):
        together = torch.load(tmp_path / f"{rank}.pt")
        assert {result.dtype for result in together} == {torch.float64}
        assert [result.item() for result in together] == pytest.approx(alone * len(SPLITS), abs=1e-15)

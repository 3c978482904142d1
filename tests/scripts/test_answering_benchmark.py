"""The answering benchmark: all ways decode the same tokens."""

import json
import threading
from collections.abc import Callable
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmark_parent import Parent
from benchmarks import answering, answering_ways
from benchmarks.benchmark_data import choose_articles, write_rows
from benchmarks.workers import WayFailed, Worker, run

from kqa_lightning.errors import KQAError


def test_an_adapter_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for wrong in ("tiny-nous", f"tiny-nous={tmp_path}"):
        with pytest.raises(KQAError, match=r"--adapters tiny-nous.*BASE=FOLDER"):
            answering.main(["--adapters", wrong])


class ThreadedWorker(Worker):
    """A worker whose child is a thread, which is there at once."""

    def __init__(self, name: str, target: Callable[..., None], arguments: tuple[Any, ...], log: Path) -> None:
        self.name, self._log = name, log
        log.touch()
        self._connection, theirs = Pipe()
        threading.Thread(target=run, args=(target, theirs, *arguments), daemon=True).start()

    def end(self) -> None:
        self._connection.close()


@pytest.mark.parametrize("stop_strings", [False, True])
def test_all_ways_to_answer_decode_the_same_tokens(tmp_path: Path, stop_strings: bool) -> None:
    write_rows(tmp_path / "x.jsonl", choose_articles("sample", count=1, seed=1, longest=1200))
    job = answering_ways.Job("tiny-nous", "nous", str(tmp_path / "x.jsonl"), None, 24, True, stop_strings, "fp32", 1)
    found = {}
    for way in ("reference", *answering.WAYS):
        parent: Any = Parent(1, None)
        if way == "continuous" and stop_strings:
            with pytest.raises(ValueError, match="continuous batching has no stop strings"):
                answering_ways.answer(parent, job, way, 3)
        else:
            answering_ways.answer(parent, job, way, 3)
            flushes = bool(torch.tensor(1e-39) * 0.5 == 0)
            assert flushes == (way == "shared")  # what the others would not do for themselves they do not get from us
            _, answered, peak = parent.heard
            found[way] = answered.texts, answered.tokens
            assert answered.piece.answers == 4 and peak > 100
    assert all(one == found["reference"] for one in found.values())
    # One goes on behind the end of its line.
    assert found["reference"][1] == [17, 24, 17 if stop_strings else 24, 22]


def test_answering_from_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(answering, "Worker", ThreadedWorker)
    monkeypatch.setattr(answering, "DECK_TOKENS", 4)
    files = ["--json", str(tmp_path / "x.json"), "--plot", str(tmp_path / "x.png")]
    answering.main(["--bases", "tiny-nous", "--articles", "1", "--quick", "--stop-strings", *files])
    ways = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))["tiny-nous/sample"]
    assert list(ways) == ["deck", "batched", "shared"]
    for way in ways.values():
        assert len(way["answers_per_second"]) == 3 and way["same_answers"] == [1.0] * 3
        assert way["mean_tokens"] == 4.0 and len(way["peak_mib"]) == 1
    assert (tmp_path / "x.png").stat().st_size > 1000
    assert "continuous is not available here: the way continuous failed: ValueError" in capsys.readouterr().out


def test_continuous_batching_may_fail_at_any_time_and_no_other_way() -> None:
    one = answering.Measured(answers_per_second=[1.0])
    with answering.may_be_unavailable("continuous", one):
        raise WayFailed("it ran out of blocks\nand so on")
    assert one.unavailable == "it ran out of blocks" and not one.answers_per_second
    with pytest.raises(WayFailed), answering.may_be_unavailable("shared", one):
        raise WayFailed("a fault")

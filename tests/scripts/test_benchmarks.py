"""What the benchmarks are given, what they refuse before they measure for minutes, and that they measure like work."""

import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks import answering, answering_ways, benchmark_data, profile_training, training, training_ways
from benchmarks.benchmark_data import choose_articles, write_rows
from benchmarks.workers import WayFailed, Worker, run
from script_options import run_script

from kqa_lightning.errors import KQAError


def test_all_articles_have_as_many_questions() -> None:
    rows = choose_articles("sample", count=20, seed=0, longest=2000)
    assert len(set(Counter(row["context"] for row in rows).values())) == 1
    assert len({row["context"] for row in rows}) == 20
    assert rows == choose_articles("sample", count=20, seed=0, longest=2000)
    assert rows != choose_articles("sample", count=20, seed=1, longest=2000)


def test_no_article_is_longer_than_asked() -> None:
    assert max(len(row["context"]) for row in choose_articles("sample", count=5, seed=0, longest=400)) <= 400
    with pytest.raises(KQAError, match=r"sample has \d+ articles with \d questions, 1000 are needed"):
        choose_articles("sample", count=1000, seed=0, longest=400)
    with pytest.raises(KQAError, match="sample has no answered question on an article of at most 10 characters"):
        choose_articles("sample", count=5, seed=0, longest=10)


@pytest.mark.parametrize("main", [answering.main, training.main])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--quic",), "there is no option --quic; did you mean --quick?"),
        (("--bases", "tiny-gemma3"), "tiny-gemma3"),
        (("--repetitions", "0"), "--repetitions: 0 is to be a whole number of at least 1"),
        (("--json", "none/x.json"), "--json: none/x.json: there is no folder none"),
        (("--korquad", "none.json"), "none.json"),
    ],
)
def test_what_cannot_be_measured_is_refused_at_once(
    main: Callable[[Sequence[str] | None], None],
    options: tuple[str, ...],
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_script(main, options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and words in line


def test_a_profile_tells_kinds_of_operations_apart(capsys: pytest.CaptureFixture[str]) -> None:
    found = profile_training.shares([("aten::mm", 3.0), ("aten::mul_", 2.0), ("aten::view", 4.0), ("autograd::mm", 1)])
    rest, mixed = profile_training.REST, "norms, gates, positions, sums, copies"
    assert {kind: share for kind, share in found.items() if share} == {"matrix products": 0.3, mixed: 0.2, rest: 0.5}
    assert (
        run_script(profile_training.main, ("--bases", "tiny-nous", "--articles", "1", "--ways", "shared", "separate"))
        == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["tiny-nous,", "shared", "tiny-nous,", "separate"]
    for column in (-4, -2):  # a figure and its sign
        assert sum(int(line.split()[column]) for line in lines[1:-1]) == pytest.approx(100, abs=3)
    shared, separate = (int(word) for word in lines[-1].split()[-2:])
    assert 0 < shared < separate


def test_trls_step_is_profiled_too(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("trl", reason="trl is not here: install the extra benchmark")
    assert run_script(profile_training.main, ("--bases", "tiny-nous", "--articles", "1", "--ways", "deck")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["tiny-nous,", "deck"]
    assert sum(int(line.split()[-2]) for line in lines[1:-1]) == pytest.approx(100, abs=3)


def test_an_adapter_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for wrong in ("tiny-nous", f"tiny-nous={tmp_path}"):
        with pytest.raises(KQAError, match=r"--adapters tiny-nous.*BASE=FOLDER"):
            answering.main(["--adapters", wrong])


# --- training ----------------------------------------------------------------------------------------------------


class Parent:
    """The parent's end of a way that runs in this process: says what it is told to, and keeps what it hears."""

    def __init__(self, *says: str) -> None:
        self.says = list(says)
        self.heard: list[Any] = []

    def recv(self) -> str:
        return self.says.pop(0)

    def send(self, message: Any) -> None:
        self.heard.append(message)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> training_ways.Job:
    """Steps of one article with four questions, on three articles that are gone through more than once."""
    folder = tmp_path_factory.mktemp("benchmark")
    rows = choose_articles("sample", count=4, seed=0, longest=500)
    write_rows(folder / "train.jsonl", rows[:12])
    write_rows(folder / "held-out.jsonl", rows[12:])
    paths = str(folder / "train.jsonl"), str(folder / "held-out.jsonl")
    return training_ways.Job("tiny-nous", "nous", *paths, 4, steps_per_repetition=2, repetitions=2, threads=1)


def held_out_loss(work: Callable[..., None], *arguments: Any) -> float:
    """Train for two repetitions, the second of which runs out of new rows; the loss at the end."""
    parent = Parent("go", "go", "end")
    work(parent, *arguments)
    ready, *pieces, (peak, before, loss, rows) = parent.heard
    assert ready == "ready"
    assert [piece.answers for piece in pieces] == [8, 8]
    assert rows == 20
    assert peak >= before > 100
    return float(loss)


@pytest.fixture(scope="module")
def shared_loss(job: training_ways.Job) -> float:
    """What ours comes to with an article a row."""
    return held_out_loss(training_ways.train_ours, job, True, 1)


@pytest.mark.parametrize("benchmark", [answering, training], ids=["answering", "training"])
def test_the_wide_base_takes_the_tokenizer_of_a_folder(
    benchmark: Any, tmp_path: Path, tiny_bases: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark_data, "WIDE_VOCABULARY", 1408)
    monkeypatch.setattr(benchmark_data, "WIDE_LAYERS", 1)
    tokenizer = tmp_path / "tokenizer"
    tokenizer.mkdir()
    options = benchmark.parse(["--bases", "wide", "--wide-tokenizer", str(tokenizer), "--quick"])
    with pytest.raises(KQAError, match=f"^--wide-tokenizer {tokenizer}: the folder has neither"):
        benchmark.plan(options, tmp_path)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (tokenizer / file).write_bytes((tiny_bases["gemma2"] / file).read_bytes())
    (comparison,) = benchmark.plan(options, tmp_path)
    assert comparison.name == "wide/sample"
    assert (tmp_path / "wide" / "model.safetensors").exists()
    if benchmark is training:
        for given, rows in (([], 2), (["--trl-rows", "3"], 3), (["--trl-rows", "99"], 4)):
            more = training.parse(["--bases", "wide", "--wide-tokenizer", str(tokenizer), *given])
            (comparison,) = training.plan(more, tmp_path)
            assert {way: job.rows_per_step for way, job in comparison.jobs.items()} == {
                **{"deck": rows, "trl_best": rows, "separate": 4, "shared": 4}
            }
            assert [job.steps_per_repetition for job in comparison.jobs.values()] == [1, 1, 2, 2]


def test_ours_trains_on_the_same_rows_in_whatever_batches(job: training_ways.Job, shared_loss: float) -> None:
    assert held_out_loss(training_ways.train_ours, job, False, 2) == pytest.approx(shared_loss, rel=1e-4)


def test_trl_trains_on_the_same_rows_as_ours(job: training_ways.Job, shared_loss: float, tmp_path: Path) -> None:
    pytest.importorskip("trl", reason="trl is not here: install the extra benchmark")
    from benchmarks.trl_training import train_trl

    assert held_out_loss(train_trl, job, 2, True, tmp_path) == pytest.approx(shared_loss, rel=1e-3)
    whole_text = held_out_loss(train_trl, job, 1, False, tmp_path)
    assert whole_text != pytest.approx(shared_loss, rel=1e-3)


def test_a_training_that_ends_early_is_an_error(job: training_ways.Job) -> None:
    with pytest.raises(RuntimeError, match="ended after its 5 steps, and one more was asked for"):
        training_ways.train_ours(Parent("go", "go", "go"), job, True, 1)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="an optimizer step had 3 rows, not 4"):
        training_ways.Pacer(Parent(), job).step(3)  # type: ignore[arg-type]


def test_a_step_has_the_same_rows_whatever_the_batch() -> None:
    lengths = random.Random(0).choices(range(100), k=48)
    for size in training.batch_sizes(24):
        batches = training_ways.step_batches(lengths, 24, size)
        assert {len(batch) for batch in batches} == {size}
        rows = [row for batch in batches for row in batch]
        assert sorted(rows[:24]) == list(range(24)) and sorted(rows[24:]) == list(range(24, 48))
        assert [lengths[row] for row in rows[:24]] == sorted(lengths[:24])
    assert training.batch_sizes(24) == [1, 4, 6, 12, 24]
    assert training.batch_sizes(16) == [1, 4, 16]
    assert training.batch_sizes(2) == [1, 2]
    with pytest.raises(ValueError, match="48 rows do not make batches of 16 and steps of 24"):
        training_ways.step_batches(lengths, 24, 16)


@pytest.mark.parametrize("per_repetition", [1, 2, 3])
def test_steps_are_of_articles_of_like_length_and_repetitions_of_like_work(per_repetition: int) -> None:
    steps = 1 + 6 * per_repetition
    lengths = random.Random(0).sample(range(1000), k=2 * steps)
    rows = [{"id": f"{length}-{question}", "context": "x" * length} for length in lengths for question in range(4)]
    ordered = training.step_order(rows, 4, 2, per_repetition)
    assert sorted(row["id"] for row in ordered) == sorted(row["id"] for row in rows)
    found = [len(ordered[place]["context"]) for place in range(0, len(ordered), 4)]
    assert [row["id"] for row in ordered] == [f"{length}-{question}" for length in found for question in range(4)]
    ranks = [sorted(lengths).index(length) for length in found]
    pairs = [sorted(ranks[place : place + 2]) for place in range(0, len(ranks), 2)]
    assert all(second == first + 1 and first % 2 == 0 for first, second in pairs)  # neighbours by length
    places = [first // 2 for first, _ in pairs]
    assert places[0] == steps // 2
    repetitions = [places[start : start + per_repetition] for start in range(1, steps, per_repetition)]
    assert repetitions != sorted(repetitions)
    if per_repetition > 1:
        work = list(map(sum, repetitions))
        assert max(work) - min(work) <= {2: 2, 3: 8}[per_repetition]


def test_what_training_came_to_is_told() -> None:
    one = training.Measured([3.0, 1.0, 2.0], [700], [400], [1.25], batch_size=4, token_ratio=2.5, rows_per_step=8)
    ways = dict.fromkeys(training.WAYS, training.Measured([0.5], [900], [400], [1.5])) | {"shared": one}
    (line,) = [line for line in training.describe("x/sample", ways, 2.5).splitlines() if line.startswith("shared")]
    assert line.split() == ["shared", "2.00", "1.00", "to", "3.00", "1.0", "times", "700", "400", "1.250", "4"]
    written = training.as_json({"x/sample": ways})["x/sample"]["shared"]
    assert written == {
        **{"answers_per_second": [3.0, 1.0, 2.0], "peak_mib": [700], "before_mib": [400], "loss": [1.25]},
        **{"batch_size": 4, "token_ratio": 2.5, "rows_per_step": 8, "rows_trained": 0},
    }


# --- answering ---------------------------------------------------------------------------------------------------


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
        parent = Parent(1, None)  # type: ignore[arg-type]
        if way == "continuous" and stop_strings:
            with pytest.raises(ValueError, match="continuous batching has no stop strings"):
                answering_ways.answer(parent, job, way, 3)  # type: ignore[arg-type]
        else:
            answering_ways.answer(parent, job, way, 3)  # type: ignore[arg-type]
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


def test_a_child_that_fails_says_why(tmp_path: Path) -> None:
    failing = Worker("failing", len, (), tmp_path / "failing.log")  # type: ignore[arg-type]
    silent = Worker("silent", id, (), tmp_path / "silent.log")  # type: ignore[arg-type]
    with pytest.raises(WayFailed, match=r"(?s)the way failing failed: TypeError: .*no len.*Traceback"):
        failing.receive()
    with pytest.raises(WayFailed, match="the way silent failed: it ended with status 0"):
        silent.ask("go")
    for worker in (failing, silent):
        worker.end()

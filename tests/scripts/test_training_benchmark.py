"""The training benchmark: all ways learn from the same rows, and repetitions are of like work."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from benchmark_parent import Parent
from benchmarks import benchmark_data, training, training_plan, training_ways
from benchmarks.benchmark_data import choose_articles, write_rows
from benchmarks.workers import Piece, Worker
from script_options import run_script


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


def test_ours_trains_on_the_same_rows_in_whatever_batches(job: training_ways.Job, shared_loss: float) -> None:
    assert held_out_loss(training_ways.train_ours, job, False, 2) == pytest.approx(shared_loss, rel=1e-4)


def test_trl_trains_on_the_same_rows_as_ours(job: training_ways.Job, shared_loss: float, tmp_path: Path) -> None:
    pytest.importorskip("trl", reason="trl is not here: install the extra benchmark")
    from benchmarks.trl_training import train_trl

    assert held_out_loss(train_trl, job, 2, True, tmp_path) == pytest.approx(shared_loss, rel=1e-3)
    whole_text = held_out_loss(train_trl, job, 1, False, tmp_path)
    assert whole_text != pytest.approx(shared_loss, rel=1e-3)


def test_a_training_that_ends_early_is_an_error(job: training_ways.Job) -> None:
    going_on: Any = Parent("go", "go", "go")
    silent: Any = Parent()
    with pytest.raises(RuntimeError, match="ended after its 5 steps, and one more was asked for"):
        training_ways.train_ours(going_on, job, True, 1)
    with pytest.raises(RuntimeError, match="an optimizer step had 3 rows, not 4"):
        training_ways.Pacer(silent, job).step(3)


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
    ordered = training_plan.step_order(rows, 4, 2, per_repetition)
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
    ways = dict.fromkeys(training_plan.WAYS, training.Measured([0.5], [900], [400], [1.5])) | {"shared": one}
    (line,) = [line for line in training.describe("x/sample", ways, 2.5).splitlines() if line.startswith("shared")]
    assert line.split() == ["shared", "2.00", "1.00", "to", "3.00", "1.0", "times", "700", "400", "1.250", "4"]
    written = training.as_json({"x/sample": ways})["x/sample"]["shared"]
    assert written == {
        **{"answers_per_second": [3.0, 1.0, 2.0], "peak_mib": [700], "before_mib": [400], "loss": [1.25]},
        **{"batch_size": 4, "token_ratio": 2.5, "rows_per_step": 8, "rows_trained": 0},
    }


@pytest.fixture
def small_wide_base(tiny_bases: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a tokenizer; the wide base is made with its vocabulary, and with one layer."""
    monkeypatch.setattr(benchmark_data, "WIDE_VOCABULARY", 1408)
    monkeypatch.setattr(benchmark_data, "WIDE_LAYERS", 1)
    return tiny_bases["gemma2"]


@pytest.mark.parametrize(("given", "rows"), [([], 2), (["--trl-rows", "3"], 3), (["--trl-rows", "99"], 4)])
def test_trls_steps_on_the_wide_base_are_of_fewer_rows(
    small_wide_base: Path, tmp_path: Path, given: list[str], rows: int
) -> None:
    options = training.parse(["--bases", "wide", "--wide-tokenizer", str(small_wide_base), *given])
    (comparison,) = training_plan.plan(options, tmp_path)
    asked = {way: job.rows_per_step for way, job in comparison.jobs.items()}
    assert asked == {"deck": rows, "trl_best": rows, "separate": 4, "shared": 4}
    assert [job.steps_per_repetition for job in comparison.jobs.values()] == [1, 1, 2, 2]


# --- the driver --------------------------------------------------------------------------------------------------


class Scripted(Worker):
    """A worker that does nothing and says that it was as fast as ``speed`` has it."""

    started: ClassVar[list["Scripted"]] = []
    log: ClassVar[list[tuple[str, str]]] = []

    def __init__(self, name: str, target: Callable[..., None], arguments: tuple[Any, ...], log: Path) -> None:
        self.name, self.target, self.arguments = name, target, arguments
        self.batch_size = arguments[2] if target is training.train_ours else arguments[1]
        self.started.append(self)

    def receive(self) -> Any:
        return "ready"

    def ask(self, message: Any) -> Any:
        self.log.append((self.name, message))
        job: training_ways.Job = self.arguments[0]
        if message == "end":
            return 100 + self.batch_size, 50, 1.23456, job.rows_per_step * job.steps
        answers = job.rows_per_step * job.steps_per_repetition
        return Piece(answers, answers / speed(self.name, self.batch_size))

    def end(self) -> None:
        self.log.append((self.name, "ended"))


def speed(way: str, batch_size: int) -> float:
    """Answers a second: fastest in batches of 4 rows."""
    return 8.0 * (1 + training_plan.WAYS.index(way)) - abs(batch_size - 4)


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> type[Scripted]:
    monkeypatch.setattr(training, "Worker", Scripted)
    monkeypatch.setattr(training, "require_trl", lambda: None)
    monkeypatch.setattr(Scripted, "started", [])
    monkeypatch.setattr(Scripted, "log", [])
    return Scripted


def test_ways_take_turns_each_in_the_batch_that_is_fastest(
    scripted: type[Scripted], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--json", str(tmp_path / "x.json"), "--plot", str(tmp_path / "x.png")]
    training.main(["--bases", "tiny-nous", "--repetitions", "3", *files])
    measured = scripted.started[-4:]
    assert [(one.name, one.batch_size) for one in measured] == list(zip(training_plan.WAYS, (1, 4, 4, 4), strict=True))
    tried = {way: [one.batch_size for one in scripted.started[:-4] if one.name == way] for way in training_plan.WAYS}
    assert tried == {"deck": [], "trl_best": [1, 4, 16], "separate": [1, 4, 16], "shared": [1, 4]}
    turns = [name for name, message in scripted.log if message == "go"][-12:]
    assert turns == list(training_plan.WAYS) * 3
    assert {name for name, message in scripted.log[-4:] if message == "ended"} == set(training_plan.WAYS)
    ways = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))["tiny-nous/sample"]
    assert list(ways) == list(training_plan.WAYS)
    for way, one in ways.items():
        assert one["answers_per_second"] == [speed(way, one["batch_size"])] * 3
        assert (one["peak_mib"], one["before_mib"], one["loss"]) == ([100 + one["batch_size"]], [50], [1.2346])
        assert one["rows_per_step"] == 16 and one["rows_trained"] == 16 * (1 + 3 * 2)
    assert ways["separate"]["token_ratio"] == 1 < ways["shared"]["token_ratio"]
    assert (tmp_path / "x.png").stat().st_size > 1000
    assert "tiny-nous/sample" in capsys.readouterr().out


def test_each_way_is_what_its_name_says(scripted: type[Scripted]) -> None:
    training.main(["--bases", "tiny-nous", "--quick", "--steps", "2"])
    deck, trl_best, separate, shared = scripted.started  # none was tried before
    assert deck.target is trl_best.target is training.train_trl
    assert separate.target is shared.target is training.train_ours
    assert (deck.arguments[2], trl_best.arguments[2]) == (False, True)  # the loss is on the answers alone
    assert (separate.arguments[1], shared.arguments[1]) == (False, True)  # questions share a row
    assert [one.batch_size for one in scripted.started] == [1, 4, 4, 1]
    (job,) = {one.arguments[0] for one in scripted.started}
    assert (job.rows_per_step, job.steps_per_repetition, job.repetitions) == (4, 2, 5)


def test_the_token_ratio_is_that_of_the_tokens(job: training_ways.Job) -> None:
    data = job.data(share_articles=False)
    data.setup("fit")
    separate = asked = 0
    prefixes = set()
    for row in data.articles["train"]:
        (question,) = row.questions
        prefixes.add(row.prefix_ids)
        asked += len(question.question_ids) + len(question.answer_ids)
        separate += len(row.prefix_ids)
    shared = sum(map(len, prefixes))
    assert training_plan.token_ratio(job) == pytest.approx((separate + asked) / (shared + asked), rel=1e-6)
    assert len(prefixes) == 3


@pytest.mark.parametrize("flush", [False, True])
def test_trl_has_denormals_as_it_is_asked(job: training_ways.Job, tmp_path: Path, flush: bool) -> None:
    pytest.importorskip("trl", reason="trl is not here: install the extra benchmark")
    from benchmarks.trl_training import train_trl

    class Looking(Parent):
        flushed: ClassVar[list[bool]] = []

        def recv(self) -> str:
            self.flushed.append(bool(torch.tensor(1e-39) * 0.5 == 0))
            return super().recv()

    looking: Any = Looking("go", "end")
    train_trl(looking, replace(job, flush_others=flush, repetitions=1), 4, True, tmp_path)
    assert Looking.flushed == [flush, flush]


def test_a_missing_trl_is_said_at_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert run_script(training.main, ["--quick"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: TRL is not installed") and said.endswith(" '.[benchmark]'\n")
    assert said.count("\n") == 1

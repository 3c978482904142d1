"""Compare ways to answer: the deck's pipeline, transformers' generate in batches and continuous batching, and ours.

    python scripts/benchmarks/answering.py --korquad KorQuAD_v1.0_dev.json --json answering.json --plot answering.png
    python scripts/benchmarks/answering.py --quick

Each way runs in a process of its own, with the same weights in fp32 and the same token ids, and decodes the same
tokens: an answer ends with an end token or has 100 tokens, and with ``--stop-strings`` it ends with its line too, as in
``predict``. In turns, each answers the same questions while the others wait. On the wide base, whose random weights
never stop, every answer has exactly 8 tokens.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks and charts are imported the same way by the children

from benchmarks.answering_ways import Answered, Job, answer
from benchmarks.benchmark_data import choose_articles, make_wide_base, write_rows
from benchmarks.charts import draw_speeds
from benchmarks.options import WIDE, benchmark_parser, count
from benchmarks.workers import Piece, WayFailed, Worker
from script_options import run_script

from kqa_lightning.ensemble.text_tables import format_table
from kqa_lightning.errors import KQAError

WAYS = ("deck", "batched", "continuous", "shared")
# Rows (of shared: articles) answered together, of which the fastest is taken.
BATCHES: dict[str, tuple[int, ...]] = {"batched": (1, 4, 16, 64), "continuous": (4, 16, 64), "shared": (16, 32)}
DECK_TOKENS, WIDE_TOKENS = 100, 8
QUICK_BATCH = 16
LONGEST = 1200  # characters of an article


@dataclass
class Measured:
    """What a way came to; of one that cannot run here, why."""

    batch_size: int = 1
    answers_per_second: list[float] = field(default_factory=list)
    peak_mib: list[int] = field(default_factory=list)
    same_answers: list[float] = field(default_factory=list)
    mean_tokens: float = 0.0
    unavailable: str = ""


@dataclass(frozen=True)
class Comparison:
    """One base on one table.

    Attributes:
        name: BASE/TABLE, as in the result.
        job: what all ways do.
        articles: how many there are, the questions of all of which are answered in a repetition.
    """

    name: str
    job: Job
    articles: int


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure everything asked for, and show it."""
    options = parse(arguments)
    results: dict[str, dict[str, Measured]] = {}
    with tempfile.TemporaryDirectory(prefix="kqa-benchmark-") as scratch:
        for comparison in plan(options, Path(scratch)):
            results[comparison.name] = measure(comparison, options, Path(scratch))
            print(describe(comparison.name, results[comparison.name]), flush=True)
            if options.json:  # after each, so that what is measured is not lost
                options.json.write_text(json.dumps(as_json(results), indent=1) + "\n", encoding="utf-8")
    if options.plot:
        measured = {way for ways in results.values() for way, one in ways.items() if one.answers_per_second}
        speeds = {
            name: {way: ways[way].answers_per_second or [float("nan")] for way in WAYS if way in measured}
            for name, ways in results.items()
        }
        draw_speeds(options.plot, speeds, "Answering: answers given in a second")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = benchmark_parser(
        "Compare ways to answer: transformers', the deck's among them, and ours.", ("tiny-gemma2", "tiny-nous", WIDE)
    )
    parser.add_argument(
        "--adapters", nargs="*", default=[], metavar="BASE=FOLDER", help="adapters of bases, such as runs/x/adapter"
    )
    parser.add_argument("--articles", type=count, default=32, help="to answer the questions of in a repetition")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="type of weights and arithmetic")
    parser.add_argument("--stop-strings", action="store_true", help="answers end with their line or a stop string too")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="four articles, three times, in batches of 16 rows and not in the fastest: under fifteen minutes on two"
        " idle cores, where all of it takes an hour or more",
    )
    options = parser.parse(arguments)
    if options.quick:
        options.articles = min(options.articles, 4)
        options.repetitions = min(options.repetitions, 3)
    return options


def plan(options: argparse.Namespace, scratch: Path) -> list[Comparison]:
    """The comparisons to make."""
    adapters = read_adapters(options.adapters)
    table, source = ("korquad", options.korquad) if options.korquad else ("sample", "sample")
    path = scratch / f"{table}.jsonl"
    write_rows(path, choose_articles(source, options.articles, seed=0, longest=LONGEST))
    found = []
    for base in options.bases:
        is_wide = base == WIDE
        folder, prompt = base, base.removeprefix("tiny-")
        if is_wide:
            folder, prompt = str(scratch / "wide"), "gemma2"
            make_wide_base(Path(folder), options.wide_tokenizer)
        tokens = WIDE_TOKENS if is_wide else DECK_TOKENS
        job = Job(
            *(folder, prompt, str(path), adapters.get(base), tokens, not is_wide),
            *(options.stop_strings, options.precision, options.threads, options.flush_others),
        )
        found.append(Comparison(f"{base}/{table}", job, options.articles))
    return found


def read_adapters(named: Sequence[str]) -> dict[str, str]:
    """The folder of each base's adapter.

    Raises:
        KQAError: one is not named as BASE=FOLDER, or is not there.
    """
    adapters = {}
    for one in named:
        base, _, folder = one.partition("=")
        if not (Path(folder) / "adapter_config.json").is_file():
            raise KQAError(f"--adapters {one}: give BASE=FOLDER, a folder with adapter_config.json")
        adapters[base] = folder
    return adapters


def measure(comparison: Comparison, options: argparse.Namespace, scratch: Path) -> dict[str, Measured]:
    """Let the ways take turns."""
    sizes = dict.fromkeys(BATCHES, (QUICK_BATCH,)) if options.quick else BATCHES
    expected = reference(comparison, scratch)
    found = {way: Measured() for way in WAYS}
    workers: dict[str, Worker] = {}
    try:
        for way, one in found.items():
            with may_be_unavailable(way, one):
                one.batch_size = fastest_batch(comparison, way, sizes.get(way, (1,)), scratch)
                workers[way] = start(way, comparison.job, one.batch_size, scratch)
                workers[way].receive()  # ready
        for _ in tqdm(range(options.repetitions), desc=comparison.name, unit="round"):
            for way, one in found.items():
                if not one.unavailable:
                    with may_be_unavailable(way, one):
                        note(one, workers[way].ask(comparison.articles), expected)
        for way, one in found.items():
            if not one.unavailable:
                with may_be_unavailable(way, one):
                    one.peak_mib.append(workers[way].ask(None))
    finally:
        for worker in workers.values():
            worker.end()
    return found


@contextmanager
def may_be_unavailable(way: str, one: Measured) -> Iterator[None]:
    """Note why continuous batching, which is experimental, does not work; what else fails is a fault."""
    try:
        yield
    except WayFailed as error:
        if way != "continuous":
            raise
        one.unavailable = str(error).splitlines()[0]
        one.answers_per_second.clear()  # half a measurement is none


def note(one: Measured, answered: Answered, expected: Sequence[str]) -> None:
    """Add a repetition to what a way came to."""
    one.answers_per_second.append(_speed(answered.piece))
    equal = sum(text == right for text, right in zip(answered.texts, expected, strict=False))
    one.same_answers.append(round(equal / len(answered.texts), 4))
    one.mean_tokens = round(statistics.mean(answered.tokens), 3)


def reference(comparison: Comparison, scratch: Path) -> list[str]:
    """What transformers' generate answers on one unpadded row after the other."""
    worker = start("reference", comparison.job, 1, scratch)
    try:
        worker.receive()
        return list(worker.ask(comparison.articles).texts)
    finally:
        worker.end()


def fastest_batch(comparison: Comparison, way: str, sizes: Sequence[int], scratch: Path) -> int:
    """The one of some sizes of batches at which a way is fastest, in one repetition."""
    if len(sizes) == 1:
        return sizes[0]
    speeds = dict.fromkeys(sizes, 0.0)
    for size in tqdm(sizes, desc=f"{comparison.name}, best batch of {way}", unit="batch"):
        worker = start(way, comparison.job, size, scratch)
        try:
            with may_be_unavailable(way, Measured()):  # at this size; the others may do
                worker.receive()
                speeds[size] = _speed(worker.ask(comparison.articles).piece)
        finally:
            worker.end()
    return max(sizes, key=lambda size: speeds[size])


def start(way: str, job: Job, batch_size: int, scratch: Path) -> Worker:
    """The child process of a way."""
    return Worker(way, answer, (job, way, batch_size), scratch / f"{way}.log")


def as_json(results: dict[str, dict[str, Measured]]) -> dict[str, dict[str, dict[str, Any]]]:
    """What is written of each comparison and way that works here: what it came to."""
    return {
        name: {way: without_reason(one) for way, one in ways.items() if not one.unavailable}
        for name, ways in results.items()
    }


def without_reason(one: Measured) -> dict[str, Any]:
    """All of what a way that works came to."""
    return {name: value for name, value in asdict(one).items() if name != "unavailable"}


def describe(name: str, measured: dict[str, Measured]) -> str:
    """A table of one comparison."""
    shared = statistics.median(measured["shared"].answers_per_second)
    rows = [[name, "answers/s", "range", "shared is", "peak MiB", "same answers", "tokens", "batch"]]
    notes = []
    for way, one in measured.items():
        if one.unavailable:
            notes.append(f"{way} is not available here: {one.unavailable}")
            continue
        speed = statistics.median(one.answers_per_second)
        low, high = min(one.answers_per_second), max(one.answers_per_second)
        rows.append(
            [
                *(way, f"{speed:.2f}", f"{low:.2f} to {high:.2f}", f"{shared / speed:.1f} times"),
                *(f"{one.peak_mib[0]:,}", f"{100 * min(one.same_answers):.1f}%"),
                *(f"{one.mean_tokens:.1f}", str(one.batch_size)),
            ]
        )
    return "\n".join(["", format_table(rows), *notes])


def _speed(piece: Piece) -> float:
    return round(piece.answers / piece.seconds, 3)


if __name__ == "__main__":
    sys.exit(run_script(main, None))

"""Compare four ways to fine-tune: TRL as the deck used it, TRL at its best, ours row by row, ours with shared articles.

    python scripts/benchmarks/training.py --korquad KorQuAD_v1.0_dev.json --json training.json --plot training.png
    python scripts/benchmarks/training.py --quick

Each way runs in a process of its own, from the same 4-bit base, adapters and token ids, with as many rows an
optimizer step. In turns, each does a repetition while the others wait. Needs the extra ``benchmark``.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks and charts are imported the same way by the children

from benchmarks.benchmark_data import choose_articles, make_wide_base, write_rows
from benchmarks.charts import draw_speeds
from benchmarks.options import WIDE, benchmark_parser, count
from benchmarks.training_ways import Job, train_ours, train_trl
from benchmarks.workers import Piece, Worker
from script_options import run_script

from kqa_lightning.ensemble.text_tables import format_table

WAYS = ("deck", "trl_best", "separate", "shared")
ARTICLES_PER_STEP = 4
BATCHES = {"trl_best": (1, 4, 16), "separate": (1, 4, 16), "shared": (1, 4)}  # rows, of which the fastest is taken
HELD_OUT = 12  # articles


@dataclass
class Measured:
    """What a way came to."""

    answers_per_second: list[float] = field(default_factory=list)
    peak_mib: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    batch_size: int = 1


@dataclass(frozen=True)
class Comparison:
    """One base on one table.

    Attributes:
        name: BASE/TABLE, as in the result.
        job: what all ways do.
        questions: of an article.
        token_ratio: tokens of separate rows to tokens of shared ones.
    """

    name: str
    job: Job
    questions: int
    token_ratio: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure everything asked for, and show it."""
    options = parse(arguments)
    results: dict[str, dict[str, Measured]] = {}
    ratios: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="kqa-benchmark-") as scratch:
        for comparison in plan(options, Path(scratch)):
            results[comparison.name] = measure(comparison, options.repetitions, Path(scratch))
            ratios[comparison.name] = comparison.token_ratio
            print(describe(comparison.name, results[comparison.name], comparison.token_ratio), flush=True)
            if options.json:  # after each, so that what is measured is not lost
                options.json.write_text(json.dumps(as_json(results), indent=1) + "\n", encoding="utf-8")
    if options.plot:
        speeds = {name: {way: one.answers_per_second for way, one in ways.items()} for name, ways in results.items()}
        draw_speeds(options.plot, speeds, "Training: answers learned from in a second")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = benchmark_parser(
        "Compare ways to train: TRL's, as the deck used it and at its best, and ours.",
        ("tiny-gemma2", "tiny-eeve", "tiny-nous", WIDE),
    )
    parser.add_argument("--steps", type=count, default=2, help="optimizer steps a repetition takes")
    parser.add_argument("--quick", action="store_true", help="one step a repetition")
    options = parser.parse(arguments)
    if options.quick:
        options.steps = 1
    return options


def plan(options: argparse.Namespace, scratch: Path) -> list[Comparison]:
    """The comparisons to make."""
    tables = {"korquad": options.korquad, "sample": "sample"}
    found = []
    for base in options.bases:
        for name, source in tables.items():
            if source and not (base == WIDE and name == "sample" and options.korquad):
                found.append(make_comparison(base, name, source, options, scratch))
    return found


def make_comparison(base: str, table: str, source: str, options: argparse.Namespace, scratch: Path) -> Comparison:
    """Choose the articles of a comparison and count their tokens."""
    is_wide = base == WIDE
    folder, prompt = base, base.removeprefix("tiny-")
    if is_wide:
        folder, prompt = str(scratch / "wide"), "gemma2"
        if not Path(folder).is_dir():
            make_wide_base(Path(folder), options.wide_tokenizer)
    # TRL takes two rows of the wide base a step: more would take minutes.
    articles_per_step = 1 if is_wide else ARTICLES_PER_STEP
    steps = (options.repetitions * options.steps) + 2
    rows = choose_articles(source, HELD_OUT + steps * articles_per_step, seed=0, longest=1200)
    questions = sum(row["context"] == rows[0]["context"] for row in rows)
    paths = [scratch / f"{base}-{table}-{part}.jsonl" for part in ("train", "held-out")]
    write_rows(paths[0], rows[HELD_OUT * questions :])
    write_rows(paths[1], rows[: HELD_OUT * questions])
    per_step = articles_per_step * questions
    job = Job(
        folder, prompt, str(paths[0]), str(paths[1]), per_step, options.steps * per_step, per_step, options.threads
    )
    return Comparison(f"{base}/{table}", job, questions, token_ratio(job))


def token_ratio(job: Job) -> float:
    """Tokens of separate rows to those of shared ones."""
    counts = []
    for share in (False, True):
        data = job.data(share)
        data.setup("fit")
        counts.append(sum(data.articles["train"].lengths))
    return counts[0] / counts[1]


def measure(comparison: Comparison, repetitions: int, scratch: Path) -> dict[str, Measured]:
    """Let the ways take turns."""
    sizes = {way: fastest_batch(comparison, way, scratch) for way in WAYS}
    workers = {way: start(way, comparison.job, sizes[way], scratch) for way in WAYS}
    found = {way: Measured(batch_size=sizes[way]) for way in WAYS}
    try:
        for worker in workers.values():
            worker.receive()  # ready
        for _ in tqdm(range(repetitions), desc=comparison.name, unit="round"):
            for way, worker in workers.items():
                found[way].answers_per_second.append(_speed(worker.ask("go")))
        for way, worker in workers.items():
            peak, loss = worker.ask("end")
            found[way].peak_mib.append(peak)
            found[way].loss.append(round(loss, 4))
    finally:
        for worker in workers.values():
            worker.end()
    return found


def as_json(results: dict[str, dict[str, Measured]]) -> dict[str, dict[str, dict[str, list[float]]]]:
    """What is written: of each comparison and way its speeds, peak memory and loss."""
    names = ("answers_per_second", "peak_mib", "loss")
    return {
        name: {way: {key: getattr(one, key) for key in names} for way, one in ways.items()}
        for name, ways in results.items()
    }


def fastest_batch(comparison: Comparison, way: str, scratch: Path) -> int:
    """The number of rows in a batch at which a way is fastest, in one repetition."""
    job = comparison.job
    most = job.rows_per_step // (comparison.questions if way == "shared" else 1)
    sizes = sorted({min(size, most) for size in BATCHES.get(way, (1,))})
    if len(sizes) == 1:
        return sizes[0]
    speeds = dict.fromkeys(sizes, 0.0)
    for size in tqdm(sizes, desc=f"{comparison.name}, best batch of {way}", unit="batch"):
        worker = start(way, job, size, scratch)
        try:
            worker.receive()
            speeds[size] = _speed(worker.ask("go"))
        finally:
            worker.end()
    return max(speeds, key=lambda size: speeds[size])


def start(way: str, job: Job, batch_size: int, scratch: Path) -> Worker:
    """The child process of a way."""
    log = scratch / f"{way}.log"
    if way in ("separate", "shared"):
        return Worker(way, train_ours, (job, way == "shared", batch_size), log)
    return Worker(way, train_trl, (job, batch_size, way == "trl_best", scratch), log)


def describe(name: str, measured: dict[str, Measured], ratio: float) -> str:
    """A table of one comparison."""
    shared = statistics.median(measured["shared"].answers_per_second)
    rows = [[name, "answers/s", "range", "shared is", "peak MiB", "held-out loss", "rows a batch"]]
    for way, one in measured.items():
        speed = statistics.median(one.answers_per_second)
        low, high = min(one.answers_per_second), max(one.answers_per_second)
        rows.append(
            [
                *(way, f"{speed:.2f}", f"{low:.2f} to {high:.2f}", f"{shared / speed:.1f} times"),
                *(f"{one.peak_mib[0]:,}", f"{one.loss[0]:.3f}", str(one.batch_size)),
            ]
        )
    return f"\n{format_table(rows)}\ntokens of separate rows to those of shared ones: {ratio:.2f}"


def _speed(piece: Piece) -> float:
    return round(piece.answers / piece.seconds, 3)


if __name__ == "__main__":
    sys.exit(run_script(main, None))

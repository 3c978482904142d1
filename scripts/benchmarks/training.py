"""Compare four ways to fine-tune: TRL as the deck used it, TRL at its best, ours row by row, ours with shared articles.

    python scripts/benchmarks/training.py --korquad KorQuAD_v1.0_dev.json --json training.json --plot training.png
    python scripts/benchmarks/training.py --quick

Each way runs in a process of its own, from the same 4-bit base, adapters and token ids, and takes the same rows in
each optimizer step, at the batch size that is fastest (but for ``--quick``). In turns, each does a repetition while the
others wait. On the wide base a step is of an article with its questions for ours, and for TRL's ways of two of these
questions, one step a repetition, since more would take minutes; so held-out losses there are after unlike numbers of
rows (``rows_trained``).
Needs the extra ``benchmark``, TRL; ``trl_training.py`` says where it does more on a GPU than on a CPU.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks and charts are imported the same way by the children

from benchmarks.charts import draw_speeds
from benchmarks.options import WIDE, benchmark_parser, count
from benchmarks.training_plan import WAYS, Comparison, plan
from benchmarks.training_ways import Job, train_ours
from benchmarks.trl_training import require_trl, train_trl
from benchmarks.workers import Piece, Worker
from script_options import run_script

from kqa_lightning.ensemble.text_tables import format_table

ARTICLES_PER_STEP, QUICK_ARTICLES = 4, 1
WIDE_TRL_ROWS = 2  # in a step
BATCHES = (1, 4, 6, 12, 24)  # rows; those that divide a step, of which the fastest is taken


@dataclass
class Measured:
    """What a way came to."""

    answers_per_second: list[float] = field(default_factory=list)
    peak_mib: list[int] = field(default_factory=list)
    before_mib: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    batch_size: int = 1
    token_ratio: float = 1.0
    rows_per_step: int = 0
    rows_trained: int = 0


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure everything asked for, and show it."""
    options = parse(arguments)
    require_trl()
    results: dict[str, dict[str, Measured]] = {}
    with tempfile.TemporaryDirectory(prefix="kqa-benchmark-") as scratch:
        for comparison in plan(options, Path(scratch)):
            results[comparison.name] = measure(comparison, options, Path(scratch))
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
    parser.add_argument(
        "--steps",
        type=count,
        help="optimizer steps of a repetition (default: 2, with --quick 1); of TRL's ways on the wide base 1",
    )
    parser.add_argument(
        "--trl-rows",
        type=count,
        default=WIDE_TRL_ROWS,
        help="questions in a step of TRL's ways on the wide base (default: %(default)s; ours takes all of an article)",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="steps of an article, one a repetition, in batches of an article's questions and not in the fastest:"
        " eleven to fourteen minutes on two idle cores, where all of it takes an hour or more",
    )
    options = parser.parse(arguments)
    options.articles_per_step = QUICK_ARTICLES if options.quick else ARTICLES_PER_STEP
    options.steps = options.steps or (1 if options.quick else 2)
    return options


def measure(comparison: Comparison, options: argparse.Namespace, scratch: Path) -> dict[str, Measured]:
    """Let the ways take turns."""
    jobs = comparison.jobs
    choose = usual_batch if options.quick else fastest_batch
    found = {way: Measured(batch_size=choose(comparison, way, scratch)) for way in WAYS}
    workers: dict[str, Worker] = {}
    try:
        for way, one in found.items():
            workers[way] = start(way, jobs[way], one.batch_size, scratch)
        for worker in workers.values():
            worker.receive()  # ready
        for _ in tqdm(range(options.repetitions), desc=comparison.name, unit="round"):
            for way, worker in workers.items():
                found[way].answers_per_second.append(_speed(worker.ask("go")))
        for way, worker in workers.items():
            one = found[way]
            peak, before, loss, one.rows_trained = worker.ask("end")
            one.peak_mib.append(peak)
            one.before_mib.append(before)
            one.loss.append(round(loss, 4))
            one.rows_per_step = jobs[way].rows_per_step
            one.token_ratio = round(comparison.token_ratio, 3) if way == "shared" else 1.0
    finally:
        for worker in workers.values():
            worker.end()
    return found


def as_json(results: dict[str, dict[str, Measured]]) -> dict[str, dict[str, dict[str, Any]]]:
    """What is written of each comparison and way.

    ``answers_per_second`` (of each repetition), ``peak_mib``, ``before_mib`` (what libraries, vocabulary and table took
    before the base was loaded) and ``loss`` are lists; ``batch_size`` is the packed rows of a batch, ``token_ratio``
    the tokens of separate rows to those that the way computes, ``rows_per_step`` the questions of an optimizer step
    and ``rows_trained`` those of all.
    """
    return {name: {way: asdict(one) for way, one in ways.items()} for name, ways in results.items()}


def usual_batch(comparison: Comparison, way: str, scratch: Path) -> int:
    """The number of packed rows in a batch where none are tried: those of an article's questions."""
    return 1 if way in ("deck", "shared") else min(comparison.questions, comparison.packed_per_step(way))


def fastest_batch(comparison: Comparison, way: str, scratch: Path) -> int:
    """The number of packed rows in a batch at which a way is fastest, in one repetition."""
    job = comparison.jobs[way]
    sizes = batch_sizes(comparison.packed_per_step(way)) if way != "deck" else [1]
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


def batch_sizes(per_step: int) -> list[int]:
    """The batch sizes to try: those that divide a step of so many rows, the whole step among them."""
    return sorted({size for size in (*BATCHES, per_step) if per_step % size == 0})


def start(way: str, job: Job, batch_size: int, scratch: Path) -> Worker:
    """The child process of a way."""
    log = scratch / f"{way}.log"
    if way in ("separate", "shared"):
        return Worker(way, train_ours, (job, way == "shared", batch_size), log)
    return Worker(way, train_trl, (job, batch_size, way == "trl_best", scratch), log)


def describe(name: str, measured: dict[str, Measured], ratio: float) -> str:
    """A table of one comparison."""
    shared = statistics.median(measured["shared"].answers_per_second)
    rows = [[name, "answers/s", "range", "shared is", "peak MiB", "before", "held-out loss", "rows a batch"]]
    for way, one in measured.items():
        speed = statistics.median(one.answers_per_second)
        low, high = min(one.answers_per_second), max(one.answers_per_second)
        rows.append(
            [
                *(way, f"{speed:.2f}", f"{low:.2f} to {high:.2f}", f"{shared / speed:.1f} times"),
                *(f"{one.peak_mib[0]:,}", f"{one.before_mib[0]:,}", f"{one.loss[0]:.3f}", str(one.batch_size)),
            ]
        )
    return f"\n{format_table(rows)}\ntokens of separate rows to those of shared ones: {ratio:.2f}"


def _speed(piece: Piece) -> float:
    return round(piece.answers / piece.seconds, 3)


if __name__ == "__main__":
    sys.exit(run_script(main, None))

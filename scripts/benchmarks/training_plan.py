"""What the training benchmark compares: which articles each way learns from, and in which order."""

import argparse
import random
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.benchmark_data import choose_articles, make_wide_base, write_rows
from benchmarks.options import WIDE
from benchmarks.training_ways import Job

WAYS = ("deck", "trl_best", "separate", "shared")
TRL_WAYS = ("deck", "trl_best")
HELD_OUT = 12  # articles
LONGEST = 1200  # characters of an article


@dataclass(frozen=True)
class Comparison:
    """One base on one table.

    Attributes:
        name: BASE/TABLE, as in the result.
        jobs: what each way does.
        questions: of an article.
        token_ratio: tokens of separate rows to tokens of shared ones.
    """

    name: str
    jobs: dict[str, Job]
    questions: int
    token_ratio: float

    def packed_per_step(self, way: str) -> int:
        """Packed rows in an optimizer step: articles, or questions where they have rows of their own."""
        return self.jobs[way].rows_per_step // (self.questions if way == "shared" else 1)


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
    articles_per_step = 1 if is_wide else options.articles_per_step
    job = Job(
        base_model=folder,
        prompt=prompt,
        train_path="",  # it and the rows are those of each way, below
        held_out_path=str(scratch / f"{base}-{table}-held-out.jsonl"),
        rows_per_step=0,
        steps_per_repetition=options.steps,
        repetitions=options.repetitions,
        threads=options.threads,
        flush_others=options.flush_others,
    )
    rows = choose_articles(source, HELD_OUT + job.steps * articles_per_step, seed=0, longest=LONGEST)
    questions = sum(row["context"] == rows[0]["context"] for row in rows)
    write_rows(Path(job.held_out_path), rows[: HELD_OUT * questions])
    training = step_order(rows[HELD_OUT * questions :], questions, articles_per_step, options.steps)

    def job_of(asked: int) -> Job:
        """Train on so many questions of an article."""
        path = scratch / f"{base}-{table}-train-{asked}.jsonl"
        write_rows(path, [row for place, row in enumerate(training) if place % questions < asked])
        return replace(job, train_path=str(path), rows_per_step=articles_per_step * asked)

    ours = job_of(questions)
    trl = replace(job_of(min(options.trl_rows, questions)), steps_per_repetition=1) if is_wide else ours
    jobs = {way: trl if way in TRL_WAYS else ours for way in WAYS}
    return Comparison(f"{base}/{table}", jobs, questions, token_ratio(ours))


def step_order(rows: list[dict[str, str]], questions: int, per_step: int, per_repetition: int) -> list[dict[str, str]]:
    """The rows of the first optimizer step, which is to warm up, of the second, and so on.

    Articles of like length share a step, so that little of it is padding, whatever a way's batches. A repetition has
    steps of short and of long articles, as far as it has several, so that repetitions are of like work.

    Args:
        rows: article by article.
        questions: rows of an article.
        per_step: articles of a step.
        per_repetition: steps of a repetition.
    """
    articles = [rows[start : start + questions] for start in range(0, len(rows), questions)]
    articles.sort(key=lambda article: len(article[0]["context"]))
    steps = [articles[start : start + per_step] for start in range(0, len(articles), per_step)]
    warm_up = steps.pop(len(steps) // 2)
    repetitions: list[list[list[list[dict[str, str]]]]] = [[] for _ in range(len(steps) // per_repetition)]
    for start in range(0, len(steps), len(repetitions)):  # to and fro: who gets a short one first gets a long one next
        for repetition, step in zip(repetitions, steps[start : start + len(repetitions)], strict=True):
            repetition.append(step)
        repetitions.reverse()
    random.Random(0).shuffle(repetitions)
    in_order = [warm_up, *(step for repetition in repetitions for step in repetition)]
    return [row for step in in_order for article in step for row in article]


def token_ratio(job: Job) -> float:
    """Tokens of separate rows to those of shared ones."""
    counts = []
    for share in (False, True):
        data = job.data(share)
        data.setup("fit")
        counts.append(sum(data.articles["train"].lengths))
    return counts[0] / counts[1]

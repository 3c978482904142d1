"""How long the learned strategies take with many questions, models and candidates.

    python scripts/benchmarks/ensemble.py --table KorQuAD_v1.0_dev.json --questions 100000

The candidates are made up: gold answers, spans around them and spans from elsewhere, eight a model with falling
log-probabilities. The times are CPU seconds of one process, each step by itself.
"""

import argparse
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from kqa_lightning.ensemble.candidate_files import ModelCandidates
from kqa_lightning.ensemble.candidates import make_pool
from kqa_lightning.ensemble.hypotheses import Hypotheses
from kqa_lightning.ensemble.learning import fit_to, out_of_fold, train_for
from kqa_lightning.ensemble.questions import ARTICLE, Question, read_questions

MODELS = ("gemma2", "eeve", "nous")
Result = TypeVar("Result")


def make_candidates(row: Question, count: int, chance: random.Random) -> list[str]:
    """A few right answers, some that overlap them, and some from elsewhere in the article."""
    article, gold = row.context or "", row.answers[0]
    start = max(article.find(gold), 0)
    found = []
    for _ in range(count):
        kind = chance.random()
        if kind < 0.3:
            found.append(gold)
        elif kind < 0.6:
            found.append(article[max(0, start - chance.randint(0, 4)) : start + len(gold) + chance.randint(0, 5)])
        else:
            place = chance.randrange(len(article))
            found.append(article[place : place + chance.randint(2, 12)])
    return found


def make_models(table: dict[str, Question], candidates: int, seed: int) -> dict[str, ModelCandidates]:
    """The candidates of each model to every question."""
    chance = random.Random(seed)
    models = {name: ModelCandidates() for name in MODELS}
    for name, row in table.items():
        for model in models.values():
            model.ids.append(name)
            model.counts.append(candidates)
            model.answers += make_candidates(row, candidates, chance)
            logprobs = sorted((-chance.expovariate(0.3) for _ in range(candidates)), reverse=True)
            model.logprob_sum += logprobs
            model.logprob_mean += [logprob / 3 for logprob in logprobs]
    return models


def timed(times: dict[str, float], name: str, work: Callable[[], Result]) -> Result:
    """Do a piece of work and note its CPU seconds."""
    start = time.process_time()
    result = work()
    times[name] = round(time.process_time() - start, 2)
    print(f"{name:24}{times[name]:8.2f} s", flush=True)
    return result


def measure(table: dict[str, Question], candidates: int) -> dict[str, float]:
    """CPU seconds of each step on the questions of a table."""
    times: dict[str, float] = {}
    gold = {name: row.answers for name, row in table.items()}
    read = make_models(table, candidates, seed=0)
    pool = timed(times, "candidates in columns", lambda: make_pool(read))
    hypotheses = timed(times, "distinct answers", lambda: Hypotheses(pool))
    learned = timed(times, "marks of them", lambda: out_of_fold(pool, gold, table))
    weighted = timed(times, "weighted: fit", lambda: fit_to(learned)).strategy
    timed(times, "weighted: choose", lambda: weighted.choose(hypotheses))
    stacking = timed(times, "stacking: train", lambda: train_for(learned, pool.questions, table))
    timed(times, "stacking: choose", lambda: stacking.choose(hypotheses, table))
    return times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--table", default="sample", help="articles, questions and gold answers, repeated as needed")
    parser.add_argument("--questions", type=int, default=100_000)
    parser.add_argument("--candidates", type=int, default=8, help="of each of the three models")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the times")
    options = parser.parse_args()
    rows = list(read_questions("--table", options.table, ARTICLE).values())
    table = {str(place): rows[place % len(rows)] for place in range(options.questions)}
    print(f"{options.questions} questions, {len(MODELS)} models, {options.candidates} candidates each: CPU seconds")
    times = measure(table, options.candidates)
    if options.json:
        options.json.write_text(json.dumps(times, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

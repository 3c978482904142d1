"""Combine the answers of several models into one submission, and score them where gold answers are known.

    python scripts/ensemble.py gemma2=runs/gemma2/predictions.csv nous=runs/nous/predictions.csv \
        eeve=runs/eeve/predictions.csv --strategy f1_sum --output submission.csv --gold test.csv
"""

import argparse
import difflib
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from kqa_lightning.ensemble.evaluation import evaluate, format_scores
from kqa_lightning.ensemble.gold import read_gold
from kqa_lightning.ensemble.predictions import (
    check_output,
    parse_sources,
    read_all_predictions,
    write_predictions,
)
from kqa_lightning.ensemble.strategies import STRATEGIES, combine, make_strategies
from kqa_lightning.ensemble.tables import nfc
from kqa_lightning.errors import KQAError


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise KQAError(message)


def make_parser() -> argparse.ArgumentParser:
    """The options of the script."""
    parser = _Parser(
        description="Combine the answers of several models into one submission.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "predictions",
        nargs="*",
        metavar="NAME=FILE",
        help="a model's name and its predictions: a CSV with the columns id and answer; two or more",
    )
    parser.add_argument(
        "--strategy",
        choices=STRATEGIES,
        default="f1_sum",
        help="vote_priority: the majority, ties to the model --priority names; vote_f1_sum: the majority, "
        "ties by F1 sum; f1_sum (default): the largest sum of character F1 with the other models' answers",
    )
    parser.add_argument(
        "--priority",
        metavar="NAME",
        type=nfc,
        help="the model that vote_priority trusts at a tie (default: the first)",
    )
    parser.add_argument("--output", metavar="FILE", type=Path, help="the submission to write: a CSV (id, answer)")
    parser.add_argument(
        "--gold",
        metavar="TABLE",
        help="print what each model, each strategy and the oracle score against these answers: a CSV or TSV "
        "with the columns id and answer, a JSONL, a KorQuAD JSON, or 'sample', the bundled test split",
    )
    return parser


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options given; an unknown one is refused, with the nearest that exists."""
    parser = make_parser()
    options, unknown = parser.parse_known_intermixed_args(arguments)
    if unknown:
        flag = unknown[0].partition("=")[0]
        known = [f"--{name}" for name in vars(options) if name != "predictions"]
        nearest = difflib.get_close_matches(flag, known, n=1, cutoff=0)
        raise KQAError(f"there is no option {flag}; did you mean {nearest[0]}?")
    if not (options.output or options.gold):
        raise KQAError("nothing to do: --output FILE writes a submission, --gold TABLE prints scores")
    return options


def run(options: argparse.Namespace) -> None:
    """Read and check everything, then write, then print."""
    sources = parse_sources(options.predictions)
    strategy = make_strategies(list(sources), options.priority)[options.strategy]
    if options.output:
        gold_files = [Path(options.gold)] if options.gold else []
        check_output(options.output, [*sources.values(), *gold_files])
    predictions = read_all_predictions(sources)
    scores = None
    if options.gold:
        questions = next(iter(predictions.values()))
        scores = evaluate(predictions, read_gold(options.gold, questions), options.priority)
    if options.output:
        answers = combine(predictions, strategy)
        write_predictions(options.output, answers)
        print(f"{options.output}: {len(answers)} answers by {options.strategy} from {', '.join(sources)}")
    if scores:
        print(format_scores(scores, written=options.strategy if options.output else None))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the script and return its exit status: 2 with one line on stderr where the input is wrong."""
    try:
        run(parse(arguments))
    except KQAError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    # A terminal that knows no Hangul shows escapes; it does not stop the work.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(main())

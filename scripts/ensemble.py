"""Combine the answers of several models into one submission, score them, and show where they disagree.

    python scripts/ensemble.py gemma2=runs/gemma2/predictions.csv nous=runs/nous/predictions.csv \
        eeve=runs/eeve/predictions.csv --strategy f1_sum --output submission.csv --gold answers.csv \
        --table test.csv --report report.html

What weighted and stacking learn, they learn from predictions on questions that the models were not trained on:

    python scripts/ensemble.py gemma2=runs/gemma2/predictions.jsonl nous=runs/nous/predictions.jsonl \
        --oof gemma2=runs/gemma2/oof/predictions.jsonl nous=runs/nous/oof/predictions.jsonl --oof-gold train.csv \
        --strategy stacking --table test.csv --output submission.csv
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from learned_rules import LearnedOptions, add_options, check_options, learned_rules
from script_options import ScriptParser, run_script, tolerate_any_terminal

from kqa_lightning.ensemble.candidates import CandidatePool, pool_of
from kqa_lightning.ensemble.gold import gold_answers
from kqa_lightning.ensemble.hypotheses import Hypotheses
from kqa_lightning.ensemble.learning import OutOfFold, out_of_fold
from kqa_lightning.ensemble.pairwise import AnswerTable
from kqa_lightning.ensemble.predictions import (
    check_output,
    parse_sources,
    write_predictions,
)
from kqa_lightning.ensemble.questions import (
    ARTICLE,
    GOLD,
    Question,
    check_articles,
    number_articles,
    number_keys,
)
from kqa_lightning.ensemble.reading import Table, read_files
from kqa_lightning.ensemble.strategies import STRATEGIES, combine, make_strategies
from kqa_lightning.ensemble.tables import nfc
from kqa_lightning.errors import KQAError

Answers = Mapping[str, Mapping[str, str]]  # {model or strategy: {id: answer}}


def make_parser() -> ScriptParser:
    """The options of the script."""
    parser = ScriptParser("Combine the answers of several models into one submission.")
    parser.add_argument(
        "predictions",
        nargs="*",
        metavar="NAME=FILE",
        help="a model's name and its predictions: the predictions.jsonl of predict, with all candidates and their "
        "log-probabilities, or a CSV with the columns id and answer; two or more",
    )
    parser.add_argument(
        "--strategy",
        choices=STRATEGIES,
        default="f1_sum",
        help="vote_priority: the majority, ties to the model --priority names; vote_f1_sum: the majority, "
        "ties by F1 sum; f1_sum (default): the largest sum of character F1 with the other models' answers; "
        "weighted: the largest expected character F1 over all candidates; stacking: the largest character F1 as "
        "predicted by a regression that is trained on --oof",
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
        help="print what each model, each strategy and the oracle score against these answers, with intervals, "
        "and how far the models agree: a CSV, TSV, JSONL or Parquet file with the columns id and answer, a "
        "KorQuAD JSON, or 'sample', the bundled test split",
    )
    parser.add_argument(
        "--table",
        metavar="TABLE",
        help="the articles, for intervals over articles, for stacking and for the report: columns id, context and "
        "question, in the same forms as --gold (default: the columns of the --gold table, where it has them)",
    )
    parser.add_argument(
        "--report",
        metavar="FILE",
        type=Path,
        help="an HTML page to write, to read every question on which the models disagree",
    )
    add_options(parser)
    return parser


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options given, with something to do among them."""
    options = make_parser().parse(arguments)
    for flag in ("--gold", "--table", "--oof-gold"):
        if getattr(options, flag[2:].replace("-", "_")) == "":  # as from a variable that is not set
            raise KQAError(f"{flag} '': that names no table; name one, or leave {flag} out")
    if not (options.output or options.gold or options.report):
        raise KQAError(
            "nothing to do: --output FILE writes a submission, --gold TABLE prints scores, --report FILE writes a page"
        )
    return options


def check_files(options: argparse.Namespace, sources: Sequence[Path]) -> None:
    """Refuse, before any work is done, outputs that could not be written."""
    tables = [Path(table) for table in (options.gold, options.table, options.oof_gold) if table]
    if options.output:
        check_output(options.output, [*sources, *tables])
    if options.report:
        check_output(options.report, [*sources, *tables], flag="--report")
        if options.output and options.report.resolve() == options.output.resolve():
            raise KQAError(f"--report {options.report}: that is the --output; name another file")


class Inputs(NamedTuple):
    """What the files have in them.

    Attributes:
        pool: the candidates to choose from.
        table: articles and questions by id, as far as a table has them.
        gold: the gold answers, where they are given.
        learned_from: what is learned from, where something is.
    """

    pool: CandidatePool
    table: Mapping[str, Question]
    gold: dict[str, tuple[str, ...]] | None
    learned_from: OutOfFold | None


def read_inputs(
    options: argparse.Namespace, sources: Mapping[str, Path], to_learn: LearnedOptions, own: bool
) -> Inputs:
    """Read every file, all at once where they are long, and check that they fit together."""
    given = (Table("--gold", options.gold, GOLD), Table("--table", options.table, ARTICLE))
    asked = [table for table in (*given, Table("--oof-gold", to_learn.gold, GOLD)) if table.source]
    found = read_files([*sources.values(), *to_learn.sources.values()], own, asked)
    tables = {table.flag: read for table, read in zip(asked, found.tables, strict=True)}
    pool = pool_of(sources, found.candidates[: len(sources)])
    table, gold = tables.get("--gold", {}), None
    if options.gold:
        gold = gold_answers(table, pool.questions, options.gold)
    if (named := tables.get("--table")) is not None:
        check_articles(named, pool.questions, options.table)
        table = {one: replace(row, question=row.question or table.get(one, row).question) for one, row in named.items()}
    if not to_learn.sources:
        return Inputs(pool, table, gold, None)
    others = pool_of(to_learn.sources, found.candidates[len(sources) :])
    answers = gold_answers(tables["--oof-gold"], others.questions, to_learn.gold, flag="--oof-gold")
    return Inputs(pool, table, gold, out_of_fold(others, answers, tables["--oof-gold"], to_learn.seed))


def summarize(
    predictions: Answers,
    rules: Answers,
    table: Mapping[str, Question],
    gold: Mapping[str, Sequence[str]],
    written: str | None,
    hypotheses: Hypotheses,
) -> str:
    """The scores and the agreement of the models as text."""
    from kqa_lightning.ensemble.agreement import measure_agreement
    from kqa_lightning.ensemble.bootstrap import compare
    from kqa_lightning.ensemble.evaluation import mark
    from kqa_lightning.ensemble.summary import format_summary

    marks = mark(predictions, rules, gold, hypotheses)
    questions = hypotheses.pool.questions
    articles = number_articles(table, questions)
    # By their ids, so that the intervals are the same whatever the order of the rows.
    drawn = compare(marks, number_keys(questions) if articles is None else articles)
    agreement = measure_agreement(predictions, hypotheses.table)
    return format_summary(marks.scores, drawn, agreement, articles is not None, written)


def run(arguments: Sequence[str] | None) -> None:
    """Read and check everything, then write, then print."""
    options = parse(arguments)
    sources = parse_sources(options.predictions)
    strategies = make_strategies(list(sources), options.priority)
    every = bool(options.gold or options.report)
    if options.priority and not every and options.strategy != "vote_priority":
        raise KQAError(f"--priority is of no use to --strategy {options.strategy}, only to vote_priority")
    to_learn = check_options(options, sources, every)
    check_files(options, [*sources.values(), *to_learn.sources.values()])
    pool, table, gold, learned_from = read_inputs(options, sources, to_learn, own=not (every or to_learn.names))
    predictions = pool.first_answers()
    rules = {name: combine(predictions, one) for name, one in strategies.items() if every or name == options.strategy}
    notes: list[str] = []
    summary = None
    if to_learn.names:
        hypotheses = Hypotheses(pool)
        learned, notes = learned_rules(to_learn, hypotheses, table, learned_from)
        rules |= learned
        if gold:
            written = options.strategy if options.output else None
            summary = summarize(predictions, rules, table, gold, written, hypotheses)
    written = write(options, predictions, rules, table, gold, pool.table)
    print(*written, *notes, *([summary] if summary else []), sep="\n", end="\n" if written or notes or summary else "")


def write(
    options: argparse.Namespace,
    predictions: Answers,
    rules: Answers,
    table: Mapping[str, Question],
    gold: Mapping[str, Sequence[str]] | None,
    compared: AnswerTable,
) -> list[str]:
    """Write the report and the submission, both or neither, and return a line on each."""
    lines = []
    with ExitStack() as stack:
        if options.report:
            from kqa_lightning.ensemble.report import describe_report, report_data, report_written

            data = report_data(predictions, rules, table, gold, options.strategy, compared)
            stack.enter_context(report_written(options.report, data))
            lines.append(f"{options.report}: {describe_report(data)}")
        if options.output:
            answers = rules[options.strategy]
            write_predictions(options.output, answers)
            models = ", ".join(predictions)
            lines.append(f"{options.output}: {len(answers)} answers by {options.strategy} from {models}")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the script and return its exit status: 2 with one line on stderr where the input is wrong."""
    return run_script(run, arguments)


if __name__ == "__main__":
    tolerate_any_terminal()
    sys.exit(main())

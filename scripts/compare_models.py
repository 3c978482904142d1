"""Draw what fine-tuning and the ensemble are worth: the deck's bar chart, from prediction files.

    python scripts/compare_models.py --gold answers.csv --before gemma2=base/gemma2.csv nous=base/nous.csv \
        --after gemma2=runs/gemma2/predictions.csv nous=runs/nous/predictions.csv \
        --ensemble stacking=submission.csv --output chart.png
"""

import argparse
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from script_options import ScriptParser, run_script, tolerate_any_terminal

from kqa_lightning.ensemble.candidates import read_pool
from kqa_lightning.ensemble.charts import check_chart_format, draw_scores
from kqa_lightning.ensemble.evaluation import EnsembleScores, Score, mark
from kqa_lightning.ensemble.gold import read_gold
from kqa_lightning.ensemble.predictions import check_output, parse_sources
from kqa_lightning.ensemble.strategies import VOTING, combine, make_strategies
from kqa_lightning.ensemble.summary import ORACLE
from kqa_lightning.ensemble.text_tables import format_table
from kqa_lightning.errors import KQAError
from kqa_lightning.files import written_whole

Answers = Mapping[str, Mapping[str, str]]  # {model or strategy: {id: answer}}


def make_parser() -> ScriptParser:
    """The options of the script."""
    parser = ScriptParser("Draw models before and after fine-tuning, and their ensemble, as a bar chart.")
    parser.add_argument(
        "--gold",
        metavar="TABLE",
        help="the gold answers: a CSV, TSV, JSONL or Parquet file with the columns id and answer, a KorQuAD JSON, "
        "or 'sample', the bundled test split",
    )
    for flag, kind in (
        ("--before", "predictions of the base models"),
        ("--after", "predictions of the fine-tuned models, two or more for the ensemble"),
        ("--ensemble", "submissions of strategies that learn, to draw beside those that do not"),
    ):
        parser.add_argument(
            flag,
            nargs="+",
            action="extend",
            default=[],
            metavar="NAME=FILE",
            help=f"{kind}: CSV files with the columns id and answer, or predictions.jsonl",
        )
    parser.add_argument("--output", metavar="FILE", type=Path, help="the picture to write, such as chart.png or .svg")
    return parser


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options given, none of the needed ones missing."""
    options = make_parser().parse(arguments)
    for flag, meaning in (("gold", "TABLE, the gold answers"), ("output", "FILE, the picture to write")):
        if not getattr(options, flag):
            raise KQAError(f"--{flag} {meaning}, is missing")
    if not (options.before or options.after):
        raise KQAError("nothing to draw: --before NAME=FILE … and --after NAME=FILE … name prediction files")
    if options.ensemble and not options.after:
        raise KQAError("--ensemble NAME=FILE … is drawn beside the models it combines: name them with --after")
    return options


def check_names(models: Collection[str], submissions: Mapping[str, Path]) -> None:
    """Refuse a submission by the name of something else that is drawn."""
    drawn = {*models, *(VOTING if len(models) > 1 else ())}
    for name, path in submissions.items():
        if name in drawn:
            raise KQAError(f"--ensemble {name}={path}: {name} is drawn already; give the submission another name")


def check_files(given: Mapping[str, Mapping[str, Path]]) -> None:
    """Refuse a file that is to be drawn as two things, as before and after.

    Args:
        given: by flag what it was given.
    """
    owners: dict[Path, str] = {}
    for flag, sources in given.items():
        for name, path in sources.items():
            shown = f"{flag} {name}={path}"
            if (owner := owners.setdefault(path.resolve(), shown)) != shown:
                raise KQAError(f"{shown}: that is the file of {owner}; each needs its own answers")


def run(arguments: Sequence[str] | None) -> None:
    """Read and check everything, then draw, then print."""
    options = parse(arguments)
    before = parse_sources(options.before, flag="--before", least=0)
    after = parse_sources(options.after, flag="--after", least=0)
    submissions = parse_sources(options.ensemble, flag="--ensemble", least=0)
    check_names(after, submissions)
    check_files({"--before": before, "--after": after, "--ensemble": submissions})
    inputs = [*before.values(), *after.values(), *submissions.values(), Path(options.gold)]
    check_chart_format(options.output)
    check_output(options.output, inputs)
    # Read as one set, so that all files are checked to answer the same questions.
    marked = {f"before {name}": path for name, path in before.items()}
    marked |= {f"after {name}": path for name, path in after.items()}
    marked |= {f"ensemble {name}": path for name, path in submissions.items()}
    answers = read_pool(marked).first_answers()
    base = {name: answers[f"before {name}"] for name in before}
    tuned = {name: answers[f"after {name}"] for name in after}
    gold = read_gold(options.gold, next(iter(answers.values())))
    given = {name: answers[f"ensemble {name}"] for name in submissions}
    draw(options.output, score(base, {}, gold) if base else None, score(tuned, given, gold) if tuned else None)


def score(models: Answers, submissions: Answers, gold: Mapping[str, Sequence[str]]) -> EnsembleScores:
    """The scores of models, of what can be made of their answers without learning, and of submissions."""
    strategies = make_strategies(list(models)) if len(models) > 1 else {}
    rules = {name: combine(models, strategy) for name, strategy in strategies.items()}
    return mark(models, {**rules, **submissions}, gold).scores


def draw(output: Path, base: EnsembleScores | None, tuned: EnsembleScores | None) -> None:
    """Write the picture, and print its numbers; one model is no ensemble."""
    combined = tuned if tuned and tuned.rules else None
    before, after = _points(base.models if base else {}), _points(tuned.models if tuned else {})
    rules = _points(combined.rules if combined else {})
    oracle = 100 * combined.oracle.char_f1 if combined else None
    questions = next(scores.questions for scores in (base, tuned) if scores)
    title = f"{questions:,} questions" + (f"; dashed: {ORACLE} ({oracle:.1f})" if combined else "")
    try:
        with written_whole(output.resolve()) as scratch:
            draw_scores(scratch, before, after, rules, oracle, title, output.suffix[1:].lower())
    except OSError as error:
        raise KQAError(f"--output {output}: cannot be written ({error.strerror or error})") from error
    rows = [["character F1", "before", "fine-tuned"]]
    for name in dict.fromkeys([*before, *after]):
        rows.append([name, *(f"{part[name]:.2f}" if name in part else "" for part in (before, after))])
    rows += [[name, "", f"{value:.2f}"] for name, value in rules.items()]
    rows += [[ORACLE, "", f"{oracle:.2f}"]] if combined else []
    print(f"{output}: {title}", format_table(rows), sep="\n\n")


def _points(scores: Mapping[str, Score]) -> dict[str, float]:
    return {name: 100 * score.char_f1 for name, score in scores.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the script and return its exit status: 2 with one line on stderr where the input is wrong."""
    return run_script(run, arguments)


if __name__ == "__main__":
    tolerate_any_terminal()
    sys.exit(main())

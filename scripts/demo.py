"""From nothing to an ensembled submission: the whole road on the bundled models and data.

    python scripts/demo.py                      # what make demo runs: about five minutes on two cores
    python scripts/demo.py --seed 2 --output runs/demo-2
    python scripts/demo.py --full               # what make demo-full runs: about a quarter of an hour

For each of the three families: answer the test questions with the base model, fine-tune it, answer again;
then combine the three. In full, the training questions are answered out of fold as well, for the strategies that
learn. Every step is a command that works by itself, and is printed before it runs.
"""

import csv
import json
import shlex
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from ensemble import main as run_ensemble
from script_options import ScriptParser, run_script

from kqa_lightning.__main__ import main as run_command
from kqa_lightning.assets import sample_table
from kqa_lightning.ensemble.charts import draw_scores
from kqa_lightning.ensemble.evaluation import EnsembleScores, Score, mark
from kqa_lightning.ensemble.gold import read_gold
from kqa_lightning.ensemble.predictions import read_all_predictions
from kqa_lightning.ensemble.strategies import combine as combine_answers
from kqa_lightning.ensemble.strategies import make_strategies
from kqa_lightning.ensemble.summary import ORACLE
from kqa_lightning.ensemble.tables import read_answers
from kqa_lightning.errors import KQAError

FAMILIES = ("gemma2", "eeve", "nous")
RULE = "f1_sum"
LEARNED_RULES = ("weighted", "stacking")
FOLDS = 3
Predictions = Mapping[str, Mapping[str, str]]


def step(*arguments: str) -> None:
    """Show a command of the package and run it here: starting Python anew nine times would take a minute."""
    print(f"\n$ python -m kqa_lightning {shlex.join(arguments)}", flush=True)
    status = run_command(list(arguments))
    if status:
        sys.exit(status)


def run_family(name: str, output: Path, seed: int) -> None:
    """Answer with the base model, fine-tune it, answer with the best adapter."""
    base, tuned = output / name / "base", output / name / "tuned"
    config = ("--config", f"tiny-{name}.yaml")
    step("predict", *config, "--trainer.default_root_dir", str(base))
    seeds = ("--seed_everything", str(seed), "--data.seed", str(seed))
    step("fit", *config, "--trainer.default_root_dir", str(tuned), *seeds)
    step("predict", *config, "--trainer.default_root_dir", str(tuned), "--ckpt_path", "best")


def run_folds(name: str, output: Path, seed: int) -> None:
    """Answer the training questions out of fold; what an earlier call has answered stays."""
    root = ("--trainer.default_root_dir", str(output / name / "folds"))
    seeds = ("--seed_everything", str(seed), "--data.seed", str(seed))
    folds = ("--crossfit.folds", str(FOLDS), "--ckpt_path", "last")
    step("crossfit", "--config", f"tiny-{name}.yaml", *root, *seeds, *folds)


def combine(output: Path) -> None:
    """Write the submission with the ensemble script, as a user would."""
    sources = [f"{name}={output / name / 'tuned' / 'predictions.csv'}" for name in FAMILIES]
    _ensemble([*sources, "--strategy", RULE, "--output", str(output / "submission.csv"), "--gold", "sample"])


def combine_learned(output: Path) -> None:
    """The same with what can be learned from the training questions, and a page to read the answers on."""
    sources = [f"{name}={output / name / 'tuned' / 'predictions.jsonl'}" for name in FAMILIES]
    out_of_fold = [f"{name}={output / name / 'folds' / 'oof' / 'predictions.jsonl'}" for name in FAMILIES]
    learned = ("--oof", *out_of_fold, "--oof-gold", str(sample_table("train")), "--table", "sample")
    for rule in LEARNED_RULES:
        written = ["--output", str(submission(output, rule))]
        if rule == LEARNED_RULES[-1]:
            written += ["--report", str(output / "report.html"), "--gold", "sample"]
        _ensemble([*sources, *learned, "--strategy", rule, *written])


def submission(output: Path, rule: str) -> Path:
    """Where the answers of a strategy that learns go."""
    return output / f"submission-{rule}.csv"


def _ensemble(arguments: list[str]) -> None:
    print(f"\n$ python scripts/ensemble.py {shlex.join(arguments)}", flush=True)
    status = run_ensemble(arguments)
    if status:
        sys.exit(status)


def predictions_of(output: Path, state: str) -> dict[str, dict[str, str]]:
    """The answers of the three models, ``state`` being base or tuned."""
    return read_all_predictions({name: output / name / state / "predictions.csv" for name in FAMILIES})


def unseen_questions() -> dict[str, bool]:
    """Of each test question, whether its sentence or question pattern occurs nowhere else."""
    table = files("kqa_lightning.assets") / "sample" / "test_patterns.csv"
    with table.open(encoding="utf-8") as file:
        return {row["id"]: row["unseen"] == "1" for row in csv.DictReader(file)}


def score(models: Predictions, learned: Predictions, keep: Collection[str]) -> EnsembleScores:
    """The scores of models, of the rules that learn nothing and of the answers of those that do, on some questions."""

    def part(answers: Predictions) -> dict[str, dict[str, str]]:
        return {name: {one: by_id[one] for one in by_id if one in keep} for name, by_id in answers.items()}

    kept = part(models)
    rules = {name: combine_answers(kept, rule) for name, rule in make_strategies(list(models)).items()}
    return mark(kept, {**rules, **part(learned)}, read_gold("sample")).scores


def collect(base: EnsembleScores, tuned: EnsembleScores) -> dict[str, object]:
    """What scores.json holds: character F1 in points of 100."""
    return {
        "models": {
            name: {"base": 100 * base.models[name].char_f1, "tuned": 100 * tuned.models[name].char_f1}
            for name in FAMILIES
        },
        "ensemble": {name: 100 * rule.char_f1 for name, rule in tuned.rules.items()},
        "oracle": 100 * tuned.oracle.char_f1,
    }


def format_table(base: EnsembleScores, tuned: EnsembleScores, parts: Sequence[EnsembleScores]) -> str:
    """One line a model, a rule and the oracle; ``parts`` are the scores on seen and unseen patterns."""
    rows = [(name, base.models[name], *(s.models[name] for s in (tuned, *parts))) for name in FAMILIES]
    rows += [(rule, None, *(s.rules[rule] for s in (tuned, *parts))) for rule in tuned.rules]
    rows += [("oracle", None, *(s.oracle for s in (tuned, *parts)))]
    heads = ("base", "tuned", "seen patterns", "unseen patterns")
    counts = f"({parts[0].questions})", f"({parts[1].questions})"
    lines = [f"{'character F1':16}" + "".join(f"{head:>17}" for head in heads)]
    lines += [f"{'(questions)':16}{'':17}{f'({tuned.questions})':>17}{counts[0]:>17}{counts[1]:>17}"]
    for name, *values in rows:
        cells = (f"{100 * value.char_f1:.2f}" if isinstance(value, Score) else "" for value in values)
        lines.append(f"{name:16}" + "".join(f"{cell:>17}" for cell in cells))
    return "\n".join(lines)


def report(output: Path, learned_rules: Sequence[str] = ()) -> None:
    """Score everything on the test split; write scores.json and scores.png, print the table."""
    unseen = unseen_questions()
    base, tuned = predictions_of(output, "base"), predictions_of(output, "tuned")
    learned = {rule: read_answers(submission(output, rule)) for rule in learned_rules}
    base_scores, tuned_scores = score(base, {}, unseen), score(tuned, learned, unseen)
    scores = collect(base_scores, tuned_scores)
    (output / "scores.json").write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    draw_scores(
        output / "scores.png",
        before={name: 100 * score.char_f1 for name, score in base_scores.models.items()},
        after={name: 100 * score.char_f1 for name, score in tuned_scores.models.items()},
        rules={name: 100 * score.char_f1 for name, score in tuned_scores.rules.items()},
        oracle=100 * tuned_scores.oracle.char_f1,
        title=f"Sample test split; dashed: {ORACLE} ({100 * tuned_scores.oracle.char_f1:.1f})",
    )
    parts = [score(tuned, learned, {name for name, one in unseen.items() if one == wanted}) for wanted in (False, True)]
    print(f"\n{format_table(base_scores, tuned_scores, parts)}")


def main(given: Sequence[str] | None = None) -> None:
    """Run the demo."""
    parser = ScriptParser("Fine-tune three tiny models on the sample, answer before and after, and merge the answers.")
    parser.add_argument("--output", type=Path, default=Path("runs/demo"), help="folder for everything it makes")
    parser.add_argument("--full", action="store_true", help="also learn from out-of-fold predictions")
    parser.add_argument("--seed", type=int, default=0, help="of the fine-tuning (adapters, order, dropout)")
    arguments = parser.parse(given)
    if arguments.seed < 0:
        raise KQAError(f"--seed {arguments.seed}: at least 0 is needed")
    start = time.monotonic()
    for name in FAMILIES:
        run_family(name, arguments.output, arguments.seed)
    combine(arguments.output)
    report(arguments.output)
    if arguments.full:
        for name in FAMILIES:
            run_folds(name, arguments.output, arguments.seed)
        combine_learned(arguments.output)
        report(arguments.output, LEARNED_RULES)
    minutes, seconds = divmod(round(time.monotonic() - start), 60)
    print(
        f"\n{minutes} min {seconds} s. Submission: {arguments.output / 'submission.csv'};"
        f" picture: {arguments.output / 'scores.png'};"
        f" curves: {beside_python('tensorboard')} --logdir {arguments.output}"
    )


def beside_python(program: str) -> Path:
    """A program of this environment, which need not be among those that a shell finds."""
    path, here = Path(sys.executable).with_name(program), Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


if __name__ == "__main__":
    sys.exit(run_script(main, None))

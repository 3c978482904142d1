"""What models, ensemble rules and the best possible choice score against gold answers."""

import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kqa_lightning.ensemble.strategies import make_strategies
from kqa_lightning.metrics.functional import char_f1, exact_match


@dataclass(frozen=True)
class Score:
    """Means over the questions.

    Attributes:
        char_f1: character F1, from 0 to 1.
        exact_match: share of exact matches, from 0 to 1.
    """

    char_f1: float
    exact_match: float


@dataclass(frozen=True)
class EnsembleScores:
    """The scores of one set of predictions.

    Attributes:
        models: of each model, by name, in the order given.
        rules: of each strategy, by name.
        oracle: of the best of the models' answers to each question, which no choice among them can exceed.
        questions: how many questions were scored.
    """

    models: dict[str, Score]
    rules: dict[str, Score]
    oracle: Score
    questions: int


def evaluate(
    predictions: Mapping[str, Mapping[str, str]],
    gold: Mapping[str, Sequence[str]],
    priority: str | None = None,
) -> EnsembleScores:
    """Score every model, every strategy and the oracle on the questions predicted.

    Args:
        predictions: {model: {id: answer}}, every model with the same ids.
        gold: {id: gold answers} of at least these ids.
        priority: the model that ``vote_priority`` trusts at a tie; the first one if not given.

    Raises:
        KQAError: no model has the name `priority`.
    """
    strategies = make_strategies(list(predictions), priority)
    models: dict[str, list[_Marks]] = {name: [] for name in predictions}
    rules: dict[str, list[_Marks]] = {name: [] for name in strategies}
    oracle: list[_Marks] = []
    for question in next(iter(predictions.values())):
        answers = [by_id[question] for by_id in predictions.values()]
        marks = [(char_f1(answer, gold[question]), exact_match(answer, gold[question])) for answer in answers]
        for name, mark in zip(predictions, marks, strict=True):
            models[name].append(mark)
        for name, strategy in strategies.items():
            rules[name].append(marks[strategy.choose(answers)])
        oracle.append((max(f1 for f1, _ in marks), max(match for _, match in marks)))
    return EnsembleScores(
        models={name: _mean(marks) for name, marks in models.items()},
        rules={name: _mean(marks) for name, marks in rules.items()},
        oracle=_mean(oracle),
        questions=len(oracle),
    )


_Marks = tuple[float, float]  # character F1 and exact match of one answer


def _mean(marks: Sequence[_Marks]) -> Score:
    return Score(*(math.fsum(column) / len(marks) for column in zip(*marks, strict=True)))


def format_scores(scores: EnsembleScores, written: str | None = None) -> str:
    """The scores as an aligned text table, in points of 100.

    Args:
        scores: what to show.
        written: the strategy to mark as the one that was written to a file.
    """
    rows = [
        *(("model", name, score) for name, score in scores.models.items()),
        *(("rule", name, score) for name, score in scores.rules.items()),
        ("oracle", "best of the answers", scores.oracle),
    ]
    width = max(_columns(name) for _, name, _ in rows)
    lines = [f"{scores.questions} questions".ljust(width + 10) + "char F1  exact match"]
    for kind, name, score in rows:
        mark = "  <- written" if kind == "rule" and name == written else ""
        name += " " * (width - _columns(name))
        lines.append(f"{kind:8}{name}{100 * score.char_f1:9.2f}{100 * score.exact_match:13.2f}{mark}")
    return "\n".join(lines)


def _columns(text: str) -> int:
    """The columns a text takes on a terminal: Hangul syllables and wide signs two, combining marks none."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )

"""What out-of-fold predictions score, fold by fold."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import datasets

from kqa_lightning.data.splits import article_key
from kqa_lightning.ensemble import candidate_files
from kqa_lightning.ensemble.text_tables import format_table
from kqa_lightning.errors import KQAError
from kqa_lightning.files import written_whole
from kqa_lightning.metrics.functional import char_f1, exact_match


@dataclass(frozen=True)
class FoldScore:
    """The score of one fold.

    Args:
        predictions: The file with its predictions.
        articles: How many it has.
        questions: How many it has.
        char_f1: Mean character F1 of the answers, from 0 to 1.
        exact_match: Share of answers that equal a gold answer.
    """

    predictions: Path
    articles: int
    questions: int
    char_f1: float
    exact_match: float


def read_candidates(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The lines that ``predict`` wrote, as they stand: {id: candidates}.

    Raises:
        KQAError: a line is damaged.
    """
    try:
        candidate_files.read_candidates(path)  # what the ensemble will read, with all that can be wrong with it
        text = path.read_text(encoding="utf-8")
    except (KQAError, UnicodeDecodeError) as error:
        raise KQAError(f"{error}; remove {path}, and the fold is answered again") from error
    lines = [json.loads(line) for line in text.split("\n") if line.strip()]
    return {line["id"]: line["candidates"] for line in lines}


def score_fold(path: Path, table: datasets.Dataset) -> FoldScore:
    """Score the predictions to the questions of a fold.

    Args:
        path: What ``predict`` wrote.
        table: The questions with their gold answers.

    Raises:
        KQAError: the predictions are damaged, or those to other questions.
    """
    candidates = read_candidates(path)
    if list(candidates) != table["id"][:]:
        raise KQAError(f"{path} has answers to other questions; remove it, and the fold is answered again")
    answers = [found[0]["answer"] for found in candidates.values()]
    pairs = list(zip(answers, table["answers"], strict=True))
    return FoldScore(
        predictions=path,
        articles=len({article_key(context) for context in set(table["context"])}),
        questions=len(pairs),
        char_f1=sum(char_f1(answer, gold) for answer, gold in pairs) / len(pairs),
        exact_match=sum(exact_match(answer, gold) for answer, gold in pairs) / len(pairs),
    )


def format_scores(scores: Sequence[FoldScore]) -> str:
    """A table of the scores in points of 100, the whole below the folds."""
    names = [*map(str, range(1, len(scores) + 1)), "all"]
    rows = [["fold", "articles", "questions", "char F1", "exact match"]]
    for name, one in zip(names, [*map(_figures, scores), _whole(scores)], strict=True):
        points = [f"{100 * one[key]:.2f}" for key in ("char_f1", "exact_match")]
        rows.append([name, str(one["articles"]), str(one["questions"]), *points])
    return format_table(rows)


def write_scores(path: Path, scores: Sequence[FoldScore]) -> None:
    """Write ``{"folds": [{"articles", "questions", "char_f1", "exact_match"}], "all": {...}}``, F1 from 0 to 1."""
    figures = {"folds": [_figures(score) for score in scores], "all": _whole(scores)}
    with written_whole(path) as scratch:
        scratch.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _figures(score: FoldScore) -> dict[str, Any]:
    return {name: value for name, value in asdict(score).items() if name != "predictions"}


def _whole(scores: Sequence[FoldScore]) -> dict[str, Any]:
    """The scores of all folds together, each question counted once."""
    questions = sum(score.questions for score in scores)
    means = {
        name: sum(getattr(score, name) * score.questions for score in scores) / questions
        for name in ("char_f1", "exact_match")
    }
    return {"articles": sum(score.articles for score in scores), "questions": questions, **means}

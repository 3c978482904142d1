"""A page for the person who reads the submissions by eye: every question on which models or strategies disagree."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from kqa_lightning.ensemble.agreement import format_pattern
from kqa_lightning.ensemble.evaluation import mark_answers
from kqa_lightning.ensemble.page import render_page
from kqa_lightning.ensemble.pairwise import AnswerTable, Floats, Integers
from kqa_lightning.ensemble.questions import Question
from kqa_lightning.ensemble.voting import vote_pattern
from kqa_lightning.errors import KQAError
from kqa_lightning.files import written_whole

Predictions = Mapping[str, Mapping[str, str]]


def report_data(
    predictions: Predictions,
    rules: Predictions,
    table: Mapping[str, Question],
    gold: Mapping[str, Sequence[str]] | None = None,
    shown: str | None = None,
    compared: AnswerTable | None = None,
) -> dict[str, Any]:
    """What the page shows, as plain values for JSON: every question on which models or strategies disagree.

    Its answers are those of the models and those that strategies chose. At stake is, with gold answers, F1 of a
    question's best answer less that of its worst; without, 1 less the mean F1 between its answers, one that several
    strategies chose and no model gave counted once.

    Args:
        predictions: {model: {id: answer}}, every model with the same ids.
        rules: {strategy: {id: answer}}, with the same ids.
        table: articles and questions by id; it may lack some or all of them.
        gold: {id: gold answers} of at least these ids, where they are known.
        shown: the strategy that the page starts with; the last if not given.
        compared: a table that knows some of the answers already, where there is one.
    """
    every = list(next(iter(predictions.values())))
    compared = compared or AnswerTable()
    systems = [[by_id[one] for one in every] for by_id in (*predictions.values(), *rules.values())]
    numbers = np.stack([compared.numbers(answers) for answers in systems], axis=1)  # (questions, systems)
    agreed = (numbers[:, : len(predictions)] == numbers[:, :1]).all(axis=1)
    shown_rows = (numbers != numbers[:, :1]).any(axis=1)
    rows = np.flatnonzero(shown_rows).tolist()
    asked, numbers = [every[row] for row in rows], numbers[rows]
    systems = [[answers[row] for row in rows] for answers in systems]
    articles = list(dict.fromkeys(table[one].context for one in asked if one in table and table[one].context))
    article_of = {context: number for number, context in enumerate(articles)}
    pairs = _pairwise(numbers[:, : len(predictions)], compared)
    apart = _apart(pairs, numbers, len(predictions), compared)
    marks: list[Floats | None] = [None] * len(asked)
    if gold is not None and asked:
        found = mark_answers(systems, [gold[one] for one in asked], compared)
        marks = list(np.stack([one.char_f1 for one in found], axis=1))
    questions = []
    for row, one in enumerate(asked):
        known = table.get(one, Question())
        questions.append(
            {
                "id": one,
                "article": article_of.get(known.context, -1),
                "question": known.question,
                "gold": None if gold is None else list(gold[one]),
                **_answers([answers[row] for answers in systems], numbers[row], len(predictions)),
                **_scores(pairs[row], marks[row], len(predictions), apart[row]),
            }
        )
    return {
        "models": list(predictions),
        "strategies": list(rules),
        "shown": list(rules).index(shown) if shown else len(rules) - 1,
        "hasGold": gold is not None,
        "total": len(every),
        "overruled": int((agreed & shown_rows).sum()),  # questions on which only a strategy disagrees
        "articles": articles,
        "questions": questions,
    }


def describe_report(data: Mapping[str, Any]) -> str:
    """What the page shows, in one line."""
    overruled = data["overruled"]
    told = f"{len(data['questions']) - overruled} of {data['total']} questions, where the models disagree"
    return f"{told}, and {overruled} where they agree and a strategy does not" if overruled else told


@contextmanager
def report_written(output: Path, data: Mapping[str, Any]) -> Iterator[None]:
    """Write the page whole or not at all; it appears once what is done meanwhile has gone well too.

    Raises:
        KQAError: the file cannot be written; what stood there before stands there still.
    """
    page = render_page(data)
    try:
        with written_whole(output.resolve()) as scratch:
            # Half a surrogate pair becomes its escape, which in JSON stands for the same.
            with scratch.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
                file.write(page)
                file.flush()
                os.fsync(file.fileno())  # a full disk may tell no sooner
            yield
    except OSError as error:
        raise KQAError(f"--report {output}: cannot be written ({error.strerror or error})") from error


def _answers(answers: Sequence[str], numbers: Integers, models: int) -> dict[str, Any]:
    """What is shown of the answers to one question, first those of the models, then those of the strategies."""
    given, chosen = np.split(numbers, [models])
    return {
        "answers": answers[:models],
        "pattern": format_pattern(vote_pattern(answers[:models])),
        # The models that gave what a strategy chose, equal after normalisation; the answer itself if none did.
        "chosen": [
            np.flatnonzero(given == number).tolist() or answer
            for number, answer in zip(chosen, answers[models:], strict=True)
        ],
        "split": len(set(chosen.tolist())) > 1,
    }


def _scores(pairs: Floats, marks: Floats | None, models: int, apart: float) -> dict[str, Any]:
    """What is shown of the character F1 between the models' answers, and with gold."""
    if marks is None:
        return {"pairs": _rounded(pairs), "f1": [], "chosenF1": [], "stake": apart}
    own, chosen = np.split(marks, [models])
    stake = float(marks.max() - marks.min())
    return {"pairs": _rounded(pairs), "f1": _rounded(own), "chosenF1": _rounded(chosen), "stake": stake}


def _pairwise(numbers: Integers, table: AnswerTable) -> Floats:
    """F1 of each two answers to a question, (questions, pairs): of models 0 and 1, 0 and 2, …, 1 and 2, …"""
    first, second = np.array(list(combinations(range(numbers.shape[1]), 2))).T
    return table.f1(numbers[:, first].ravel(), numbers[:, second].ravel()).reshape(-1, len(first))


def _apart(pairs: Floats, numbers: Integers, models: int, table: AnswerTable) -> list[float]:
    """Of each question 1 less the mean F1 between its answers."""
    apart = (1 - pairs.mean(axis=1)).tolist()
    given, chosen = np.split(numbers, [models], axis=1)
    others = ~(chosen[:, :, None] == given[:, None, :]).any(axis=2)  # (questions, strategies): no model's own answer
    for row in np.flatnonzero(others.any(axis=1)).tolist():
        answers = np.concatenate([given[row], np.unique(chosen[row][others[row]])])
        apart[row] = float(1 - _pairwise(answers[None], table).mean())
    return apart


def _rounded(values: Floats) -> list[float]:
    return [round(float(value), 4) for value in values]

"""A page for the person who reads the submissions by eye: every question on which the models disagree."""

from collections.abc import Mapping, Sequence
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import numpy as np

from kqa_lightning.ensemble.agreement import format_pattern
from kqa_lightning.ensemble.evaluation import mark_answers
from kqa_lightning.ensemble.page import render_page
from kqa_lightning.ensemble.pairwise import AnswerTable, Floats
from kqa_lightning.ensemble.questions import Question
from kqa_lightning.ensemble.voting import vote_pattern
from kqa_lightning.errors import KQAError
from kqa_lightning.files import written_whole
from kqa_lightning.metrics.functional import normalize_answer

Predictions = Mapping[str, Mapping[str, str]]


def report_data(
    predictions: Predictions,
    rules: Predictions,
    table: Mapping[str, Question],
    gold: Mapping[str, Sequence[str]] | None = None,
    shown: str | None = None,
) -> dict[str, Any]:
    """What the page shows, as plain values for JSON.

    At stake is, with gold answers, F1 of a question's best answer less that of its worst; without, 1 less the
    mean F1 between its answers.

    Args:
        predictions: {model: {id: answer}}, every model with the same ids.
        rules: {strategy: {id: answer}}, with the same ids.
        table: articles and questions by id; it may lack some or all of them.
        gold: {id: gold answers} of at least these ids, where they are known.
        shown: the strategy that the page starts with; the last if not given.
    """
    every = next(iter(predictions.values()))
    asked = [one for one in every if len({normalize_answer(by_id[one]) for by_id in predictions.values()}) > 1]
    contexts = {one: table[one].context for one in asked if one in table}
    articles = list(dict.fromkeys(context for context in contexts.values() if context))
    numbers = {context: number for number, context in enumerate(articles)}
    answers = [[by_id[one] for by_id in predictions.values()] for one in asked]
    systems = [[by_id[one] for one in asked] for by_id in (*predictions.values(), *rules.values())]
    golds = None if gold is None or not asked else [gold[one] for one in asked]
    compared = AnswerTable(chain(*systems, *(golds or ())))
    pairs = _pairwise(answers, len(predictions), compared)
    # F1 with gold of each system's answers, (questions, systems).
    marks = None if golds is None else np.stack([one.char_f1 for one in mark_answers(systems, golds, compared)], axis=1)
    questions = []
    for row, one in enumerate(asked):
        chosen = [by_id[one] for by_id in rules.values()]
        given = answers[row]
        own = None if marks is None else marks[row, : len(predictions)]
        questions.append(
            {
                "id": one,
                "article": numbers.get(contexts.get(one) or "", -1),
                "question": table[one].question if one in table else None,
                "answers": given,
                "pattern": format_pattern(vote_pattern(given)),
                "pairs": _rounded(pairs[row]),
                "chosen": [_givers(answer, given) for answer in chosen],
                "split": len(set(map(normalize_answer, chosen))) > 1,
                "gold": None if gold is None else list(gold[one]),
                "f1": [] if own is None else _rounded(own),
                "chosenF1": [] if marks is None else _rounded(marks[row, len(predictions) :]),
                "stake": float(1 - pairs[row].mean() if own is None else own.max() - own.min()),
            }
        )
    return {
        "models": list(predictions),
        "strategies": list(rules),
        "shown": list(rules).index(shown) if shown else len(rules) - 1,
        "hasGold": gold is not None,
        "total": len(every),
        "articles": articles,
        "questions": questions,
    }


def write_report(output: Path, data: Mapping[str, Any]) -> None:
    """Write the page whole or not at all.

    Raises:
        KQAError: the file cannot be written; what stood there before stands there still.
    """
    page = render_page(data)
    try:
        with written_whole(output.resolve()) as scratch:
            # Half a surrogate pair becomes its escape, which in JSON stands for the same.
            scratch.write_text(page, encoding="utf-8", errors="backslashreplace", newline="\n")
    except OSError as error:
        raise KQAError(f"--report {output}: cannot be written ({error.strerror or error})") from error


def _givers(answer: str, given: Sequence[str]) -> list[int] | str:
    """The places of the models that gave an answer, equal after normalisation; the answer itself if none did."""
    normalized = normalize_answer(answer)
    return [place for place, one in enumerate(given) if normalize_answer(one) == normalized] or answer


def _pairwise(answers: Sequence[Sequence[str]], models: int, table: AnswerTable) -> Floats:
    """F1 of each two answers to a question, (questions, pairs): of models 0 and 1, 0 and 2, …, 1 and 2, …"""
    numbers = table.numbers(chain(*answers)).reshape(-1, models)
    first, second = np.array(list(combinations(range(models), 2))).T
    return table.f1(numbers[:, first].ravel(), numbers[:, second].ravel()).reshape(-1, len(first))


def _rounded(values: Floats) -> list[float]:
    return [round(float(value), 4) for value in values]

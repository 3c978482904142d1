"""What is known about each hypothesis before the gold answer is: the columns that stacking learns from."""

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np

from kqa_lightning.ensemble.article_clues import CLUES, Clues
from kqa_lightning.ensemble.hypotheses import Hypotheses
from kqa_lightning.ensemble.pairwise import Floats, Integers
from kqa_lightning.ensemble.parallel import in_parts, spread
from kqa_lightning.ensemble.question_words import KINDS, question_kind
from kqa_lightning.ensemble.questions import Question
from kqa_lightning.ensemble.weighted import probabilities

UNITS = {
    # After a number only: 직원, 병원 and 선배 are none.
    "money": re.compile(r"[\d십백천만억조]\s*(?:여\s*)?(?:원|달러|엔|유로|위안)$"),
    "percent": re.compile(r"(?:%p?|퍼센트|(?<!\w)포인트|[\d십백천만]\s*(?:포인트|배)|(?:^|\s)[두세네]\s*배)$"),
    "date": re.compile(r"\d\s*(?:년|월|일|분기|시|세기)$"),
    "count": re.compile(r"\d\s*[만천백억조여]*\s*(?:명|개|곳|건|대|번|회|차례|가지|톤|채|가구|위|살|세)$"),
}
_IS_KIND = np.vstack([np.eye(len(KINDS)), np.full(len(KINDS), math.nan)])  # the last for a question not known
_UNKNOWN = [math.nan] * len(CLUES)
_AT_ONCE = 5_000  # questions, whose articles take a second or two
_FORMS_AT_ONCE = 200_000  # answers, which take as long


def numeric_features(hypotheses: Hypotheses) -> tuple[list[str], Floats]:
    """Agreement, votes and log-probabilities.

    Returns:
        The columns' names, and their values, (hypotheses, columns); NaN is what is not known.
    """
    pool = hypotheses.pool
    shares = hypotheses.masses(probabilities(pool))
    own = hypotheses.masses(probabilities(pool, shared=False))
    by_model = hypotheses.agreement(np.hstack([shares, own]))
    count = len(pool.models)
    votes = hypotheses.votes
    # An answer agrees wholly with itself, which says nothing: what is left is its agreement with the others.
    others = (by_model[:, :count] - np.where(hypotheses.is_empty[:, None], 0, shares)).sum(axis=1)
    sure = by_model[:, count:].sum(axis=1)
    columns = {
        "F1 elsewhere": others,
        "expected F1": by_model[:, :count].sum(axis=1),
        "sure F1": sure,
        "votes": votes.sum(axis=1),
        "proposers": (shares > 0).sum(axis=1).astype(np.float64),
        "hypotheses": np.bincount(hypotheses.question)[hypotheses.question].astype(np.float64),
    }
    for name in ("F1 elsewhere", "expected F1", "sure F1"):
        best = np.maximum.reduceat(columns[name], hypotheses.starts)
        columns[f"{name}, lead"] = columns[name] - best[hypotheses.question]
    scores = {"sum": pool.logprob_sum, "mean": pool.logprob_mean, "rank": -pool.rank.astype(np.float64)}
    for place, model in enumerate(pool.models):
        columns[f"F1 with {model}"] = by_model[:, place]
        columns[f"vote of {model}"] = votes[:, place]
        for name, values in scores.items():
            columns[f"{name} of {model}"] = _best(hypotheses, place, values)
    return list(columns), np.stack(list(columns.values()), axis=1)


def text_features(hypotheses: Hypotheses, rows: Integers) -> tuple[list[str], Floats]:
    """Length, digits and units of some of the answers; as `numeric_features`.

    Args:
        hypotheses: the answers.
        rows: the places of those asked for, (rows,).
    """
    answers = [hypotheses.pool.answers[place] for place in hypotheses.first[rows]]
    sizes = hypotheses.table.sizes(hypotheses.number).astype(np.float64)
    mean = np.add.reduceat(sizes, hypotheses.starts) / np.bincount(hypotheses.question)
    columns = {
        "characters": sizes[rows],
        "characters, lead": (sizes - mean[hypotheses.question])[rows],
    }
    forms = np.concatenate(spread(_forms, in_parts(answers, _FORMS_AT_ONCE)))
    return [*columns, "words", "digits", *UNITS], np.hstack([np.stack(list(columns.values()), axis=1), forms])


def question_features(
    hypotheses: Hypotheses, rows: Integers, table: Mapping[str, Question]
) -> tuple[list[str], Floats]:
    """The kind of question and the answer's place in the article; as `numeric_features`.

    A row whose article or question is not known has NaN throughout.

    Args:
        hypotheses: the answers.
        rows: the places of those asked for, (rows,), ascending.
        table: article and question of the pool's questions, as far as they are known.
    """
    pool, texts = hypotheses.pool, hypotheses.table.texts
    numbers = hypotheses.number[rows].tolist()
    places, starts, counts = np.unique(hypotheses.question[rows], return_index=True, return_counts=True)
    to_look_up = [
        (table.get(pool.questions[place]), [texts[number] for number in numbers[start : start + count]])
        for place, start, count in zip(places.tolist(), starts.tolist(), counts.tolist(), strict=True)
    ]
    parts = spread(_look_up, in_parts(to_look_up, _AT_ONCE))
    kinds = np.repeat(np.concatenate([kinds for kinds, _ in parts]), counts)
    return [*(f"asks {kind}" for kind in KINDS), *CLUES], np.hstack(
        [_IS_KIND[kinds], np.concatenate([clues for _, clues in parts])]
    )


def _look_up(questions: Sequence[tuple[Question | None, list[str]]]) -> tuple[Integers, Floats]:
    """The kinds of some questions, (questions,), and the clues to the answers to each, (answers of all, clues)."""
    kinds: list[int] = []
    clues: list[Sequence[float]] = []
    for row, answers in questions:
        if row is None or row.context is None or row.question is None:
            kinds.append(len(KINDS))
            clues += [_UNKNOWN] * len(answers)
        else:
            kinds.append(question_kind(row.question))
            clues += map(Clues(row.context, row.question).of, answers)
    return np.array(kinds, np.int64), np.array(clues)


def _forms(answers: Sequence[str]) -> Floats:
    """Words, digits and units of some answers, (answers, columns)."""
    return np.array(
        [
            [
                len(answer.split()),
                sum(map(str.isdigit, answer)),
                *(pattern.search(answer.strip()) is not None for pattern in UNITS.values()),
            ]
            for answer in answers
        ],
        np.float64,
    ).reshape(len(answers), -1)


def _best(hypotheses: Hypotheses, model: int, values: Floats) -> Floats:
    """The highest value among a model's candidates of each hypothesis, NaN where it has none, (hypotheses,)."""
    its = (hypotheses.pool.model == model) & ~np.isnan(values)
    best = np.full(len(hypotheses), -np.inf)
    np.maximum.at(best, hypotheses.of[its], values[its])
    return np.where(np.isneginf(best), np.nan, best)

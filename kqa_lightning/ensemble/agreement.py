"""How far the models agree, which needs no gold answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from kqa_lightning.ensemble.pairwise import AnswerTable


@dataclass(frozen=True)
class Agreement:
    """What the answers to one set of questions have in common.

    Attributes:
        patterns: {votes of each distinct answer, most first: number of questions}, agreement first.
        shares: {two models: share of the questions to which they give the same normalised answer};
            two abstentions are no answer that they share.
    """

    patterns: dict[tuple[int, ...], int]
    shares: dict[tuple[str, str], float]


def measure_agreement(predictions: Mapping[str, Mapping[str, str]], table: AnswerTable | None = None) -> Agreement:
    """Count the vote patterns, which are those of `voting.vote_pattern`, and the agreement of each two models.

    Args:
        predictions: {model: {id: answer}}, every model with the same ids.
        table: that knows some of the answers already, where there is one.

    >>> predictions = {"a": {"1": "25명", "2": "가"}, "b": {"1": "'25명'", "2": "나"}}
    >>> measure_agreement(predictions)
    Agreement(patterns={(2, 0): 1, (1, 1): 1}, shares={('a', 'b'): 0.5})
    """
    table = table or AnswerTable()
    first = next(iter(predictions.values()))
    numbers = np.stack([table.numbers([by_id[question] for question in first]) for by_id in predictions.values()])
    same = (numbers[:, None] == numbers) & (table.sizes(numbers) > 0)  # (models, models, questions)
    is_later = np.tril(np.ones(same.shape[:2], bool), -1)[:, :, None]
    votes = np.where((same & is_later).any(axis=1), 0, same.sum(axis=1))  # of those who agree the first has them all
    patterns, counts = np.unique(np.sort(votes, axis=0)[::-1], axis=1, return_counts=True)
    ordered = sorted(zip(map(tuple, patterns.T.tolist()), counts.tolist(), strict=True), reverse=True)
    return Agreement(
        patterns=dict(ordered),
        shares={
            (one, other): float(same[place, later].mean())
            for (place, one), (later, other) in combinations(enumerate(predictions), 2)
        },
    )


def format_pattern(pattern: tuple[int, ...]) -> str:
    """A vote pattern as people write it.

    >>> format_pattern((2, 1, 0))
    '2:1:0'
    """
    return ":".join(map(str, pattern))

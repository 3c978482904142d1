"""How far the models agree, which needs no gold answers."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from kqa_lightning.ensemble.voting import vote_pattern
from kqa_lightning.metrics.functional import normalize_answer


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


def measure_agreement(predictions: Mapping[str, Mapping[str, str]]) -> Agreement:
    """Count the vote patterns and the agreement of each two models.

    Args:
        predictions: {model: {id: answer}}, every model with the same ids.

    >>> predictions = {"a": {"1": "25명", "2": "가"}, "b": {"1": "'25명'", "2": "나"}}
    >>> measure_agreement(predictions)
    Agreement(patterns={(2, 0): 1, (1, 1): 1}, shares={('a', 'b'): 0.5})
    """
    first = next(iter(predictions.values()))
    columns = {name: [normalize_answer(by_id[question]) for question in first] for name, by_id in predictions.items()}
    patterns = Counter(map(vote_pattern, zip(*columns.values(), strict=True)))
    return Agreement(
        patterns=dict(sorted(patterns.items(), reverse=True)),
        shares={
            (one, other): sum(a == b != "" for a, b in zip(columns[one], columns[other], strict=True)) / len(first)
            for one, other in combinations(columns, 2)
        },
    )


def format_pattern(pattern: tuple[int, ...]) -> str:
    """A vote pattern as people write it.

    >>> format_pattern((2, 1, 0))
    '2:1:0'
    """
    return ":".join(map(str, pattern))

"""The answer that agrees best with the others: minimum Bayes risk with character F1 as the utility.

Each model's answer is scored by the sum of its character F1 against the answers of all other models (after
Kumar and Byrne 2004, "Minimum Bayes-Risk Decoding for Statistical Machine Translation": the models are the
sample).
Sums are exact fractions, so that a tie is a tie and not a matter of rounding. `voting` says what counts as
equal answers, as a majority and as an abstention.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations

from kqa_lightning.ensemble.voting import count_votes, most_voted
from kqa_lightning.metrics.functional import character_counts, shared_characters


def f1_sums(votes: Mapping[str, Sequence[int]]) -> dict[str, Fraction]:
    """For each distinct answer its F1 against the answer of every other model, added up.

    Args:
        votes: {answer: places of the models that gave it}, as `count_votes` makes it.

    >>> f1_sums(count_votes(["다섯 차례", "14일", "14일, 다섯 차례"]))
    {'다섯 차례': Fraction(8, 11), '14일': Fraction(3, 5), '14일 다섯 차례': Fraction(73, 55)}
    """
    characters = {answer: character_counts(answer) for answer in votes}
    # The other models that gave the same answer agree with it wholly; those who all abstain share nothing.
    sums = {answer: Fraction(len(votes[answer]) - 1 if characters[answer] else 0) for answer in votes}
    for first, second in combinations(votes, 2):
        shared = shared_characters(characters[first], characters[second])
        if shared:
            f1 = Fraction(2 * shared, characters[first].total() + characters[second].total())
            sums[first] += f1 * len(votes[second])
            sums[second] += f1 * len(votes[first])
    return sums


@dataclass(frozen=True)
class F1Sum:
    """The answer with the largest F1 sum; at a tie that with more votes, then the one listed first.

    Of three models it never contradicts a majority: the sum of an answer given twice is 1 and its F1 with the
    third, which the third can at most equal (the same characters, a space elsewhere), with fewer votes.

    >>> F1Sum().choose(["다섯 차례", "14일", "14일, 다섯 차례"])
    2
    """

    def choose(self, answers: Sequence[str]) -> int:
        """The place of the answer to write; answers are one a model."""
        votes = count_votes(answers)
        return votes[_largest_sum(votes, list(votes))][0]


@dataclass(frozen=True)
class VoteF1Sum:
    """The majority; at a tie, of those tied, the answer with the largest F1 sum over all models.

    >>> VoteF1Sum().choose(["공소시효", "선거사범의 공소시효", "선거 수사의 연속성"])
    1
    """

    def choose(self, answers: Sequence[str]) -> int:
        """The place of the answer to write; answers are one a model."""
        votes = count_votes(answers)
        return votes[_largest_sum(votes, most_voted(votes))][0]


def _largest_sum(votes: Mapping[str, Sequence[int]], candidates: Sequence[str]) -> str:
    """The candidate with the largest F1 sum; at a tie that with more votes, then the first of them."""
    if len(candidates) == 1:
        return candidates[0]
    sums = f1_sums(votes)
    return max(candidates, key=lambda answer: (sums[answer], len(votes[answer])))

"""Majority vote over the models' answers to one question.

Votes count normalised answers. The majority is the answer with strictly more votes than any other, whatever
the number of models; where several share the highest number there is none, and a rule for ties chooses among
those. An answer with nothing left after normalisation is an abstention, since character F1 gives it 0
whatever the gold answer is: it neither votes nor wins, unless every model abstains. What is written is always
the answer of a model as it stands: of those who gave the winning answer, the one listed first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kqa_lightning.metrics.functional import normalize_answer


def count_votes(answers: Sequence[str]) -> dict[str, list[int]]:
    """Who gave which answer: {normalised answer: places of its models}, in the order of first mention.

    >>> count_votes(["'25명'", "", "1710명", "25명"])
    {'25명': [0, 3], '1710명': [2]}
    """
    votes: dict[str, list[int]] = {}
    for place, answer in enumerate(answers):
        votes.setdefault(normalize_answer(answer), []).append(place)
    if len(votes) > 1:
        votes.pop("", None)
    return votes


def vote_pattern(answers: Sequence[str]) -> tuple[int, ...]:
    """How the votes are spread: the votes of each distinct answer, most first, filled with zeros to one a model.

    An abstention is no vote, so that a pattern can add up to less than the number of models, or to nothing.

    >>> vote_pattern(["25명", "1710명", "25명."]), vote_pattern(["25명", "", "25명"]), vote_pattern(["", ""])
    ((2, 1, 0), (2, 0, 0), (0, 0))
    """
    votes = sorted((len(places) for answer, places in count_votes(answers).items() if answer), reverse=True)
    return (*votes, *[0] * (len(answers) - len(votes)))


def most_voted(votes: Mapping[str, Sequence[int]]) -> list[str]:
    """The answers with the highest number of votes: one where there is a majority, several at a tie.

    >>> most_voted({"25명": [0, 3], "1710명": [2]}), most_voted({"25명": [0], "1710명": [1]})
    (['25명'], ['25명', '1710명'])
    """
    most = max(map(len, votes.values()))
    return [answer for answer, places in votes.items() if len(places) == most]


@dataclass(frozen=True)
class VotePriority:
    """The majority; at a tie the answer of one chosen model or, where it is not among those tied, the first.

    Attributes:
        priority: place of that model among the answers.

    >>> VotePriority(priority=1).choose(["다섯 차례", "14일", "14일, 다섯 차례"])
    1
    """

    priority: int = 0

    def choose(self, answers: Sequence[str]) -> int:
        """The place of the answer to write; answers are one a model."""
        votes = count_votes(answers)
        tied = most_voted(votes)
        preferred = normalize_answer(answers[self.priority])
        return votes[preferred if preferred in tied else tied[0]][0]

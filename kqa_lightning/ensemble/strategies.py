"""The ensemble's strategies by name, and their use on whole prediction files."""

from collections.abc import Mapping
from typing import Protocol

from kqa_lightning.ensemble.consensus import F1Sum, VoteF1Sum
from kqa_lightning.ensemble.voting import VotePriority
from kqa_lightning.errors import KQAError

VOTING = ("vote_priority", "vote_f1_sum", "f1_sum")  # choose among one answer a model
LEARNED = ("weighted", "stacking")  # choose among all candidates; `learning` makes them
STRATEGIES = (*VOTING, *LEARNED)


class Strategy(Protocol):
    """Chooses, for one question, which model's answer is written."""

    def choose(self, answers: list[str], /) -> int:
        """The place of the chosen answer; answers are one a model, in the order the models are listed."""


def make_strategies(models: list[str], priority: str | None = None) -> dict[str, Strategy]:
    """The strategies that need no more than one answer a model, by their names: those of `VOTING`.

    Args:
        models: the models' names, in the order of their answers.
        priority: the model that ``vote_priority`` trusts at a tie; the first one if not given.

    Raises:
        KQAError: no model has the name `priority`.
    """
    if priority is not None and priority not in models:
        raise KQAError(f"--priority {priority}: no such model; there are {', '.join(models)}")
    return {
        "vote_priority": VotePriority(models.index(priority) if priority else 0),
        "vote_f1_sum": VoteF1Sum(),
        "f1_sum": F1Sum(),
    }


def combine(predictions: Mapping[str, Mapping[str, str]], strategy: Strategy) -> dict[str, str]:
    """One answer a question, in the order of the first model's questions.

    Args:
        predictions: {model: {id: answer}}, every model with the same ids.
        strategy: what chooses among the models' answers.
    """
    combined = {}
    for question in next(iter(predictions.values())):
        answers = [answers[question] for answers in predictions.values()]
        combined[question] = answers[strategy.choose(answers)]
    return combined

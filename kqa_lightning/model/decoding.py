"""What decoding makes, how it is asked for, and what every way to choose tokens has in common."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

DecodingMethod = Literal["beam", "sampling"]
Allowed = Callable[[tuple[int, ...]], Sequence[int]]  # the ids that may follow those of an answer so far
ShouldStop = Callable[[Sequence[int]], bool]


@dataclass(frozen=True)
class GeneratedAnswer:
    """A generated continuation.

    Args:
        token_ids: The generated ids, the end token included where one was generated.
        logprob_sum: Sum of the tokens' natural log-probabilities, the end token's included; the model's own, whatever
            temperature, top_p or constraint they were chosen with.
        logprob_mean: That sum divided by the number of tokens.
    """

    token_ids: tuple[int, ...]
    logprob_sum: float
    logprob_mean: float


@dataclass(frozen=True)
class Decoding:
    """How answers are chosen.

    Args:
        max_new_tokens: Most tokens an answer gets.
        num_candidates: Beams, or draws: the most candidates of a question.
        method: Beam search, which with one beam is greedy decoding, or sampling.
        temperature: What sampling divides logits by.
        top_p: Sampling draws from the fewest tokens whose probabilities come to this.
        seed: Of sampling; each question's draws depend on it and on the question's prompt alone.

    Raises:
        ValueError: a count below 1, or a temperature or top_p that nothing could be drawn with.
    """

    max_new_tokens: int = 64
    num_candidates: int = 1
    method: DecodingMethod = "beam"
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what nothing could be decoded with."""
        for name in ("max_new_tokens", "num_candidates"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not self.temperature > 0 or not 0 < self.top_p <= 1:
            raise ValueError(f"temperature {self.temperature} or top_p {self.top_p}: nothing can be drawn with it")


class NotFiniteError(Exception):
    """Scores that are no finite numbers, among which no token can be chosen.

    Args:
        questions: Whose: their places among those that are decoded together; outside `AnswerGenerator` their rows of
            the table.
    """

    def __init__(self, questions: Sequence[int]) -> None:
        super().__init__(f"the scores of questions {list(questions)} are not finite")
        self.questions = list(questions)


def check_finite(scores: Tensor, questions: Tensor) -> None:
    """Raise a NotFiniteError where one of the scores, [rows], of some questions, int64 [rows], is not finite."""
    finite = scores.isfinite()
    if not bool(finite.all()):
        raise NotFiniteError(sorted(set(questions[~finite].tolist())))


class Answers(Protocol):
    """A batch of questions being answered, token by token.

    Rows of the model's batch are decoded answers: at first one a question, then as many as there are candidates.
    """

    @property
    def last(self) -> Tensor:
        """The newest token of each row that goes on, int64 [rows]."""
        ...

    def append(self, logits: Tensor) -> bool:
        """Choose from the logits, fp32 [rows, vocabulary], which may be overwritten; true when all is over.

        Raises:
            NotFiniteError: there is nothing to choose from.
        """
        ...

    def select(self) -> Tensor | None:
        """Make up the rows to go on with: the former row of each, int64 [rows]; None where they stay as they are."""
        ...

    def answers(self) -> list[list[GeneratedAnswer]]:
        """The candidates of each question, best first."""
        ...


def best_first(found: Sequence[GeneratedAnswer]) -> list[GeneratedAnswer]:
    """Different candidates, those with the highest mean log-probability first."""
    return sorted({one.token_ids: one for one in found}.values(), key=lambda one: -one.logprob_mean)

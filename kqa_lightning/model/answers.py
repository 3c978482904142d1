"""Generated tokens as answers: text, what of it is the answer, and when it is over."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kqa_lightning.model.greedy import GeneratedAnswer

if TYPE_CHECKING:
    from kqa_lightning.data.encoding import PromptEncoder


@dataclass  # not frozen: Lightning refuses to collect those from predict_step
class Candidate:
    """One answer to a question: ``answer`` as it is scored, ``raw`` as it was generated, and its log-probability."""

    answer: str
    raw: str
    logprob_sum: float
    logprob_mean: float


@dataclass
class AnsweredQuestion:
    """The candidates for the question at ``row`` of its table, best first."""

    row: int
    candidates: tuple[Candidate, ...]


def read_candidates(encoder: "PromptEncoder", generated: Sequence[GeneratedAnswer]) -> tuple[Candidate, ...]:
    """The candidates of one question as text."""
    texts = (encoder.decode_answer(one.token_ids) for one in generated)
    return tuple(
        Candidate(answer, raw, one.logprob_sum, one.logprob_mean)
        for (answer, raw), one in zip(texts, generated, strict=True)
    )


def is_over(encoder: "PromptEncoder", token_ids: Sequence[int]) -> bool:
    """Whether the answer's line or a stop string has come: what follows would be thrown away."""
    line = encoder.decode_answer(token_ids)[1].lstrip()
    return any(mark in line for mark in ("\n", "\r", *encoder.prompt.stop_strings))

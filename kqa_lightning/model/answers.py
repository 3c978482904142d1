"""Generated tokens as answers: text, what of it is the answer, and when it is over."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kqa_lightning.data.answer_rules import AnswerRule, answer_is_over, clean_answer
from kqa_lightning.model.decoding import GeneratedAnswer

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


class AnswerReader:
    """What generated tokens say.

    Args:
        encoder: Of the prompts that are answered.
        rules: What of a text is the answer.
    """

    def __init__(self, encoder: "PromptEncoder", rules: Collection[AnswerRule]) -> None:
        self._encoder, self._rules = encoder, rules

    def read(self, generated: Sequence[GeneratedAnswer]) -> tuple[Candidate, ...]:
        """The candidates of one question as text."""
        return tuple(
            Candidate(self.clean(raw := self.raw(one.token_ids)), raw, one.logprob_sum, one.logprob_mean)
            for one in generated
        )

    def raw(self, token_ids: Sequence[int]) -> str:
        """The text of generated ids before the first end token."""
        return self._encoder.decode_raw(token_ids)

    def clean(self, raw: str) -> str:
        """What of a text is the answer."""
        return clean_answer(raw, self._encoder.prompt.stop_strings, self._rules)

    def is_over(self, token_ids: Sequence[int]) -> bool:
        """Whether the answer's line or a stop string has come: what follows would be thrown away."""
        return answer_is_over(self.raw(token_ids), self._encoder.prompt.stop_strings, self._rules)

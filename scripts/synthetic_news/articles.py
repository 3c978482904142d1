"""An article with its questions."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Split = Literal["pretrain", "train", "val", "test"]


@dataclass(frozen=True)
class Question:
    """A question, its answer, and the patterns of the question and the answer's sentence."""

    text: str
    answer: str
    sentence_pattern: str
    question_pattern: str
    unseen: bool


@dataclass(frozen=True)
class Article:
    """An article; every name and value is a piece of its own."""

    pieces: tuple[str, ...]
    questions: tuple[Question, ...]

    @cached_property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.pieces)

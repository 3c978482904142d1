"""Answerer: the questions of a batch in, their candidates as text out."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from peft import PeftModel
from transformers import PreTrainedModel

from kqa_lightning.data.answer_rules import AnswerRule
from kqa_lightning.model.answering import AnswerGenerator, Decoding, TokenBudget
from kqa_lightning.model.answers import AnsweredQuestion, AnswerReader
from kqa_lightning.model.copying import CopyConstraint

if TYPE_CHECKING:
    from kqa_lightning.data.encoding import EncodedArticle, PromptEncoder


class Answerer:
    """Answers batches of questions, all in one way, and keeps what one batch teaches for the next.

    Args:
        decoding: How answers are chosen.
        rules: What of a generated text is the answer.
        copy: Whether answers are to be pieces of their article.

    Attributes:
        budget: What a GPU has room for, as far as is known: lowered where it was too much.
    """

    def __init__(self, decoding: Decoding, rules: Collection[AnswerRule], copy: bool) -> None:
        self._decoding, self._rules, self._copy = decoding, rules, copy
        self.budget = TokenBudget()
        self._constraint: CopyConstraint | None = None
        self._encoder: PromptEncoder | None = None

    def answer(
        self, model: PreTrainedModel | PeftModel, encoder: "PromptEncoder", articles: "list[EncodedArticle]"
    ) -> list[AnsweredQuestion]:
        """Answer every question of ``articles``, article by article in their order; modes are left as they were.

        Raises:
            KQAError: the vocabulary cannot be constrained, or one question is too much for the memory.
            NotFiniteError: as `AnswerGenerator`.
        """
        if self._copy and self._encoder is not encoder:  # which takes a second with a large vocabulary
            self._constraint, self._encoder = CopyConstraint(encoder, self._decoding.max_new_tokens), encoder
        reader = AnswerReader(encoder, self._rules)
        generator = AnswerGenerator(
            model, encoder.end_ids, encoder.pad_id, self._decoding, self.budget, reader.is_over, self._constraint
        )
        return [
            AnsweredQuestion(question.row, reader.read(candidates))
            for article, answers in zip(articles, generator.generate_all(articles), strict=True)
            for question, candidates in zip(article.questions, answers, strict=True)
        ]

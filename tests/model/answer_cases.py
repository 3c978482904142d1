"""Articles with questions, and the generator that answers them, for the tests of decoding."""

from collections.abc import Sequence
from typing import Any

from peft import PeftModel
from random_models import PAD, random_article

from kqa_lightning.model.answering import AnswerGenerator, Decoding, TokenBudget

END_IDS = (2, 7, 31, 50, 77)  # several, so that random weights end some of their answers
NEW_TOKENS = 12
ARTICLES = [
    random_article(1, 40, [(6, 0), (11, 0), (1, 0)]),  # exceeds the window of 16 everywhere
    random_article(2, 3, [(2, 0), (3, 0)]),  # stays within it, or leaves it while the answer grows
    random_article(3, 14, [(1, 0), (9, 0), (4, 0), (9, 0)]),
    random_article(4, 1, [(1, 0)]),
    random_article(5, 90, [(2 + i % 9, 0) for i in range(13)]),
]


GREEDY = Decoding(NEW_TOKENS)


def generator(
    model: PeftModel,
    tokens_per_batch: int = 16384,
    how: Decoding = GREEDY,
    end_ids: Sequence[int] = END_IDS,
    **kwargs: Any,
) -> AnswerGenerator:
    """One whose batches are bounded."""
    budget = TokenBudget(tokens_per_batch, tokens_per_batch)
    return AnswerGenerator(model, end_ids, PAD, how, budget, **kwargs)

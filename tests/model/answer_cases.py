"""Articles with questions, and the generator that answers them, for the tests of decoding."""

from collections.abc import Sequence
from typing import Any

import torch
from peft import PeftModel
from random_models import PAD, random_article

from kqa_lightning.data.encoding import EncodedArticle, EncodedQuestion
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


def generated(
    model: Any,
    article: EncodedArticle,
    question: EncodedQuestion,
    new_tokens: int = NEW_TOKENS,
    end_ids: Sequence[int] = END_IDS,
    pad_id: int = PAD,
) -> tuple[int, ...]:
    """transformers' own greedy generation on one unpadded row, with its own cache, masks and positions."""
    row = torch.tensor([article.prefix_ids + question.question_ids])
    out = model.generate(
        input_ids=row,
        attention_mask=torch.ones_like(row),
        do_sample=False,
        max_new_tokens=new_tokens,
        eos_token_id=list(end_ids),
        pad_token_id=pad_id,
    )
    return tuple(out[0, row.shape[1] :].tolist())


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

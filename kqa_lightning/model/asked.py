"""Questions after their articles, and their answers as they grow."""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import DynamicCache

from kqa_lightning.model.forward import QUESTION, Forward, padded
from kqa_lightning.model.groups import Row
from kqa_lightning.model.prefix import ComputedPrefixes, Layers
from kqa_lightning.model.question_rows import ComputedQuestions
from kqa_lightning.model.shared_attention import SharedArticles


class Asked:
    """Rows that are decoded together: article | padding | question | answer.

    Where the architecture allows it, the rows of an article read one copy of it; else each row has its own.

    Args:
        forward: Computes them: the questions here, with the model's own attention, answers inside `Forward.reading`.
        articles: What the rows ask about.
        rows: The questions, those of an article one after the other, by the articles' slots.

    Attributes:
        logits: Of the token that follows, fp32 [rows, vocabulary].
    """

    def __init__(self, forward: Forward, articles: ComputedPrefixes, rows: Sequence[Row]) -> None:
        self._forward = forward
        questions = ComputedQuestions.compute(forward, articles, rows)
        self.logits = questions.logits
        numbers = [articles.slots[row.article] for row in rows]
        slots = torch.tensor(numbers, device=forward.device)
        before = articles.columns.first(max(row.shared for row in rows))
        own, starts = [row.own for row in rows], [row.shared for row in rows]
        self._columns = before.select(slots).join(padded(own, starts, QUESTION, forward, on_left=True))
        self._shared: SharedArticles | None = None
        self._cache = DynamicCache()
        if forward.shares:
            self._shared = SharedArticles.arrange(articles.keys, articles.values, articles.lengths, slots)
        else:
            self._extend(*articles.layers(numbers, before.ids.shape[1]))
        self._extend(questions.keys, questions.values)

    def _extend(self, keys: Layers, values: Layers) -> None:
        for layer, one in enumerate(zip(keys, values, strict=True)):
            self._cache.update(*one, layer)

    def select(self, rows: Tensor) -> None:
        """Go on with these rows, int64."""
        self._cache.batch_select_indices(rows)
        self._columns = self._columns.select(rows)
        self._shared = None if self._shared is None else self._shared.select(rows)

    def append(self, ids: Tensor) -> None:
        """Continue each row by a token, int64 [rows], and compute what follows it."""
        newest = self._columns.next(ids)
        self._columns = self._columns.join(newest)
        self.logits = self._forward(newest, self._cache, self._columns, self._shared)

"""Questions after their articles, and their answers as they grow."""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import DynamicCache

from kqa_lightning.model.forward import QUESTION, Forward, padded
from kqa_lightning.model.groups import Row, alike
from kqa_lightning.model.prefix import ComputedPrefixes, join_caches
from kqa_lightning.model.shared_attention import SharedArticles


class Asked:
    """Rows that are decoded together: article | padding | question | answer.

    Where the architecture allows it, the rows of an article read one copy of it; else each row has its own.

    Args:
        forward: Computes them; inside `Forward.reading`.
        articles: What the rows ask about.
        rows: The questions, those with the most tokens of their own first.

    Attributes:
        logits: Of the token that follows, fp32 [rows, vocabulary].
    """

    def __init__(self, forward: Forward, articles: ComputedPrefixes, rows: Sequence[Row]) -> None:
        self._forward = forward
        slots = torch.tensor([articles.slots[row.article] for row in rows], device=forward.device)
        before = articles.columns.first(max(row.shared for row in rows))
        own, starts = [row.own for row in rows], [row.shared for row in rows]
        self._columns = before.select(slots).join(padded(own, starts, QUESTION, forward, on_left=True))
        if forward.shares:
            self._shared: SharedArticles | None = SharedArticles.arrange(
                articles.keys, articles.values, articles.lengths, slots
            )
        else:
            self._shared = None
        caches, logits = [], []
        # Questions of about one length together, as with articles; copies, which are wider, all at once.
        for some in alike([len(ids) for ids in own]) if forward.shares else [slice(len(own))]:
            asked = padded(own[some], starts[some], QUESTION, forward, on_left=True)
            columns = before.select(slots[some]).join(asked)
            if self._shared is None:
                shared, cache = None, self._copies(articles, slots, before.ids.shape[1])
            else:
                shared, cache = self._shared.read_by(slots[some]), DynamicCache()
            logits.append(forward(asked, cache, columns, shared))
            caches.append(cache)
        self.logits = torch.cat(logits)
        self._cache = DynamicCache(zip(*join_caches(caches, on_left=True), strict=True))

    @staticmethod
    def _copies(articles: ComputedPrefixes, slots: Tensor, width: int) -> DynamicCache:
        layers = zip(articles.keys, articles.values, strict=True)
        return DynamicCache((keys[slots, :, :width], values[slots, :, :width]) for keys, values in layers)

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

"""Attention of rows to an article that several of them have in common, and to what is each one's own.

An article's keys and values are kept once, however many answers read them, and multiplied with the queries of all of
these at once; the two parts are joined by their log-sums. (Juravsky et al., "Hydragen", 2024, who do this with a text
that the whole batch begins with; here each article has its own rows, and soft caps are kept.)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, eager_mask

from kqa_lightning.model.groups import alike
from kqa_lightning.model.scores import masked_scores

NAME = "shared_articles"
# Scores computed at once: on a CPU they are to stay in its cache.
_CPU_SCORES, _GPU_SCORES = 1 << 18, 1 << 26


@dataclass(frozen=True)
class SharedArticles:
    """Keys and values of articles, and the article that each row reads.

    Attributes:
        keys: Of each layer, [articles, key heads, columns, width].
        values: Likewise.
        lengths: Columns of each article that are none of padding; the longest first.
        slots: int64 [rows]; the article of each row, in ascending order.
        ranks: int64 [rows]; which row of its article each is.
        ends: Where the rows of each article end.
    """

    keys: Sequence[Tensor]
    values: Sequence[Tensor]
    lengths: Sequence[int]
    slots: Tensor
    ranks: Tensor
    ends: Sequence[int]
    _plans: "dict[int, tuple[Tensor, list[_Articles]]]" = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def arrange(
        cls, keys: Sequence[Tensor], values: Sequence[Tensor], lengths: Sequence[int], slots: Tensor
    ) -> "SharedArticles":
        """Put rows, those of an article one after the other, with their articles, which have ascending slots."""
        counts = slots.bincount(minlength=len(lengths))
        ends = counts.cumsum(0)
        ranks = torch.arange(len(slots), device=slots.device) - (ends - counts)[slots]
        return cls(keys, values, lengths, slots, ranks, ends.tolist())

    def select(self, rows: Tensor) -> "SharedArticles":
        """The rows to go on with, int64 ascending by article, one or several times; most articles unread, these go."""
        slots = self.slots[rows]
        read = slots.unique()
        if 2 * len(read) > len(self.lengths):
            return self.arrange(self.keys, self.values, self.lengths, slots)
        keys, values = [one[read] for one in self.keys], [one[read] for one in self.values]
        lengths = [self.lengths[slot] for slot in read.tolist()]
        return self.arrange(keys, values, lengths, torch.searchsorted(read, slots))

    def plan(self, mask: Tensor, columns: int, heads: int) -> "list[_Articles]":
        """Divide the articles that are read into those to compute together; once for all layers with one mask.

        Args:
            mask: [rows, 1, queries, columns of the articles + own columns], additive.
            columns: Of the articles.
            heads: Of a query.
        """
        known = self._plans.get(id(mask))
        if known is None or known[0] is not mask:
            if len(self._plans) > 1:  # those of tokens that are decoded: full and sliding attention have one each
                self._plans.clear()
            limit = _CPU_SCORES if mask.device.type == "cpu" else _GPU_SCORES
            known = mask, list(self._together(mask[:, 0, :, :columns], heads, limit))
            self._plans[id(mask)] = known
        return known[1]

    def _together(self, masks: Tensor, heads: int, limit: int) -> Iterator["_Articles"]:
        """The same, of masks [rows, queries, columns]; one article may have more scores than the limit."""
        queries = heads * masks.shape[1]
        begins = [0, *self.ends[:-1]]
        counts = [end - begin for begin, end in zip(begins, self.ends, strict=True)]
        for run in alike(self.lengths):
            start = run.start
            while start < run.stop:
                stop, most = start + 1, counts[start]
                while stop < run.stop:
                    wider = max(most, counts[stop])
                    if (stop + 1 - start) * wider * queries * self.lengths[start] > limit:
                        break
                    stop, most = stop + 1, wider
                if most:
                    yield self._arranged(slice(start, stop), slice(begins[start], self.ends[stop - 1]), most, masks)
                start = stop

    def _arranged(self, articles: slice, rows: slice, most: int, masks: Tensor) -> "_Articles":
        """Some articles; every one gets room for as many rows."""
        width = min(masks.shape[-1], self.lengths[articles.start])
        places = (self.slots[rows] - articles.start) * most + self.ranks[rows]
        room = (articles.stop - articles.start) * most
        placed = masks.new_zeros(room, masks.shape[1], width).index_copy_(0, places, masks[rows, :, :width])
        return _Articles(
            articles, rows, most, width, places, placed.unflatten(0, (-1, most)).flatten(1, 2)[:, None, None]
        )


class _Articles(NamedTuple):
    """Some articles that are computed together."""

    articles: slice
    rows: slice
    most: int  # rows that the article with most of them has
    width: int  # columns of the longest
    places: Tensor  # int64 [rows]; of articles times most, the place of each row
    masks: Tensor  # [articles, 1, 1, most x queries, width]


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    shared_articles: SharedArticles | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers calls it.

    Args:
        module: The attention layer.
        query: [rows, heads, queries, width].
        key: What is the rows' own, [rows, key heads, own columns, width]; heads are a multiple of key heads.
        value: As ``key``.
        attention_mask: [rows, 1, queries, columns of the articles + own columns]; 0, or as low as its type allows for
            what is not seen.
        scaling: Of the scores; one over the root of the width if not given.
        dropout: Of the attention weights; only 0 is computed.
        softcap: Bound c of the scores s, which become c tanh(s / c).
        shared_articles: What the rows share; passed through the model's forward.
        kwargs: What other implementations take.

    Returns:
        [rows, queries, heads, width], and no attention weights.

    Raises:
        ValueError: without a mask or articles, or with dropout.
    """
    if attention_mask is None or shared_articles is None or dropout:
        raise ValueError("attention to shared articles needs these and an additive mask, and has no dropout")
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    own_columns = key.shape[2]
    queries = query.unflatten(1, (key.shape[1], -1))  # [rows, key heads, heads of each, queries, width]
    of_own = attention_mask[:, :, None, :, -own_columns:]
    own = _part(queries.flatten(2, 3), key, value, of_own, scaling, softcap)
    article = _article_part(module, queries, attention_mask, own_columns, shared_articles, scaling, softcap)
    return article.join(own).unflatten(2, queries.shape[2:4]).flatten(1, 2).transpose(1, 2).to(query.dtype), None


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, eager_mask)


class _Part(NamedTuple):
    """Attention to some of the columns: fp32 [rows, key heads, queries, width], and two of width 1."""

    weighted: Tensor  # sum of the values, each times 2 to the power of its score less the highest
    highest: Tensor
    total: Tensor  # sum of these powers

    def join(self, other: "_Part") -> Tensor:
        """Attention to the columns of both."""
        highest = torch.maximum(self.highest, other.highest)
        mine, theirs = (self.highest - highest).exp2_(), (other.highest - highest).exp2_()
        weighted = (self.weighted * mine).addcmul_(other.weighted, theirs)
        return weighted.div_((self.total * mine).addcmul_(other.total, theirs))


def _part(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor, scaling: float, softcap: float | None) -> _Part:
    """Attention of [rows, key heads, heads of each x queries, width] to [rows, key heads, columns, width].

    The mask broadcasts to [rows, key heads, heads of each, queries, columns].
    """
    products = queries.matmul(keys.transpose(2, 3)).float().unflatten(2, (-1, mask.shape[-2]))
    scores = masked_scores(products, mask, scaling, softcap)[0].flatten(2, 3)
    highest = scores.amax(-1, keepdim=True)
    weights = scores.sub_(highest).exp2_()
    return _Part(weights.to(values.dtype).matmul(values).float(), highest, weights.sum(-1, keepdim=True))


def _article_part(
    module: nn.Module,
    queries: Tensor,
    mask: Tensor,
    own_columns: int,
    shared: SharedArticles,
    scaling: float,
    softcap: float | None,
) -> _Part:
    """Attention of [rows, key heads, heads of each, queries, width] to the articles, so many at once as is fast."""
    layer = cast(int, module.layer_idx)
    heads = queries.shape[1] * queries.shape[2]
    parts = []
    for some, rows, most, width, places, masks in shared.plan(mask, mask.shape[-1] - own_columns, heads):
        keys, values = (kept[layer][some, :, :width] for kept in (shared.keys, shared.values))
        room = (some.stop - some.start) * most
        placed = queries[rows].new_zeros(room, *queries.shape[1:]).index_copy_(0, places, queries[rows])
        # [articles, key heads, heads of each, rows of the article, queries, width]
        placed = placed.unflatten(0, (-1, most)).permute(0, 2, 3, 1, 4, 5)
        part = _part(placed.flatten(2, 4), keys, values, masks, scaling, softcap)
        shaped = (one.unflatten(2, placed.shape[2:5]).permute(0, 3, 1, 2, 4, 5).flatten(0, 1) for one in part)
        parts.append([one.index_select(0, places).flatten(2, 3) for one in shaped])
    return _Part(*(torch.cat(one) for one in zip(*parts, strict=True)))

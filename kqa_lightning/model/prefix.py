"""Articles computed once, before anything is asked about them."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from transformers import DynamicCache

from kqa_lightning.model.forward import Columns, Forward, padded
from kqa_lightning.model.groups import Prefix, alike
from kqa_lightning.model.masks import ARTICLE

Layers = tuple[Tensor, ...]  # of each layer, [rows, key heads, columns, width]


@dataclass(frozen=True)
class ComputedPrefixes:
    """What articles left behind.

    Attributes:
        keys: Of each layer, [articles, key heads, longest, width].
        values: Likewise.
        columns: [articles, longest], padded on the right.
        lengths: Tokens of each; the longest first.
        slots: Which of them an article is.
    """

    keys: Layers
    values: Layers
    columns: Columns
    lengths: tuple[int, ...]
    slots: dict[int, int]

    @classmethod
    def compute(cls, forward: Forward, prefixes: Sequence[Prefix]) -> "ComputedPrefixes":
        """Compute articles, the longest first; those of about one length together, so that little is padding."""
        lengths = tuple(len(prefix.ids) for prefix in prefixes)
        ids = [prefix.ids for prefix in prefixes]
        caches = []
        for some in alike(lengths, forward.columns_at_once):
            columns = padded(ids[some], [0] * len(ids[some]), ARTICLE, forward, on_left=False)
            forward(columns, cache := DynamicCache())
            caches.append(cache)
        columns = padded(ids, [0] * len(ids), ARTICLE, forward, on_left=False)
        slots = {prefix.rows[0].article: slot for slot, prefix in enumerate(prefixes)}
        return cls(*_join(caches), columns, lengths, slots)

    def layers(self, slots: Sequence[int], width: int) -> tuple[Layers, Layers]:
        """Keys and values of the first columns of some articles, in the order given; of neighbours no copies."""
        neighbours = range(slots[0], slots[0] + len(slots))
        rows = slice(neighbours.start, neighbours.stop) if list(slots) == list(neighbours) else list(slots)
        keys, values = (tuple(one[rows, :, :width] for one in part) for part in (self.keys, self.values))
        return keys, values


def _join(caches: Sequence[DynamicCache]) -> tuple[Layers, Layers]:
    """Keys and values of the rows of several caches, filled up with zeros to the widest."""
    layers = zip(*([layer[:2] for layer in cache] for cache in caches), strict=True)
    keys, values = zip(*([_stack(part) for part in zip(*layer, strict=True)] for layer in layers), strict=True)
    return keys, values


def _stack(parts: Sequence[Tensor]) -> Tensor:
    """[rows, key heads, columns, width] of different columns, one below the other."""
    _, heads, _, width = parts[0].shape
    stacked = parts[0].new_empty(sum(map(len, parts)), heads, max(part.shape[2] for part in parts), width)
    start = 0
    for part in parts:
        rows, columns = stacked[start : start + len(part)], part.shape[2]
        rows[:, :, :columns], rows[:, :, columns:] = part, 0
        start += len(part)
    return stacked

"""Articles computed once, before anything is asked about them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad
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
        for some in alike(lengths):
            columns = padded(ids[some], [0] * len(ids[some]), ARTICLE, forward, on_left=False)
            forward(columns, cache := DynamicCache())
            caches.append(cache)
        columns = padded(ids, [0] * len(ids), ARTICLE, forward, on_left=False)
        slots = {prefix.rows[0].article: slot for slot, prefix in enumerate(prefixes)}
        return cls(*join_caches(caches, on_left=False), columns, lengths, slots)


def join_caches(caches: Sequence[DynamicCache], *, on_left: bool) -> tuple[Layers, Layers]:
    """Keys and values of the rows of several caches, filled up with zeros to the widest."""
    layers = [[layer[:2] for layer in cache] for cache in caches]
    width = max(keys.shape[2] for keys, _ in (cache[0] for cache in layers))

    def fill(tensor: Tensor) -> Tensor:
        missing = width - tensor.shape[2]
        return pad(tensor, (0, 0, missing, 0) if on_left else (0, 0, 0, missing)) if missing else tensor

    of_layers = list(zip(*layers, strict=True))
    joined = [[torch.cat([fill(one[part]) for one in layer]) for layer in of_layers] for part in (0, 1)]
    return tuple(joined[0]), tuple(joined[1])

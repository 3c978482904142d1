"""Articles computed once, and their cache in front of questions that are decoded together."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from peft import PeftModel
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from kqa_lightning.model.groups import Prefix, Row
from kqa_lightning.model.masks import ARTICLE, PADDING, attention_mask

_QUESTION = 1  # each decoded row holds one question, so one segment number serves all


class Forward:
    """Forward passes of a model that keep a cache.

    Args:
        model: The model.
        pad_id: Id to fill up with; never seen by a real token.
    """

    def __init__(self, model: PreTrainedModel | PeftModel, pad_id: int) -> None:
        embeddings = model.get_input_embeddings().weight
        assert isinstance(embeddings, Tensor)
        self.model, self.pad_id = model, pad_id
        self.dtype, self.device = embeddings.dtype, embeddings.device

    def mask(self, queries: "Columns", keys: "Columns | None" = None) -> Tensor | dict[str, Tensor]:
        """Which of the keys each query sees; the queries are the last of the keys."""
        return attention_mask(
            self.model.config,
            queries.segments,
            queries.positions,
            self.dtype,
            key_segments=None if keys is None else keys.segments,
            key_position_ids=None if keys is None else keys.positions,
        )

    def __call__(self, columns: "Columns", mask: Tensor | dict[str, Tensor], cache: DynamicCache) -> Tensor:
        """fp32 logits of the last column, [rows, vocabulary]; the cache grows by the columns."""
        output = self.model(
            input_ids=columns.ids,
            attention_mask=mask,
            position_ids=columns.positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return output.logits[:, -1].float()


@dataclass(frozen=True)
class Columns:
    """Tokens of some rows: ids, which segment each belongs to and its position, int64 [rows, columns] each."""

    ids: Tensor
    segments: Tensor
    positions: Tensor

    def next(self, ids: Tensor) -> "Columns":
        """The column after the last one, with ids [rows]."""
        return Columns(ids[:, None], torch.full_like(ids[:, None], _QUESTION), self.positions[:, -1:] + 1)

    def select(self, rows: Tensor) -> "Columns":
        """Some of the rows, in the order given."""
        return Columns(self.ids[rows], self.segments[rows], self.positions[rows])

    def join(self, other: "Columns") -> "Columns":
        """These columns and, after them, others of the same rows."""
        pairs = ((self.ids, other.ids), (self.segments, other.segments), (self.positions, other.positions))
        return Columns(*(torch.cat(pair, dim=1) for pair in pairs))


@dataclass(frozen=True)
class ComputedPrefixes:
    """Articles computed once: their cache, its columns, and which of its rows belongs to which article."""

    cache: DynamicCache
    columns: Columns
    slots: dict[int, int]

    @classmethod
    def compute(cls, forward: Forward, prefixes: Sequence[Prefix]) -> "ComputedPrefixes":
        """Compute the articles [articles, longest], padded on the right."""
        columns = _padded([prefix.ids for prefix in prefixes], [0] * len(prefixes), ARTICLE, forward, on_left=False)
        cache = DynamicCache()
        forward(columns, forward.mask(columns), cache)
        return cls(cache, columns, {prefix.rows[0].article: slot for slot, prefix in enumerate(prefixes)})

    def ask(self, forward: Forward, rows: Sequence[Row]) -> tuple[Columns, Columns, DynamicCache]:
        """What to compute for some questions.

        Returns:
            The questions [rows, longest], padded on the left; all columns they follow, their own included; and a cache
            of the articles alone, as wide as the longest of these rows.
        """
        slots = torch.tensor([self.slots[row.article] for row in rows], device=forward.device)
        width = max(row.shared for row in rows)
        cache = DynamicCache((keys[slots, :, :width], values[slots, :, :width]) for keys, values, _ in self.cache)
        of_articles = self.columns.select(slots)
        parts = (of_articles.ids, of_articles.segments, of_articles.positions)
        asked = _padded([row.own for row in rows], [row.shared for row in rows], _QUESTION, forward, on_left=True)
        return asked, Columns(*(part[:, :width] for part in parts)).join(asked), cache


def _padded(
    texts: Sequence[Sequence[int]], starts: Sequence[int], segment: int, forward: Forward, on_left: bool
) -> Columns:
    """Texts of different lengths as columns, the first token of each at its position."""
    width = max(map(len, texts))
    rows: tuple[list[list[int]], list[list[int]], list[list[int]]] = ([], [], [])
    for text, start in zip(texts, starts, strict=True):
        padding = [0] * (width - len(text))
        filled = (
            ([forward.pad_id] * len(padding), list(text)),
            ([PADDING] * len(padding), [segment] * len(text)),
            (padding, list(range(start, start + len(text)))),
        )
        for part, (filling, content) in zip(rows, filled, strict=True):
            part.append(filling + content if on_left else content + filling)
    ids, segments, positions = torch.tensor(rows, device=forward.device)
    return Columns(ids, segments, positions)

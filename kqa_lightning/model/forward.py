"""Forward passes over columns of tokens, each with its segment and position, that keep a cache."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import cast

import torch
from peft import PeftModel
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from kqa_lightning.model.attention import KNOWN_ARCHITECTURES, PACKED_SDPA, implementation_of
from kqa_lightning.model.last_layer import can_narrow, first_columns, last_layer_at
from kqa_lightning.model.masks import PADDING, Mask, attention_mask
from kqa_lightning.model.shared_attention import NAME as SHARED
from kqa_lightning.model.shared_attention import SharedArticles

QUESTION = 1  # the first segment behind an article, and that of a row that holds one question
# Columns of rows that are computed at once: on a CPU they are to stay in its cache.
_CPU_COLUMNS, _GPU_COLUMNS = 1 << 11, 1 << 13


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
        self.columns_at_once = _CPU_COLUMNS if self.device.type == "cpu" else _GPU_COLUMNS
        self._base = cast(PreTrainedModel, model.get_base_model() if isinstance(model, PeftModel) else model)

    @property
    def shares(self) -> bool:
        """Whether rows can read one copy of their article; otherwise each has its own."""
        return self._base.config.model_type in KNOWN_ARCHITECTURES

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Inside, rows are computed with the articles they share, not articles themselves."""
        usual = implementation_of(self._base.config)
        if self.shares:
            self._base.set_attn_implementation(SHARED)
        try:
            yield
        finally:
            self._base.set_attn_implementation(usual)

    def __call__(
        self,
        queries: "Columns",
        cache: DynamicCache,
        keys: "Columns | None" = None,
        shared: SharedArticles | None = None,
        wanted: Tensor | None = None,
    ) -> Tensor:
        """fp32 logits of the wanted columns, [wanted, vocabulary], row by row; the cache grows by the queries.

        Args:
            queries: What is computed.
            cache: What was computed before.
            keys: All columns that may be seen, the queries the last of them; if not given, the queries alone, texts
                padded on the right.
            shared: Articles that are seen and are not in the cache.
            wanted: bool [rows, columns]; the last column of each row if not given. At least one is.
        """
        if wanted is None:
            wanted = torch.zeros_like(queries.ids, dtype=torch.bool)
            wanted[:, -1] = True
        narrows = queries.ids.shape[1] > 1 and can_narrow(self.model)
        columns, kept = first_columns(wanted) if narrows else (None, wanted)
        with nullcontext() if columns is None else last_layer_at(self.model, columns):
            output = self.model(
                input_ids=queries.ids,
                attention_mask=self._mask(queries, keys),
                position_ids=queries.positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=kept,
                **({} if shared is None else {"shared_articles": shared}),
            )
        return output.logits.float()

    def _mask(self, queries: "Columns", keys: "Columns | None") -> Mask | dict[str, Mask] | None:
        config = self._base.config
        plain = implementation_of(config) in ("sdpa", PACKED_SDPA) and getattr(config, "sliding_window", None) is None
        if keys is None and plain:
            return None  # texts padded on the right are causal, and sdpa does half the work when it is told nothing
        return attention_mask(
            config,
            queries.segments,
            queries.positions,
            self.dtype,
            key_segments=None if keys is None else keys.segments,
            key_position_ids=None if keys is None else keys.positions,
        )


@dataclass(frozen=True)
class Columns:
    """Tokens of some rows: ids, which segment each belongs to and its position, int64 [rows, columns] each."""

    ids: Tensor
    segments: Tensor
    positions: Tensor

    def next(self, ids: Tensor) -> "Columns":
        """The column after the last one, with ids [rows]."""
        return Columns(ids[:, None], torch.full_like(ids[:, None], QUESTION), self.positions[:, -1:] + 1)

    def select(self, rows: Tensor) -> "Columns":
        """Some of the rows, in the order given."""
        return Columns(self.ids[rows], self.segments[rows], self.positions[rows])

    def first(self, count: int) -> "Columns":
        """The first columns."""
        return Columns(self.ids[:, :count], self.segments[:, :count], self.positions[:, :count])

    def join(self, other: "Columns") -> "Columns":
        """These columns and, after them, others of the same rows."""
        pairs = ((self.ids, other.ids), (self.segments, other.segments), (self.positions, other.positions))
        return Columns(*(torch.cat(pair, dim=1) for pair in pairs))


def padded(
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

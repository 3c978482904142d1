"""Attention masks of a packed article, for each implementation of attention.

Eager, sdpa and blockwise attention take an additive float mask [rows, 1, queries, keys]; FlexAttention a block mask,
which knows the blocks that nobody sees. (A bool mask is silently wrong on eager attention, which adds it to the
scores; a 2-D mask lets the questions of an article see each other.)
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask
from transformers import PreTrainedConfig

from kqa_lightning.model.attention import FLEX, implementation_of

ARTICLE = 0
PADDING = -1

Mask = Tensor | BlockMask
_Rule = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]  # of row, head, query and key: whether it is seen


def attention_mask(
    config: PreTrainedConfig,
    segments: Tensor,
    position_ids: Tensor,
    dtype: torch.dtype,
    *,
    key_segments: Tensor | None = None,
    key_position_ids: Tensor | None = None,
) -> Mask | dict[str, Mask]:
    """The mask, or Gemma2's dict of masks, for one forward pass.

    A position sees the article (segment 0) and its own segment, up to and including its own position; padding
    (segment -1) neither sees nor is seen, but sees the column at its own place, so that no row of the softmax is empty.
    A sliding window counts positions, not columns.

    Args:
        config: The base model's configuration: its attention, which layer types there are, and the window.
        segments: int64 [rows, queries]; 0 article, k >= 1 the k-th question with its answer, -1 padding.
        position_ids: int64 [rows, queries].
        dtype: Float type of an additive mask, that of the hidden states.
        key_segments: int64 [rows, keys], when the queries are some of the keys; behind a cache, the last of them.
        key_position_ids: int64 [rows, keys], likewise.

    Returns:
        A mask of shape [rows, 1, queries, keys], or a dict of such by layer type where the model takes that.

    Raises:
        ValueError: an additive mask that is to be bool, or of whole numbers.
    """
    if not dtype.is_floating_point:
        raise ValueError(f"a mask of {dtype} would be added to the scores as 0 and 1; it is to be of a float type")
    key_segments = segments if key_segments is None else key_segments
    key_position_ids = position_ids if key_position_ids is None else key_position_ids

    def mask(window: int | None) -> Mask:
        rule = _rule(segments, position_ids, key_segments, key_position_ids, window)
        rows, queries, keys = *segments.shape, key_segments.shape[1]
        if implementation_of(config) == FLEX:
            return create_block_mask(rule, rows, None, queries, keys, device=str(segments.device))
        return _additive(rule, rows, queries, keys, dtype, segments.device)

    window = getattr(config, "sliding_window", None)
    layer_types = set(getattr(config, "layer_types", None) or ())
    if "sliding_attention" in layer_types:
        return {kind: mask(window if kind == "sliding_attention" else None) for kind in layer_types}
    return mask(None if layer_types else window)  # a window that no layer has is none


def _rule(
    segments: Tensor, positions: Tensor, key_segments: Tensor, key_positions: Tensor, window: int | None
) -> _Rule:
    before = key_segments.shape[1] - segments.shape[1]  # keys of the cache

    def is_seen(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        own, other = segments[row, query], key_segments[row, key]
        distance = positions[row, query] - key_positions[row, key]
        seen = ((other == ARTICLE) | (other == own)) & (own != PADDING) & (other != PADDING) & (distance >= 0)
        if window is not None:
            seen = seen & (distance < window)
        return seen | ((own == PADDING) & (key == query + before))

    return is_seen


def _additive(rule: _Rule, rows: int, queries: int, keys: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    row, query, key = (torch.arange(count, device=device) for count in (rows, queries, keys))
    seen = rule(row[:, None, None], row, query[:, None], key)
    mask = torch.zeros(seen.shape, dtype=dtype, device=device)
    return mask.masked_fill_(~seen, torch.finfo(dtype).min).unsqueeze(1)

"""Attention masks of a packed article, for eager, sdpa and blockwise attention.

All take an additive float mask [rows, 1, queries, keys]. (A bool mask is silently wrong on eager attention, which
adds it to the scores; a 2-D mask lets the questions of an article see each other.)
"""

import torch
from torch import Tensor
from transformers import PreTrainedConfig

ARTICLE = 0
PADDING = -1


def attention_mask(
    config: PreTrainedConfig,
    segments: Tensor,
    position_ids: Tensor,
    dtype: torch.dtype,
    *,
    key_segments: Tensor | None = None,
    key_position_ids: Tensor | None = None,
) -> Tensor | dict[str, Tensor]:
    """The additive mask, or Gemma2's dict of masks, for one forward pass.

    A position sees the article (segment 0) and its own segment, up to and including its own position; padding
    (segment -1) neither sees nor is seen, but every position sees itself, so that no row of the softmax is empty. A
    sliding window counts positions, not columns.

    Args:
        config: The base model's configuration: which layer types there are, and the window.
        segments: int64 [rows, queries]; 0 article, k >= 1 the k-th question with its answer, -1 padding.
        position_ids: int64 [rows, queries].
        dtype: Float type of the mask, that of the hidden states.
        key_segments: int64 [rows, keys], when the keys begin with a cache; the queries are the last of them.
        key_position_ids: int64 [rows, keys], likewise.

    Returns:
        A tensor [rows, 1, queries, keys], or a dict of such by layer type where the model takes that.
    """
    key_segments = segments if key_segments is None else key_segments
    key_position_ids = position_ids if key_position_ids is None else key_position_ids
    distance = position_ids[:, :, None] - key_position_ids[:, None, :]
    own, other = segments[:, :, None], key_segments[:, None, :]
    visible = ((other == ARTICLE) | (other == own)) & (own != PADDING) & (other != PADDING) & (distance >= 0)
    offset = key_segments.shape[1] - segments.shape[1]
    itself = torch.ones(visible.shape[1:], dtype=torch.bool, device=visible.device).triu(offset).tril(offset)

    def additive(allowed: Tensor) -> Tensor:
        mask = torch.zeros(allowed.shape, dtype=dtype, device=allowed.device)
        return mask.masked_fill_(~(allowed | itself), torch.finfo(dtype).min).unsqueeze(1)

    window = getattr(config, "sliding_window", None)
    layer_types = set(getattr(config, "layer_types", None) or ())
    near = visible if window is None else visible & (distance < window)
    if "sliding_attention" in layer_types:
        return {kind: additive(near if kind == "sliding_attention" else visible) for kind in layer_types}
    return additive(near)

"""PyTorch's scaled dot-product attention of packed rows, told which of their columns are plainly causal.

An article and its first question see what stands before them and nothing else, which PyTorch computes without a mask,
in half the work, and on a GPU by its fastest kernels. Only the questions after it need a mask.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedConfig
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from kqa_lightning.model.attention import PACKED_SDPA, implementation_of

_FIRST_QUESTION = 1


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    causal_columns: int = 0,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers calls it, in two parts.

    Args:
        module: The attention layer.
        query: [rows, heads, queries, width].
        key: [rows, key heads, keys, width]; heads are a multiple of key heads.
        value: As ``key``.
        attention_mask: [rows, 1, queries, keys], additive; None for what is causal as a whole.
        causal_columns: How many of the first queries and keys are causal in every row.
        kwargs: What transformers' own takes.

    Returns:
        [rows, queries, heads, width], and no attention weights.
    """
    if attention_mask is None or causal_columns == 0:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    first, keys, values = (one[:, :, :causal_columns] for one in (query, key, value))
    causal, _ = sdpa_attention_forward(module, first, keys, values, None, is_causal=True, **kwargs)
    if causal_columns == query.shape[2]:
        return causal, None
    rest, mask = query[:, :, causal_columns:], attention_mask[:, :, causal_columns:]
    masked, _ = sdpa_attention_forward(module, rest, key, value, mask, **kwargs)
    return torch.cat([causal, masked], dim=1), None


AttentionInterface.register(PACKED_SDPA, attend)
AttentionMaskInterface.register(PACKED_SDPA, sdpa_mask)  # for who calls the model without our masks


def causal_columns(config: PreTrainedConfig, segments: Tensor) -> dict[str, int]:
    """What to hand a model besides the mask of packed rows: how many of their first columns are causal in all of them.

    Args:
        config: The base model's configuration; only its own attention and a model without a window is told.
        segments: int64 [rows, columns], each row padded on its right: what nobody reads may be computed anyhow.
    """
    if implementation_of(config) != PACKED_SDPA or getattr(config, "sliding_window", None) is not None:
        return {}
    later = (segments > _FIRST_QUESTION).any(dim=0)
    return {"causal_columns": int(later.int().argmax()) if bool(later.any()) else segments.shape[1]}

"""PyTorch's scaled dot-product attention of packed rows, told what stands in them.

On a CPU they are computed in parts that need no mask. On a GPU, under autocast and where weights are dropped an article
and its first question, which see what stands before them and nothing else, are computed without one, in half the work
and by a GPU's fastest kernels; only the questions after it need a mask.
"""

from collections.abc import Sequence
from typing import Any, TypedDict, cast

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedConfig
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from kqa_lightning.model.attention import KNOWN_ARCHITECTURES, PACKED_SDPA, implementation_of
from kqa_lightning.model.packed_parts import PackedRow, attend_in_parts, packed_rows

_FIRST_QUESTION = 1


class Layout(TypedDict, total=False):
    """What attention is told of packed rows, besides their mask: one of these, or nothing.

    Attributes:
        causal_columns: How many of the first columns are causal in every row.
        packed_rows: Where articles and questions end; no layer reads the mask then but a narrowed last one.
    """

    causal_columns: int
    packed_rows: Sequence[PackedRow]


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    causal_columns: int = 0,
    packed_rows: Sequence[PackedRow] | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers calls it, in parts.

    Args:
        module: The attention layer.
        query: [rows, heads, queries, width].
        key: [rows, key heads, keys, width]; heads are a multiple of key heads.
        value: As ``key``.
        attention_mask: [rows, 1, queries, keys], additive; None for what is causal as a whole.
        causal_columns: How many of the first queries and keys are causal in every row.
        packed_rows: What stands in the rows, by which they are computed without their mask.
        kwargs: What transformers' own takes.

    Returns:
        [rows, queries, heads, width], and no attention weights.
    """
    if packed_rows is not None:
        groups = cast(int, getattr(module, "num_key_value_groups", 1))
        keys, values = (repeat_kv(one, groups) if groups > 1 else one for one in (key, value))
        return attend_in_parts(query, keys, values, packed_rows, kwargs["scaling"]).transpose(1, 2), None
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


def layout_of(config: PreTrainedConfig, segments: Tensor) -> Layout:
    """What to tell a model of packed rows, besides their mask.

    Args:
        config: The base model's configuration; only its own attention is told, of a known architecture without window.
        segments: int64 [rows, columns], each row padded on its right: what nobody reads may be computed anyhow.
    """
    is_known = config.model_type in KNOWN_ARCHITECTURES and implementation_of(config) == PACKED_SDPA
    if not is_known or getattr(config, "sliding_window", None) is not None:
        return {}
    if _computes_in_parts(config, segments.device.type):
        return {"packed_rows": packed_rows(segments)}
    later = (segments > _FIRST_QUESTION).any(dim=0)
    return {"causal_columns": int(later.int().argmax()) if bool(later.any()) else segments.shape[1]}


def _computes_in_parts(config: PreTrainedConfig, device: str) -> bool:
    """Whether parts may be computed: the kernel is a CPU's, drops no weights and is not told of autocast's types."""
    drops_weights = bool(getattr(config, "attention_dropout", 0))
    return device == "cpu" and not drops_weights and not torch.is_autocast_enabled(device)

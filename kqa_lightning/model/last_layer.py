"""The last layer, computed at the positions whose output is wanted.

Of all other positions nothing but the keys and values of that layer is ever read: not in training, where a few tokens
in a hundred are supervised, nor of an article before its questions are asked. Queries, attention and MLP of the rest,
most of a layer, would be thrown away. Output and gradients are those of the whole layer.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel

from kqa_lightning.model.attention import FLEX, KNOWN_ARCHITECTURES, implementation_of


def can_narrow(model: PreTrainedModel | PeftModel) -> bool:
    """Whether the last layer of a model can be computed at some positions alone.

    Not of other architectures, not with FlexAttention, whose masks are blocks, and not where layers are computed again
    in the backward pass: transformers takes their keys and values away then.
    """
    base = _base(model)
    if base.config.model_type not in KNOWN_ARCHITECTURES or implementation_of(base.config) == FLEX:
        return False
    # Of this layer alone: transformers' property of the model asks all its modules, which takes milliseconds.
    return not (base.training and cast(Any, _last_layer(model)).gradient_checkpointing)


@contextmanager
def last_layer_at(model: PreTrainedModel | PeftModel, positions: Tensor, mask: Tensor | None = None) -> Iterator[None]:
    """Inside, the model's last layer computes the output of some columns, and its logits are of them alone.

    Args:
        model: One that `can_narrow`.
        positions: int64 [rows, wanted]; columns of each row. Without a mask each is to be the last one of its row.
        mask: Theirs, [rows, 1, wanted, keys]; if not given, it is taken out of the model's.
    """
    hook = _last_layer(model).register_forward_pre_hook(partial(_narrow, positions, mask), with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


def first_columns(wanted: Tensor) -> tuple[Tensor, Tensor]:
    """The columns that a mask marks, brought to the front of each row.

    Args:
        wanted: bool [rows, columns].

    Returns:
        int64 [rows, most], the marked columns of each row in their order, filled up with others; and bool
        [rows, most], which of them are marked. There is at least one column.
    """
    counts = wanted.sum(dim=1)
    most = max(1, int(counts.max()))
    columns = wanted.int().argsort(dim=1, descending=True, stable=True)[:, :most]
    return columns, torch.arange(most, device=wanted.device) < counts[:, None]


def _base(model: PreTrainedModel | PeftModel) -> PreTrainedModel:
    return cast(PreTrainedModel, model.get_base_model() if isinstance(model, PeftModel) else model)


def _last_layer(model: PreTrainedModel | PeftModel) -> nn.Module:
    return cast(nn.Module, cast(Any, _base(model)).get_decoder().layers[-1])


class _Given(DynamicCache):
    """Hands a layer keys and values that are computed already, in place of those of its own few columns."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self._given = keys, values

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """The keys and values of all columns."""
        return self._given


def _narrow(
    positions: Tensor, own_mask: Tensor | None, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What a decoder layer is to be called with instead: its wanted columns, and the keys and values of all."""
    hidden, *others = args
    cos, sin = kwargs["position_embeddings"]
    keys, values = _keys_and_values(layer, hidden, cos, sin)
    if (cache := kwargs.get("past_key_values")) is not None:
        keys, values = cache.update(keys, values, cast(Any, layer).self_attn.layer_idx)
    rows = torch.arange(len(positions), device=positions.device)[:, None]
    mask = kwargs["attention_mask"]
    narrowed: dict[str, Any] = {
        "past_key_values": _Given(keys, values),
        "causal_columns": 0,  # of `packed_sdpa`: the columns are no longer the row's
        "packed_rows": None,
        "position_embeddings": tuple(one.expand(len(rows), -1, -1)[rows, positions] for one in (cos, sin)),
    }
    if own_mask is not None:
        narrowed["attention_mask"] = own_mask
    elif mask is not None:  # [rows, 1, columns, keys]
        narrowed["attention_mask"] = mask.expand(len(rows), -1, -1, -1)[rows, :, positions].transpose(1, 2)
    if (position_ids := kwargs.get("position_ids")) is not None:
        narrowed["position_ids"] = position_ids.expand(len(rows), -1)[rows, positions]
    return (hidden[rows, positions], *others), {**kwargs, **narrowed}


def _keys_and_values(layer: nn.Module, hidden: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
    """Those of all columns, [rows, key heads, columns, width], as the layer itself computes them."""
    from transformers.models.llama.modeling_llama import rotate_half  # late: who asks no model loads none

    parts = cast(Any, layer)
    attention = parts.self_attn
    normed = parts.input_layernorm(hidden)
    shape = (*hidden.shape[:-1], -1, attention.head_dim)
    keys, values = attention.k_proj(normed).view(shape), attention.v_proj(normed).view(shape)
    if (norm := getattr(attention, "k_norm", None)) is not None:  # Qwen3
        keys = norm(keys)
    keys = keys.transpose(1, 2)
    cos, sin = cos[:, None], sin[:, None]
    return keys * cos + rotate_half(keys) * sin, values.transpose(1, 2)

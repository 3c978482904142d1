"""Rotary embeddings in fewer passes over the tokens: for training on packed rows in fp32.

transformers turns queries and keys in five passes, and gradients in as many; three do.
"""

from typing import Any, cast

import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from kqa_lightning.model.packed_sdpa import attend


def fuse_rotary(model: PeftModel) -> None:
    """Have queries and keys turned so where attention is told of packed rows, and by transformers elsewhere."""
    for module in model.modules():
        if all(hasattr(module, name) for name in ("q_proj", "k_proj", "v_proj", "o_proj", "head_dim")):
            cast(Any, module).forward = _Forward(module)


class _Forward:
    """The forward of an attention layer: an object, so that a copied or pickled model takes it along."""

    def __init__(self, layer: nn.Module) -> None:
        self._layer = layer

    def __call__(self, hidden_states: Tensor, position_embeddings: tuple[Tensor, Tensor], **kwargs: Any) -> Any:
        layer = cast(Any, self._layer)
        is_packed = kwargs.get("packed_rows") is not None and torch.is_grad_enabled()
        if not is_packed or hidden_states.dtype != torch.float32:
            return type(layer).forward(layer, hidden_states, position_embeddings=position_embeddings, **kwargs)
        shape = (*hidden_states.shape[:-1], -1, layer.head_dim)
        query, key, value = (getattr(layer, name)(hidden_states).view(shape) for name in ("q_proj", "k_proj", "v_proj"))
        if hasattr(layer, "q_norm"):  # Qwen3
            query, key = layer.q_norm(query), layer.k_norm(key)
        query, key = (_Turned.apply(one, *position_embeddings).transpose(1, 2) for one in (query, key))
        output, _ = attend(layer, query, key, value.transpose(1, 2), scaling=layer.scaling, **kwargs)
        return layer.o_proj(output.reshape(*shape[:-2], -1)), None


class _Turned(torch.autograd.Function):
    """[rows, columns, heads, width], the halves of each turned by angles, their cos and sin [rows, columns, width]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        cos, sin = cos[:, :, None], sin[:, :, None]
        ctx.save_for_backward(cos, sin)
        half = x.shape[-1] // 2
        turned = x * cos
        turned[..., :half].addcmul_(x[..., half:], sin[..., :half], value=-1)
        turned[..., half:].addcmul_(x[..., :half], sin[..., half:])
        return turned

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        (gradient,) = gradients
        half = gradient.shape[-1] // 2
        of_x = gradient * cos
        of_x[..., :half].addcmul_(gradient[..., half:], sin[..., half:])
        of_x[..., half:].addcmul_(gradient[..., :half], sin[..., :half], value=-1)
        return of_x, None, None

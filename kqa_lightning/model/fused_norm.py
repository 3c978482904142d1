"""RMS norms in fewer passes over the tokens: for training where weights and arithmetic are fp32.

transformers writes a norm as its formula, of which autograd keeps and computes a tensor for each operation: a dozen
passes over memory, where seven do: three forward, four backward.
"""

from typing import Any, cast

import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# Norms of the known architectures, by their names in transformers, and what is added to their weight.
_OFFSETS = {"LlamaRMSNorm": 0.0, "MistralRMSNorm": 0.0, "Qwen2RMSNorm": 0.0, "Qwen3RMSNorm": 0.0, "Gemma2RMSNorm": 1.0}


def fuse_norms(model: PeftModel) -> None:
    """Have a model's frozen norms computed so in training, and by transformers otherwise."""
    for module in model.modules():
        if type(module).__name__ in _OFFSETS and not isinstance(module.forward, _Forward):
            cast(Any, module).forward = _Forward(module)


class _Forward:
    """The forward of a norm: an object, so that a copied or pickled model takes it along."""

    def __init__(self, norm: nn.Module) -> None:
        self._norm = norm

    def __call__(self, x: Tensor) -> Tensor:
        norm = cast(Any, self._norm)
        kind = type(norm)
        weight: Tensor = norm.weight
        is_fp32 = x.dtype == weight.dtype == torch.float32 and not torch.is_autocast_enabled(x.device.type)
        if not is_fp32 or weight.requires_grad or not torch.is_grad_enabled():
            return cast(Tensor, kind.forward(norm, x))
        offset = _OFFSETS[kind.__name__]
        epsilon: float = norm.eps if hasattr(norm, "eps") else norm.variance_epsilon
        return cast(Tensor, _RMSNorm.apply(x, weight + offset if offset else weight, epsilon))


class _RMSNorm(torch.autograd.Function):
    """[..., width] over the root of its mean square, times a weight [width] that learns nothing."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        square = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_()
        scale = square.div_(x.shape[-1]).add_(epsilon).rsqrt_()
        normed = x * scale
        ctx.save_for_backward(normed, scale, weight)
        return normed * weight

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        normed, scale, weight = ctx.saved_tensors
        of_normed = gradients[0] * weight
        mean = torch.linalg.vecdot(of_normed, normed).unsqueeze(-1).div_(normed.shape[-1])
        return of_normed.addcmul_(normed, mean, value=-1).mul_(scale), None, None

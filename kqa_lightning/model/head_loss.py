"""Cross-entropy of a large vocabulary, soft cap included, a few rows at a time and in the memory of the logits.

Cap, softmax, and the gradients of both make five more tensors of rows times words, none of which fits a cache: for
Gemma's 256,000 words five megabytes a token. Here the gradient is computed with the loss, and takes the logits' place.
(Hsu et al., "Liger Kernel", 2024, do so on GPUs.) fp16 would lose most of it: there the loss is multiplied before its
gradient is taken, so that small ones are none too small, and here it is taken first.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from transformers import PreTrainedConfig

# Logits computed at once: on a CPU they are to stay in its cache.
_CPU_LOGITS, _GPU_LOGITS = 1 << 18, 1 << 22


def cross_entropy(logits: Tensor, labels: Tensor, softcap: float | None = None) -> Tensor:
    """Negative log-likelihood of each label, fp32 [rows]. Only its first derivative is known.

    Args:
        logits: [rows, words], before the cap, and the output of another operation. Where they need a gradient they
            are overwritten by it.
        labels: int64 [rows]; each a word, as -100 is none.
        softcap: Bound c of the logits x, which become c tanh(x / c).
    """
    return cast(Tensor, _CrossEntropy.apply(logits, labels, softcap))


@contextmanager
def uncapped(config: PreTrainedConfig) -> Iterator[float | None]:
    """Inside, a Gemma 2 leaves its logits as they are; gives the cap that is then to be applied, None for none.

    Other architectures may read such a setting or not; what they make of it stays theirs.
    """
    softcap = cast(float | None, getattr(config, "final_logit_softcapping", None))
    if softcap is None or config.model_type != "gemma2":
        yield None
        return
    config.final_logit_softcapping = None
    try:
        yield softcap
    finally:
        config.final_logit_softcapping = softcap


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, softcap: float | None) -> Tensor:
        losses = torch.empty(len(labels), dtype=torch.float32, device=logits.device)
        limit = _CPU_LOGITS if logits.device.type == "cpu" else _GPU_LOGITS
        step = max(1, limit // logits.shape[1])
        for start in range(0, len(labels), step):
            rows = slice(start, start + step)
            losses[rows] = _losses(logits[rows], labels[rows, None], softcap, ctx.needs_input_grad[0])
        # A second backward pass, which would find the logits changed again, is refused by autograd.
        ctx.save_for_backward(logits)
        return losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (of_logits,) = ctx.saved_tensors
        return of_logits.mul_(gradients[0][:, None]), None, None


def _losses(logits: Tensor, labels: Tensor, softcap: float | None, with_gradient: bool) -> Tensor:
    """The losses of [rows, words] and labels [rows, 1]; the logits become their derivatives where those are wanted."""
    capped = logits.float()
    tanh = None
    if softcap is not None:
        tanh = (capped / softcap).tanh_()
        capped = tanh * softcap
    logsums = capped.logsumexp(1, keepdim=True)
    losses = (logsums - capped.gather(1, labels))[:, 0]
    if with_gradient:
        gradient = (capped - logsums).exp_()
        gradient.scatter_add_(1, labels, -torch.ones_like(logsums))
        if tanh is not None:
            gradient.addcmul_(gradient * tanh, tanh, value=-1)  # the cap's slope is 1 - tanh²
        logits.copy_(gradient)
    return losses

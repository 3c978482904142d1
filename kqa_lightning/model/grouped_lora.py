"""Projections with LoRA in fewer passes over the tokens: for training where adapters and arithmetic are fp32.

PEFT computes an adapter beside its projection, and scales, copies and adds what comes out; in the backward pass the
gradients of an input that several projections read are added one after the other. On a CPU these passes over memory
take as long as the products. Here the sums are made within the products, and query, key and value, or gate and up, are
computed together, their A matrices as one. The gradients are written by hand, as Unsloth has them for GPUs.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn import Linear4bit
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# Projections of one input, by their names in transformers.
_TOGETHER = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))


def group_lora(model: PeftModel) -> None:
    """Have a model's projections computed in groups where a gradient is wanted, and by PEFT otherwise.

    PEFT computes as well what is not plain LoRA in fp32: with dropout, a bias, DoRA, several adapters, under autocast.
    """
    for module in model.modules():
        for names in _TOGETHER:
            _group([getattr(module, name, None) for name in names])
    for module in model.modules():
        _group([module])


def _group(modules: Sequence[object]) -> None:
    """Make a group of those that carry an adapter and are in none."""
    layers = [one for one in modules if isinstance(one, LoraLayer) and not isinstance(cast(Any, one).forward, _Forward)]
    if layers:
        _Group(layers)


class _Group:
    """Projections that may read the same input: the first one that does computes all of them.

    Args:
        layers: They, in the order in which they are called.
    """

    def __init__(self, layers: Sequence[Any]) -> None:
        self._layers = layers
        self._peft = [layer.forward for layer in layers]
        self._input: Tensor | None = None
        self._outputs: dict[int, Tensor] = {}  # of that input, by place: what was not asked for yet
        for place, layer in enumerate(self._layers):
            layer.forward = _Forward(self, place)

    def compute(self, place: int, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """The output of the projection at a place."""
        if x is self._input and place in self._outputs:
            output = self._outputs.pop(place)
            if not self._outputs:
                self._input = None
            return output
        if args or kwargs or not all(_is_plain(layer, x) for layer in self._layers):
            return cast(Tensor, self._peft[place](x, *args, **kwargs))
        if place:  # the others read something else
            return _project(self._layers[place : place + 1], x)[0]
        first, *others = _project(self._layers, x)
        self._input, self._outputs = (x, dict(enumerate(others, 1))) if others else (None, {})
        return first


class _Forward:
    """The forward of a projection: an object, so that a copied or pickled model takes its group along."""

    def __init__(self, group: _Group, place: int) -> None:
        self._group, self._place = group, place

    def __call__(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return self._group.compute(self._place, x, *args, **kwargs)


def _is_plain(layer: Any, x: Tensor) -> bool:
    """Whether a layer is LoRA as in its paper, without dropout, of the input's type, and wants gradients."""
    if not torch.is_grad_enabled() or layer.disable_adapters or layer.merged or len(layer.active_adapters) != 1:
        return False
    (name,) = layer.active_adapters
    base: Any = layer.get_base_layer()
    if name not in layer.lora_A or name in layer.lora_variant or torch.is_autocast_enabled(x.device.type):
        return False
    dropout, a, b = layer.lora_dropout[name], layer.lora_A[name].weight, layer.lora_B[name]
    drops = layer.training and not isinstance(dropout, nn.Identity)
    has_bias = base.bias is not None or b.bias is not None
    if drops or has_bias or not x.dtype == a.dtype == torch.float32:
        return False
    weight: Any = base.weight
    if type(base) is Linear4bit:
        state = weight.quant_state
        return state is not None and state.dtype == x.dtype and base.compute_dtype in (None, x.dtype)
    return type(base) is nn.Linear and weight.dtype == x.dtype and not weight.requires_grad


def _project(layers: Sequence[Any], x: Tensor) -> tuple[Tensor, ...]:
    names = [layer.active_adapters[0] for layer in layers]
    pairs = list(zip(layers, names, strict=True))
    scales = [float(layer.scaling[name]) for layer, name in pairs]
    a = [layer.lora_A[name].weight for layer, name in pairs]
    b = [layer.lora_B[name].weight for layer, name in pairs]
    bases = [layer.get_base_layer() for layer in layers]
    return cast(tuple[Tensor, ...], _Projections.apply(x, bases, scales, *a, *b))


def _weight(base: Any) -> Tensor:
    """The weight of a frozen projection, [out, in], out of its 4 bits if it is in these."""
    weight: Any = base.weight
    return dequantize_4bit(weight.data, weight.quant_state) if type(base) is Linear4bit else weight


class _Projections(torch.autograd.Function):
    """Of an input [..., in] the outputs [..., out] of frozen projections W, each with A [rank, in] and B [out, rank].

    Each is x Wᵀ + s x Aᵀ Bᵀ.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, bases: list[Any], scales: list[float], *matrices: Tensor) -> tuple[Tensor, ...]:
        a, b = matrices[: len(bases)], matrices[len(bases) :]
        ctx.ranks, ctx.bases, ctx.scales, ctx.shape = [len(one) for one in a], bases, scales, x.shape
        rows = x.reshape(-1, x.shape[-1])
        stacked = torch.cat(a) if len(a) > 1 else a[0]
        reduced = rows.mm(stacked.t())
        ctx.save_for_backward(rows, reduced, stacked, *b)
        outputs = []
        for base, scale, one, of_a in zip(bases, scales, b, reduced.split(ctx.ranks, 1), strict=True):
            output = rows.mm(_weight(base).t()).addmm_(of_a, one.t(), alpha=scale)
            outputs.append(output.view(*x.shape[:-1], -1))
        return tuple(outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, reduced, stacked, *b = ctx.saved_tensors
        of_outputs = [gradient.reshape(len(rows), -1) for gradient in gradients]
        of_b, of_reduced = [], []
        parts = zip(of_outputs, b, ctx.scales, reduced.split(ctx.ranks, 1), strict=True)
        for of_output, one, scale, of_a in parts:
            of_b.append(of_output.t().mm(of_a).mul_(scale))
            of_reduced.append(of_output.mm(one).mul_(scale))
        joined = torch.cat(of_reduced, 1) if len(b) > 1 else of_reduced[0]
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = joined.mm(stacked)
            for of_output, base in zip(of_outputs, ctx.bases, strict=True):
                of_x.addmm_(of_output, _weight(base))
            of_x = of_x.view(ctx.shape)
        return of_x, None, None, *joined.t().mm(rows).split(ctx.ranks), *of_b

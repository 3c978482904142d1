"""Projections with LoRA in fewer passes over the tokens: for training where adapters and arithmetic are fp32.

PEFT computes an adapter beside its projection, and scales, copies and adds what comes out; in the backward pass the
gradients of an input that several projections read are added one after the other. On a CPU these passes over memory
take as long as the products. Here the sums are made within the products, and query, key and value, or gate and up, are
computed together, their A matrices as one. The gradients are written by hand, as Unsloth has them for GPUs.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from bitsandbytes.nn import Linear4bit
from peft import PeftModel
from peft.tuners import lora
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from kqa_lightning.model.frozen_weight import FrozenWeight

# Projections of one input, by their names in transformers, in the order in which they are called.
_TOGETHER = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
_KINDS = (lora.Linear, lora.Linear4bit)
_SMALL = 64 * 2**20  # bytes of all weights with an adapter in fp32 up to which they stay out of their 4 bits


def group_lora(model: PeftModel) -> None:
    """Have a model's projections computed in groups in training, and by PEFT otherwise.

    PEFT computes as well what is not plain LoRA in fp32: with dropout, a bias, DoRA, several adapters, under autocast.
    """
    adapted = [cast(Any, module) for module in model.modules() if type(module) in _KINDS]
    is_small = 4 * sum(layer.in_features * layer.out_features for layer in adapted) <= _SMALL
    for module in model.modules():
        for names in _TOGETHER:
            _group(module, [getattr(module, name, None) for name in names], is_small)
    for module in adapted:
        _group(module, [module], is_small)


def _group(parent: nn.Module, modules: Sequence[object], keeps_weights: bool) -> None:
    """Make a group of those that are projections with an adapter and are in none."""
    layers = [cast(Any, one) for one in modules if type(one) in _KINDS]
    layers = [layer for layer in layers if not isinstance(layer.forward, _Forward)]
    if layers:
        group = _Group(layers, keeps_weights)
        if len(layers) > 1:
            parent.register_forward_hook(group.forget, always_call=True)


class _Group:
    """Projections of a layer. Where the first one is called, all of them are computed, for the others to take.

    Args:
        layers: They, in the order in which they are called.
        keeps_weights: Whether their weights stay out of their 4 bits once they are.
    """

    def __init__(self, layers: Sequence[Any], keeps_weights: bool) -> None:
        self._layers = layers
        self._weights = [FrozenWeight(layer.base_layer, is_kept=keeps_weights) for layer in layers]
        self._input: tuple[Tensor, int] | None = None  # and its version
        self._outputs: dict[int, Tensor] = {}  # of that input, by place: what was not asked for yet
        for place, layer in enumerate(layers):
            layer.forward = _Forward(self, place)

    def __getstate__(self) -> dict[str, Any]:
        """Without what waits: a copy computes its own."""
        return {**self.__dict__, "_input": None, "_outputs": {}}

    def compute(self, place: int, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """The output of the projection at a place."""
        is_called_so = not args and not kwargs and torch.is_grad_enabled()
        if is_called_so and place in self._outputs and self._is_of(x) and _is_plain(self._layers[place], x):
            return self._outputs.pop(place)
        if not is_called_so or not all(_is_plain(layer, x) for layer in self._layers):
            layer = self._layers[place]
            return cast(Tensor, type(layer).forward(layer, x, *args, **kwargs))
        if place:  # it reads something else than the first
            return _project(self._layers[place : place + 1], self._weights[place : place + 1], x)[0]
        first, *others = _project(self._layers, self._weights, x)
        if others:
            self._input, self._outputs = (x, x._version), dict(enumerate(others, 1))
        return first

    def _is_of(self, x: Tensor) -> bool:
        """Whether what waits was computed of this input, as it is now."""
        return self._input is not None and self._input[0] is x and self._input[1] == x._version

    def forget(self, *_: Any) -> None:
        """Let go of what was computed for others, at the end of the layer that they belong to."""
        self._input, self._outputs = None, {}


class _Forward:
    """The forward of a projection: an object, so that a copied or pickled model takes its group along."""

    def __init__(self, group: _Group, place: int) -> None:
        self._group, self._place = group, place

    def __call__(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return self._group.compute(self._place, x, *args, **kwargs)


def _is_plain(layer: Any, x: Tensor) -> bool:
    """Whether a layer is to be LoRA as in its paper now, of a frozen projection and in fp32."""
    if layer.disable_adapters or layer.merged or len(layer.active_adapters) != 1:
        return False
    (name,) = layer.active_adapters
    if name not in layer.lora_A or name in layer.lora_variant or torch.is_autocast_enabled(x.device.type):
        return False
    drops = layer.training and not isinstance(layer.lora_dropout[name], nn.Identity)
    has_bias = layer.base_layer.bias is not None or layer.lora_B[name].bias is not None
    if drops or has_bias or not x.dtype == layer.lora_A[name].weight.dtype == torch.float32:
        return False
    return _is_frozen_fp32(layer.base_layer)


def _is_frozen_fp32(base: Any) -> bool:
    """Whether a projection computes in fp32, whatever its weight is stored in, and learns nothing itself."""
    weight: Any = base.weight
    if type(base) is Linear4bit:
        state = weight.quant_state
        return state is not None and state.dtype == torch.float32 and base.compute_dtype in (None, torch.float32)
    return type(base) is nn.Linear and weight.dtype == torch.float32 and not weight.requires_grad


def _project(layers: Sequence[Any], weights: Sequence[FrozenWeight], x: Tensor) -> list[Tensor]:
    """Of an input [..., in] the output of each layer, [..., out]."""
    names = [layer.active_adapters[0] for layer in layers]
    pairs = list(zip(layers, names, strict=True))
    scales = [float(layer.scaling[name]) for layer, name in pairs]
    a = [layer.lora_A[name].weight for layer, name in pairs]
    b = [layer.lora_B[name].weight for layer, name in pairs]
    rows = x.reshape(-1, x.shape[-1])
    return [one.view(*x.shape[:-1], one.shape[-1]) for one in _Projections.apply(rows, weights, scales, *a, *b)]


def _is_to_keep(weight: Tensor, rows: Tensor) -> bool:
    """Whether a weight out of its 4 bits is to wait for the backward pass: where it is smaller than its input."""
    return weight.device.type == "cpu" and weight.numel() <= rows.numel()


class _Projections(torch.autograd.Function):
    """Of rows [rows, in] the outputs [rows, out] of frozen projections W with A [rank, in] and B [out, rank] each.

    Each is x Wᵀ + s x Aᵀ Bᵀ. One that nobody used has no gradient, as in PEFT.
    """

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, weights: Sequence[FrozenWeight], scales: list[float], *matrices: Tensor
    ) -> tuple[Tensor, ...]:
        count = len(weights)
        ctx.ranks, ctx.weights, ctx.scales = [len(a) for a in matrices[:count]], weights, scales
        reduced = rows.mm(torch.cat(matrices[:count]).t())
        ctx.set_materialize_grads(False)
        outputs: list[Tensor] = []
        kept: list[Tensor | None] = []
        for one, scale, b, part in zip(weights, scales, matrices[count:], reduced.split(ctx.ranks, 1), strict=True):
            weight = one.whole()
            outputs.append(rows.mm(weight.t()).addmm_(part, b.t(), alpha=scale))
            kept.append(weight if _is_to_keep(weight, rows) else None)
        ctx.save_for_backward(rows, reduced, *matrices, *kept)
        return tuple(outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        rows, reduced, *matrices = ctx.saved_tensors
        count = len(ctx.weights)
        a, b, kept, parts = matrices[:count], matrices[count:-count], matrices[-count:], reduced.split(ctx.ranks, 1)
        used = [(place, gradient) for place, gradient in enumerate(gradients) if gradient is not None]
        of_a: list[Tensor | None] = [None] * count
        of_b: list[Tensor | None] = [None] * count
        if not used:
            return (None, None, None, *of_a, *of_b)
        of_parts = torch.cat([gradient.mm(b[place]).mul_(ctx.scales[place]) for place, gradient in used], 1)
        of_rows = of_parts.mm(torch.cat([a[place] for place, _ in used])) if ctx.needs_input_grad[0] else None
        split = of_parts.t().mm(rows).split([ctx.ranks[place] for place, _ in used])
        for (place, gradient), of_one in zip(used, split, strict=True):
            of_a[place] = of_one
            # So multiplied it takes a CPU a third of the time of the product that is not transposed.
            of_b[place] = parts[place].t().mm(gradient).mul_(ctx.scales[place]).t()
            if of_rows is not None:
                weight = kept[place]
                of_rows.addmm_(gradient, ctx.weights[place].whole() if weight is None else weight)
        return (of_rows, None, None, *of_a, *of_b)

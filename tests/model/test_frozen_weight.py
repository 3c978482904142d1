"""When weights come out of their 4 bits, and that they are then those that the base has."""

import copy
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from pefts_own import agree, descend
from torch import Tensor

from kqa_lightning.model import frozen_weight, grouped_lora


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The memory of each weight that comes out of its 4 bits from now on."""
    found: list[int] = []
    dequantize = frozen_weight.dequantize_4bit

    def counted(weight: Tensor, *args: Any) -> Tensor:
        found.append(weight.data_ptr())
        return dequantize(weight, *args)

    monkeypatch.setattr(frozen_weight, "dequantize_4bit", counted)
    return found


def test_weights_of_a_small_base_come_out_of_their_4_bits_once(
    make_model: Callable[..., PeftModel], read: list[int]
) -> None:
    model = make_model("llama")
    descend(model)
    descend(model)
    projections = [module for module in model.modules() if isinstance(module, LoraLayer)]
    assert len(read) == len(set(read)) == len(projections)


def test_those_of_a_larger_one_in_each_step(
    make_model: Callable[..., PeftModel], read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grouped_lora, "_SMALL", 0)
    model = make_model("llama")
    losses, gradients = descend(model)
    count = len(read)
    again, same = descend(model)
    assert len(read) == 2 * count
    assert torch.equal(losses, again)
    assert all(torch.equal(gradients[name], one) for name, one in same.items())
    assert agree(model)


def test_a_copy_does_not_take_along_what_is_kept(make_model: Callable[..., PeftModel]) -> None:
    model = make_model("llama")
    sizes = []
    for _ in range(2):
        stored = io.BytesIO()
        torch.save(model, stored)
        sizes.append(stored.tell())
        descend(model)
        model.zero_grad()
    assert sizes[1] < 1.1 * sizes[0]


@pytest.mark.parametrize("how", ["in place", "by others", "by their scales", "by scales in place", "by merging"])
def test_weights_that_change_come_out_of_their_4_bits_again(make_model: Callable[..., PeftModel], how: str) -> None:
    model = make_model("llama")
    before, _ = descend(model)
    if how == "by merging":
        model.base_model.merge_adapter()
        model.base_model.unmerge_adapter()
    for module in model.modules():
        if isinstance(module, Linear4bit) and how != "by merging":
            weight: Any = module.weight
            others = weight.data.flip(0)
            if how == "in place":
                with torch.no_grad():
                    weight.copy_(others)
            elif how == "by others":
                weight.data = others
            elif how == "by scales in place":
                weight.quant_state.absmax.mul_(2)
            else:
                weight.quant_state = copy.deepcopy(weight.quant_state)
                weight.quant_state.absmax *= 2
    after, _ = descend(model)
    assert not torch.equal(before, after)
    assert agree(model)

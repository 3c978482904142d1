"""Projections computed in groups give what PEFT's own forward gives, and are left to it where they would not."""

import copy
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from pefts_own import ARTICLES, agree, descend, ungrouped
from random_models import COMMON, PAD, randomise
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, Qwen2Config

from kqa_lightning.data.packing import pack
from kqa_lightning.model import grouped_lora
from kqa_lightning.model.base import ALL_PROJECTIONS, LoRA, attach_lora
from kqa_lightning.model.frozen_weight import FrozenWeight
from kqa_lightning.model.grouped_lora import group_lora
from kqa_lightning.model.loss import token_losses


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many projections were computed together each time from now on."""
    counts: list[int] = []
    project = grouped_lora._project

    def counted(layers: list[LoraLayer], weights: list[Any], x: Tensor) -> list[Tensor]:
        counts.append(len(layers))
        return project(layers, weights, x)

    monkeypatch.setattr(grouped_lora, "_project", counted)
    return counts


@pytest.mark.parametrize("family", ["gemma2", "llama"])
@pytest.mark.parametrize("quantization", ["nf4", "none"])
def test_losses_and_gradients_are_pefts(
    make_model: Callable[..., PeftModel], family: str, quantization: str, together: list[int]
) -> None:
    model = make_model(family, quantization)
    assert agree(model)
    # Query, key and value; gate and up. The last layer's keys and values are of all columns, its queries of a few.
    assert together.count(3) == together.count(2) == model.config.num_hidden_layers


@pytest.mark.parametrize("family", ["gemma2", "llama"])
def test_so_they_are_with_gradient_checkpointing(
    make_model: Callable[..., PeftModel], family: str, together: list[int]
) -> None:
    assert agree(make_model(family, gradient_checkpointing=True))
    assert together


def test_the_gradients_are_those_of_finite_differences() -> None:
    torch.manual_seed(0)
    bases = [nn.Linear(5, width, bias=False, dtype=torch.float64).requires_grad_(False) for width in (3, 4)]
    weights = [FrozenWeight(base, is_kept=False) for base in bases]
    x = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    shapes = ((2, 5), (1, 5), (3, 2), (4, 1))  # two A, of different ranks, and their B
    matrices = [torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in shapes]

    def outputs(x: Tensor, *matrices: Tensor) -> tuple[Tensor, ...]:
        return grouped_lora._Projections.apply(x, weights, [0.5, 2.0], *matrices)

    first, second = outputs(x, *matrices)
    assert torch.allclose(first, bases[0](x) + 0.5 * (x @ matrices[0].T) @ matrices[2].T)
    assert torch.allclose(second, bases[1](x) + 2.0 * (x @ matrices[1].T) @ matrices[3].T)
    assert torch.autograd.gradcheck(outputs, (x, *matrices))


def test_what_waits_for_a_projection_is_not_for_one_whose_adapter_was_switched_off() -> None:
    torch.manual_seed(0)
    model = get_peft_model(Reading(), LoraConfig(r=2, target_modules=["q_proj", "k_proj"]))
    randomise(model, 0)
    group_lora(model)
    reading, x = model.get_base_model(), torch.randn(3, 8)
    reading.q_proj(x)  # outside the layer, so that nothing lets go of the other's output
    with model.disable_adapter():
        assert torch.equal(reading.k_proj(x), ungrouped(model).get_base_model().k_proj(x))


def test_without_gradients_peft_computes(make_model: Callable[..., PeftModel], together: list[int]) -> None:
    """Answers stay those of plain PEFT to the bit."""
    model = make_model("llama")
    ids = torch.randint(3, 50, (2, 9))
    with torch.no_grad():
        logits = model(input_ids=ids).logits
        assert torch.equal(logits, ungrouped(model)(input_ids=ids).logits)
    assert not together


def test_what_is_not_plain_lora_is_left_to_peft(make_model: Callable[..., PeftModel], together: list[int]) -> None:
    model = make_model("llama", lora=LoRA(r=4, dropout=0.5))
    assert agree(model)
    assert not together
    model.eval()
    assert agree(model)  # nothing is dropped now
    assert together
    together.clear()
    ids = torch.tensor([[3, 4, 5]])
    with model.disable_adapter():
        model(input_ids=ids)
    with torch.autocast("cpu", torch.bfloat16):
        model(input_ids=ids)
    model.add_adapter("weighted", LoraConfig(r=2, use_dora=True, target_modules=["q_proj"]))
    model.add_adapter("other", LoraConfig(r=2, target_modules=["q_proj"]))
    model.set_adapter("weighted")
    model(input_ids=ids)
    model.base_model.set_adapter(["default", "other"])
    model(input_ids=ids)
    model.base_model.merge_adapter(adapter_names=["other"])
    model(input_ids=ids)
    assert not together


def test_in_bf16_peft_computes(make_model: Callable[..., PeftModel], together: list[int]) -> None:
    make_model("gemma2", precision="bf16")(input_ids=torch.tensor([[3, 4, 5]])).logits.sum().backward()
    assert not together


@pytest.mark.parametrize(
    "settings", [{"rank_pattern": {"k_proj": 3}, "alpha_pattern": {"v_proj": 32}}, {"use_rslora": True}]
)
def test_each_projection_has_its_own_rank_and_scale(settings: dict[str, Any], together: list[int]) -> None:
    torch.manual_seed(0)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=list(ALL_PROJECTIONS), **settings)
    model = get_peft_model(LlamaForCausalLM(LlamaConfig(**COMMON)), config)
    randomise(model, 0)
    group_lora(model)
    assert agree(model)
    assert set(together) == {1, 2, 3}


def test_projections_with_a_bias_are_left_to_peft(together: list[int]) -> None:
    """Qwen 2 has them at query, key and value alone."""
    torch.manual_seed(0)
    model = attach_lora(AutoModelForCausalLM.from_config(Qwen2Config(**COMMON)), LoRA(r=4))
    randomise(model, 0)
    group_lora(model)
    assert agree(model)
    assert set(together) == {1, 2}


def test_some_projections_may_have_adapters(make_model: Callable[..., PeftModel], together: list[int]) -> None:
    model = make_model("gemma2", lora=LoRA(r=4, target_modules=("q_proj", "v_proj", "up_proj")))
    assert agree(model)
    assert set(together) == {1, 2}


class Reading(nn.Module):
    """Two projections, called in as many ways as there are."""

    def __init__(self) -> None:
        super().__init__()
        self.q_proj, self.k_proj = nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False)

    def forward(self, x: Tensor, y: Tensor, how: str) -> Tensor:
        if how == "other inputs":
            return self.q_proj(x) + self.k_proj(y) + self.k_proj(x) * self.k_proj(x)
        if how == "the second first":
            return self.k_proj(x) * self.q_proj(x)
        if how == "the first alone":
            return self.q_proj(x)
        if how == "changed in place":
            return self.q_proj(x).clamp_(-0.1, 0.1) + self.k_proj(x)
        if how == "the second twice, changed in place":
            return self.q_proj(x) + self.k_proj(x).clamp_(-0.1, 0.1) + self.k_proj(x)
        if how == "an input changed in place":
            shifted = x + 1
            read = self.q_proj(shifted).detach()
            return read + self.k_proj(shifted.mul_(2))
        if how == "the second without a graph":
            read = self.q_proj(x)
            with torch.no_grad():
                other = self.k_proj(x)
            return read + other
        raise AssertionError(how)


@pytest.mark.parametrize(
    "how",
    [
        *("other inputs", "the second first", "the first alone", "changed in place", "the second without a graph"),
        *("the second twice, changed in place", "an input changed in place"),
    ],
)
@pytest.mark.parametrize("rows", [3, 0])
def test_however_they_are_called_it_is_as_in_peft(how: str, rows: int) -> None:
    """A group must not take one tensor for another, give an output out twice, or learn from what nobody used."""
    torch.manual_seed(0)
    model = get_peft_model(Reading(), LoraConfig(r=2, target_modules=["q_proj", "k_proj"]))
    randomise(model, 0)
    group_lora(model)
    other = ungrouped(model)
    x, y = torch.randn(2, rows, 8), torch.randn(2, rows, 8)
    for _ in range(2):  # nothing of a call is left for the next
        found, expected = model(x, y, how), other(x, y, how)
        assert torch.allclose(found, expected, atol=1e-6)
        found.sum().backward()
        expected.sum().backward()
        for mine, its in zip(model.parameters(), other.parameters(), strict=True):
            assert (mine.grad is None) == (its.grad is None)
            assert its.grad is None or torch.allclose(mine.grad, its.grad, atol=1e-5)
        with torch.no_grad():
            for parameter in (*model.parameters(), *other.parameters()):
                parameter.mul_(1.5)


def test_grouping_again_changes_nothing_and_a_copy_has_groups_of_its_own(
    make_model: Callable[..., PeftModel], together: list[int]
) -> None:
    model = make_model("llama")
    losses, _ = descend(model)
    first = len(together)
    group_lora(model)
    stored = io.BytesIO()
    torch.save(model, stored)
    stored.seek(0)
    others = [copy.deepcopy(model), torch.load(stored, weights_only=False)]  # the latter as other processes get it
    descend(model)
    assert len(together) == 2 * first
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.zero_()
    for other in others:
        together.clear()
        assert torch.equal(descend(other)[0], losses)
        assert len(together) == first
        with torch.no_grad():
            token_losses(other, pack(ARTICLES, PAD))

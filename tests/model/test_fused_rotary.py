"""Queries and keys turned in fewer passes: losses and gradients are those with transformers' attention layers."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from peft import PeftModel
from random_models import COMMON, PAD, random_article, randomise
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, PreTrainedConfig, Qwen2Config, Qwen3Config
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from kqa_lightning.data.packing import pack
from kqa_lightning.model import fused_rotary
from kqa_lightning.model.attention import KNOWN_ARCHITECTURES, PACKED_SDPA
from kqa_lightning.model.base import LoRA, attach_lora
from kqa_lightning.model.fused_rotary import fuse_rotary
from kqa_lightning.model.loss import token_losses

CONFIGS: dict[str, PreTrainedConfig] = {
    "llama": LlamaConfig(**COMMON),
    "mistral": MistralConfig(**COMMON, sliding_window=None),
    "qwen2": Qwen2Config(**COMMON),
    "qwen3": Qwen3Config(**COMMON),
}
BATCH = pack([random_article(1, 40, [(6, 3), (9, 5), (4, 1)]), random_article(2, 11, [(4, 4), (7, 2)])], PAD)


def test_every_known_architecture_is_here_but_the_one_with_a_cap() -> None:
    assert {*CONFIGS, "gemma2"} == set(KNOWN_ARCHITECTURES)


def make(name: str) -> PeftModel:
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_config(CONFIGS[name], attn_implementation=PACKED_SDPA)
    model = attach_lora(base, LoRA(r=4))
    randomise(model, 0)
    return model


def unfused(model: PeftModel) -> PeftModel:
    """A copy with transformers' own attention layers."""
    copied = copy.deepcopy(model)
    for module in copied.modules():
        if isinstance(module.__dict__.get("forward"), fused_rotary._Forward):
            del module.forward
    return copied


def descend(model: PeftModel) -> tuple[Tensor, dict[str, Tensor]]:
    model.zero_grad()
    losses = token_losses(model, BATCH)
    losses.sum().backward()
    return losses.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@contextmanager
def turned() -> Iterator[list[int]]:
    """How many tensors were turned here, inside."""
    count = [0]
    apply = fused_rotary._Turned.apply

    def counted(*given: Any) -> Any:
        count[0] += 1
        return apply(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused_rotary._Turned, "apply", counted)
        yield count


@pytest.mark.parametrize("name", CONFIGS)
def test_losses_and_gradients_are_those_of_transformers_layers(name: str) -> None:
    model = make(name)
    fuse_rotary(model)
    with turned() as count:
        losses, gradients = descend(model)
    # Queries and keys, but for the last layer, which has a few columns and the keys of all.
    assert count == [2 * (model.config.num_hidden_layers - 1)]
    with turned() as count:
        expected_losses, expected = descend(unfused(model))
    assert count == [0]
    assert torch.allclose(losses, expected_losses, rtol=1e-5, atol=1e-5)
    assert gradients.keys() == expected.keys()
    for tensor, gradient in expected.items():
        assert (gradients[tensor] - gradient).norm() <= 1e-5 * gradient.norm(), tensor


def test_it_turns_as_transformers_does_and_its_gradient_is_that_of_finite_differences() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 2, 4, dtype=torch.float64, requires_grad=True)
    cos, sin = torch.randn(2, 2, 3, 4, dtype=torch.float64)
    expected, _ = apply_rotary_pos_emb(x, x, cos, sin, unsqueeze_dim=2)
    assert torch.allclose(fused_rotary._Turned.apply(x, cos, sin), expected)
    assert torch.autograd.gradcheck(lambda x: fused_rotary._Turned.apply(x, cos, sin), (x,))


def test_without_packed_rows_or_gradients_and_in_bf16_the_layers_are_transformers() -> None:
    model = make("llama")
    fuse_rotary(model)
    with turned() as count:
        model(input_ids=torch.tensor([[3, 4, 5]]))
        with torch.no_grad():
            token_losses(model, BATCH)
        model.to(torch.bfloat16)
        token_losses(model, BATCH)
    assert count == [0]


def test_gemma2s_layers_are_never_told_of_packed_rows(make_model: Callable[..., PeftModel]) -> None:
    with turned() as count:
        descend(make_model("gemma2"))
    assert count == [0]


def test_a_copy_has_layers_of_its_own() -> None:
    model = make("llama")
    fuse_rotary(model)
    copied = copy.deepcopy(model)
    randomise(model, 1)
    losses, gradients = descend(copied)
    expected_losses, expected = descend(unfused(copied))
    assert torch.allclose(losses, expected_losses, rtol=1e-5, atol=1e-5)
    assert all(gradients[name].norm() > 0 for name in expected)

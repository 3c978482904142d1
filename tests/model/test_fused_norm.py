"""Norms in fewer passes give what transformers' give, and are left to it where they would not."""

import copy
import io
from typing import Any, cast

import pytest
import torch
from random_models import COMMON
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

from kqa_lightning.model import fused_norm
from kqa_lightning.model.attention import KNOWN_ARCHITECTURES
from kqa_lightning.model.fused_norm import fuse_norms

CONFIGS: tuple[type[PreTrainedConfig], ...] = (Gemma2Config, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config)
FUSED = "_RMSNormBackward"  # what autograd calls its node


def make(config: type[PreTrainedConfig] = LlamaConfig) -> nn.Module:
    """A frozen model with random norms."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config(**COMMON)).requires_grad_(False)
    for name, parameter in model.named_parameters():
        if "norm" in name:
            parameter.data.normal_(1.0, 0.5)
    return cast(nn.Module, model)


def norms(model: nn.Module) -> list[Any]:
    return [module for module in model.modules() if "Norm" in type(module).__name__]


def x_of(norm: Any, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(2, 7, len(norm.weight), dtype=dtype, requires_grad=True)


def is_fused(norm: Any, x: Tensor) -> bool:
    return type(norm(x).grad_fn).__name__ == FUSED


def test_every_known_architecture_is_here() -> None:
    assert {config.model_type for config in CONFIGS} == set(KNOWN_ARCHITECTURES)


@pytest.mark.parametrize("config", CONFIGS)
def test_output_and_gradient_are_transformers(config: type[PreTrainedConfig]) -> None:
    model = make(config)
    fuse_norms(model)
    assert norms(model)
    for norm in norms(model):
        x = x_of(norm)
        gradient = torch.randn_like(x)
        assert is_fused(norm, x)
        found, expected = norm(x), type(norm).forward(norm, x)
        assert torch.allclose(found, expected, rtol=1e-5, atol=1e-6)
        (of_x,) = torch.autograd.grad(found, x, gradient)
        (expected_of_x,) = torch.autograd.grad(expected, x, gradient)
        assert (of_x - expected_of_x).norm() < 1e-6 * expected_of_x.norm()


def test_the_gradient_is_that_of_finite_differences() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(3, 5, dtype=torch.float64, requires_grad=True), torch.randn(5, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: fused_norm._RMSNorm.apply(x, weight, 1e-3), (x,))


def test_it_is_left_to_transformers_where_it_is_not_fp32_training_with_frozen_norms() -> None:
    model = make()
    fuse_norms(model)
    norm = norms(model)[0]
    with torch.no_grad():
        x = x_of(norm)
        assert torch.equal(norm(x), type(norm).forward(norm, x))
    assert not is_fused(norm, x_of(norm, torch.bfloat16))
    with torch.autocast("cpu", torch.bfloat16):
        assert not is_fused(norm, x_of(norm))
    norm.requires_grad_(True)
    assert not is_fused(norm, x_of(norm))
    norm.requires_grad_(False)
    assert is_fused(norm, x_of(norm))


def test_fusing_again_changes_nothing_and_a_copy_has_norms_of_its_own() -> None:
    model = make()
    fuse_norms(model)
    forwards = [norm.forward for norm in norms(model)]
    fuse_norms(model)
    assert [norm.forward for norm in norms(model)] == forwards
    stored = io.BytesIO()
    torch.save(model, stored)
    stored.seek(0)
    for other in (copy.deepcopy(model), torch.load(stored, weights_only=False)):
        norm, its_own = norms(model)[0], norms(other)[0]
        its_own.weight.mul_(2)
        x = x_of(norm)
        assert is_fused(its_own, x)
        assert torch.allclose(its_own(x), 2 * norm(x))

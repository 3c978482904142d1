"""Losses and gradients of a model beside those of PEFT's own forward."""

import copy

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from random_models import PAD, random_article
from torch import Tensor

from kqa_lightning.data.packing import pack
from kqa_lightning.model.loss import token_losses

ARTICLES = [random_article(1, 40, [(6, 3), (9, 5), (4, 1)]), random_article(2, 11, [(4, 4), (7, 2)])]


def ungrouped(model: PeftModel) -> PeftModel:
    """A copy of the model with PEFT's own forward."""
    copied = copy.deepcopy(model)
    for module in copied.modules():
        if isinstance(module, LoraLayer):
            module.__dict__.pop("forward", None)
    return copied


def descend(model: PeftModel) -> tuple[Tensor, dict[str, Tensor]]:
    """Losses of the articles and the gradient of each adapter tensor."""
    torch.manual_seed(0)  # of dropout
    model.zero_grad()
    losses = token_losses(model, pack(ARTICLES, PAD))
    losses.sum().backward()
    return losses.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def agree(model: PeftModel) -> bool:
    """Whether losses and gradients are PEFT's own, but for rounding."""
    losses, gradients = descend(model)
    expected_losses, expected = descend(ungrouped(model))
    assert torch.allclose(losses, expected_losses, rtol=1e-5, atol=1e-5)
    assert gradients.keys() == expected.keys()
    return all((gradients[name] - one).norm() <= 1e-5 * one.norm() for name, one in expected.items())

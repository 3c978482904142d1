"""The loss of a large vocabulary is PyTorch's own, gradients and soft cap included."""

from collections.abc import Callable
from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F
from peft import PeftModel
from random_models import PAD, random_article

from kqa_lightning.data.packing import pack
from kqa_lightning.model import head_loss, loss
from kqa_lightning.model.head_loss import cross_entropy, uncapped
from kqa_lightning.model.loss import token_losses

ROWS, WORDS = 11, 300


def inputs(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits up to some 40, labels, and what the losses are weighed by."""
    generator = torch.Generator().manual_seed(0)
    logits = 12 * torch.randn(ROWS, WORDS, generator=generator)
    labels = torch.randint(WORDS, (ROWS,), generator=generator)
    return logits.to(dtype), labels, torch.rand(ROWS, generator=generator)


@pytest.mark.parametrize("at_once", [1, 4 * WORDS, 1 << 18])
@pytest.mark.parametrize("softcap", [None, 30.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_losses_and_gradients(
    dtype: torch.dtype, softcap: float | None, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head_loss, "_CPU_LOGITS", at_once)
    logits, labels, weights = inputs(dtype)
    whole = logits.double().requires_grad_()
    capped = whole if softcap is None else softcap * torch.tanh(whole / softcap)
    expected = F.cross_entropy(capped, labels, reduction="none")
    (expected * weights).sum().backward()
    assert whole.grad is not None

    found = logits.clone().requires_grad_()
    losses = cross_entropy(1 * found, labels, softcap)
    (losses * weights).sum().backward()
    assert losses.dtype == torch.float32 and found.grad is not None and found.grad.dtype == dtype
    torch.testing.assert_close(losses, expected.float().detach(), rtol=1e-6, atol=1e-5)
    tolerance = 1e-6 if dtype == torch.float32 else 1e-2
    torch.testing.assert_close(found.grad.double(), whole.grad, rtol=tolerance, atol=tolerance)


def test_logits_stay_where_nothing_is_learned() -> None:
    logits, labels, _ = inputs(torch.float32)
    before = logits.clone()
    with torch.no_grad():
        losses = cross_entropy(logits, labels)
    torch.testing.assert_close(losses, F.cross_entropy(before, labels, reduction="none"))
    assert logits.equal(before)


def test_a_second_backward_pass_is_refused() -> None:
    logits, labels, _ = inputs(torch.float32)
    total = cross_entropy(1 * logits.requires_grad_(), labels).sum()
    total.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()


def test_a_second_derivative_is_refused() -> None:
    logits, labels, _ = inputs(torch.float32)
    losses = cross_entropy(1 * logits.requires_grad_(), labels)
    (gradient,) = torch.autograd.grad(losses.square().sum(), logits, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_no_rows() -> None:
    logits = torch.zeros(0, WORDS, requires_grad=True)
    losses = cross_entropy(1 * logits, torch.zeros(0, dtype=torch.long))
    losses.sum().backward()
    assert losses.shape == (0,) and logits.grad is not None


@pytest.mark.parametrize(
    ("dtype", "cast_to", "words", "in_place"),
    [
        (torch.float32, None, 97, True),
        (torch.bfloat16, None, 97, True),
        (torch.float16, None, 97, False),
        (torch.float32, None, 98, False),
        (torch.float32, torch.bfloat16, 97, True),
        (torch.float32, torch.float16, 97, False),
        (torch.bfloat16, torch.float16, 97, False),
    ],
)
def test_where_it_is_used(
    make_model: Callable[..., PeftModel],
    dtype: torch.dtype,
    cast_to: torch.dtype | None,
    words: int,
    in_place: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From so many words on, and never in fp16, where gradients are to be multiplied before they are rounded.

    Be it the base's type or the one that the trainer casts to, as ``--trainer.precision 16-mixed`` does.
    """
    used = []

    def noted(*arguments: torch.Tensor) -> torch.Tensor:
        used.append(True)
        return cross_entropy(*arguments)

    monkeypatch.setattr(loss, "_LARGE", words)
    monkeypatch.setattr(loss, "cross_entropy", noted)
    model = make_model("llama", "none").to(dtype)
    with nullcontext() if cast_to is None else torch.autocast("cpu", cast_to):
        assert token_losses(model, pack([random_article(3, 30, [(5, 2)])], PAD)).dtype == torch.float32
    assert bool(used) == in_place


@pytest.mark.parametrize("family", ["gemma2", "llama"])
def test_of_a_model(make_model: Callable[..., PeftModel], family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a vocabulary that is small enough for PyTorch's own loss."""
    model = make_model(family, "nf4")
    batch = pack([random_article(3, 30, [(5, 2)]), random_article(4, 11, [(4, 4), (7, 2), (2, 1)])], PAD)
    losses, gradients = [], []
    for large in (1 << 15, 0):
        monkeypatch.setattr(loss, "_LARGE", large)
        model.zero_grad()
        found = token_losses(model, batch)
        found.mean().backward()
        losses.append(found.detach())
        gradients.append([one.grad.clone() for one in model.parameters() if one.grad is not None])
    torch.testing.assert_close(losses[1], losses[0])
    assert len(gradients[0]) > 0
    for one, other in zip(*gradients, strict=True):
        assert (one - other).norm() <= 1e-5 * other.norm()
    assert getattr(model.config, "final_logit_softcapping", None) == (10.0 if family == "gemma2" else None)


def test_the_cap_comes_back_after_an_error(make_model: Callable[..., PeftModel]) -> None:
    config = make_model("gemma2", "none").config
    with pytest.raises(KeyError), uncapped(config) as softcap:
        assert softcap == 10.0 and config.final_logit_softcapping is None
        raise KeyError
    assert config.final_logit_softcapping == 10.0

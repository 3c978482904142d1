"""Scores in base 2 give the softmax, and the derivative, of scores capped by tanh and masked as they are written."""

import pytest
import torch

from kqa_lightning.model.scores import cap_slope, masked_scores

UNSEEN = torch.finfo(torch.float32).min


def products_and_mask() -> tuple[torch.Tensor, torch.Tensor]:
    """Products of two heads, five queries and seven keys, from tiny to far beyond a cap; some keys are not seen."""
    torch.manual_seed(0)
    products = torch.randn(2, 5, 7) * torch.tensor([1e-3, 1.0, 10.0, 100.0, 1000.0])[:, None]
    return products, torch.full((5, 7), UNSEEN).triu(3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("softcap", [None, 5.0, 50.0])
def test_the_powers_of_two_are_softmax(softcap: float | None, dtype: torch.dtype) -> None:
    products, mask = products_and_mask()
    exact = products.double() * 0.3
    exact = exact if softcap is None else softcap * (exact / softcap).tanh()
    expected = (exact + mask).softmax(-1)

    scores, _ = masked_scores(products, mask.clamp(torch.finfo(dtype).min).to(dtype), 0.3, softcap)
    weights = (scores - scores.amax(-1, keepdim=True)).exp2()

    torch.testing.assert_close(weights / weights.sum(-1, keepdim=True), expected.float(), rtol=2e-5, atol=1e-7)
    assert (weights[:, mask == UNSEEN] == 0).all()


@pytest.mark.parametrize("softcap", [5.0, 50.0])
def test_the_slope_is_that_of_the_cap(softcap: float) -> None:
    products, mask = products_and_mask()
    scaled = (products.double() * 0.3).requires_grad_()
    (softcap * (scaled / softcap).tanh()).sum().backward()  # type: ignore[no-untyped-call]

    _, sigmoid = masked_scores(products, mask, 0.3, softcap)

    assert sigmoid is not None and scaled.grad is not None
    torch.testing.assert_close(cap_slope(sigmoid), scaled.grad.float(), rtol=1e-5, atol=1e-6)

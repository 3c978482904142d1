"""Attention in parts against one masked attention in fp64, and the kernel beneath it against PyTorch's public one."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import LlamaConfig

from kqa_lightning.model.masks import attention_mask
from kqa_lightning.model.packed_parts import PackedRow, _attention, _attention_backward, attend_in_parts, packed_rows

HEADS, WIDTH, SCALING = 2, 16, 0.3
ROWS = {
    "an article and two questions": [PackedRow(40, (52, 61))],
    "rows of different lengths": [PackedRow(90, (97,)), PackedRow(5, (30, 31, 99)), PackedRow(20, ())],
    "an article of one token, questions of one token": [PackedRow(1, (2, 3))],
    "no article": [PackedRow(0, (7, 12))],
    "nothing but padding": [PackedRow(3, (9,)), PackedRow(0, ())],
    "longer than the kernel's blocks": [PackedRow(900, (1000, 1070, 1300))],
}


def segments_of(rows: list[PackedRow]) -> Tensor:
    """int64 [rows, columns], a column of padding after the longest."""
    columns = 1 + max(max((row.article, *row.questions)) for row in rows)
    segments = torch.full((len(rows), columns), -1)
    for place, row in enumerate(rows):
        start = 0
        for segment, end in enumerate((row.article, *row.questions)):
            segments[place, start:end] = segment
            start = end
    return segments


def masked(query: Tensor, key: Tensor, value: Tensor, segments: Tensor, scaling: float = SCALING) -> Tensor:
    """What a column sees, written out: columns before it, of the article or of its own question."""
    columns = segments.shape[1]
    other, own = segments[:, None, :], segments[:, :, None]
    seen = ((other == 0) | (other == own)) & (torch.arange(columns) <= torch.arange(columns)[:, None]) & (other >= 0)
    scores = (query @ key.transpose(2, 3) * scaling).masked_fill(~seen[:, None], -1e30)
    return scores.softmax(-1) @ value * (segments >= 0)[:, None, :, None]


def tensors(segments: Tensor, dtype: torch.dtype = torch.float32, width: int = WIDTH) -> list[Tensor]:
    """Queries, keys, values and an output's gradient, columns before heads in memory as transformers has them."""
    generator = torch.Generator().manual_seed(0)
    shape = (*segments.shape, HEADS, width)
    return [torch.randn(shape, generator=generator).transpose(1, 2).to(dtype) for _ in range(4)]


def differentiated(output: Tensor, inputs: list[Tensor], gradient: Tensor) -> list[Tensor]:
    return [output, *torch.autograd.grad(output, inputs, gradient)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", ROWS)
def test_output_and_gradients_are_those_of_masked_attention(name: str, dtype: torch.dtype) -> None:
    segments = segments_of(ROWS[name])
    assert packed_rows(segments) == tuple(ROWS[name])
    *inputs, gradient = tensors(segments, dtype)
    inputs = [one.requires_grad_() for one in inputs]
    gradient = gradient * (segments >= 0)[:, None, :, None]  # nobody reads padding
    found = differentiated(attend_in_parts(*inputs, ROWS[name], SCALING), inputs, gradient)
    exact = [one.detach().double().requires_grad_() for one in inputs]
    expected = differentiated(masked(*exact, segments), exact, gradient.double())
    tolerance = {torch.float64: 1e-13, torch.float32: 1e-6, torch.bfloat16: 1e-2}[dtype]
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == dtype
        assert (one.double() - other).norm() <= tolerance * other.norm()


def test_what_all_keys_have_in_common_costs_little_more_accuracy_than_in_pytorchs_masked_attention() -> None:
    """The kernel's gradients count on it to cancel, which takes parts whose weights sum to 1."""
    rows, scaling = [PackedRow(300, (340, 400, 405))], 0.125
    segments = segments_of(rows)
    query, key, value, gradient = tensors(segments, width=64)
    common = torch.randn(64, generator=torch.Generator().manual_seed(1))
    common *= 120 / common.norm()
    given = [query + common, key + common, value]
    gradient = gradient * (segments >= 0)[:, None, :, None]
    exact = [one.double().requires_grad_() for one in given]
    truth = torch.autograd.grad(masked(*exact, segments, scaling), exact, gradient.double())[0]
    mask = attention_mask(LlamaConfig(), segments, torch.arange(segments.shape[1])[None], torch.float32)
    inputs = [one.requires_grad_() for one in given]
    whole = F.scaled_dot_product_attention(*inputs, attn_mask=mask, scale=scaling)
    errors = [
        (torch.autograd.grad(output, inputs, gradient)[0].double() - truth).norm()
        for output in (attend_in_parts(*inputs, rows, scaling), whole)
    ]
    assert errors[0] < 2.5 * errors[1]  # 1.7; by weights that are rounded each by itself 5.9


def test_another_question_changes_nothing_of_those_beside_it() -> None:
    rows = [PackedRow(70, (100, 140, 150))]
    *inputs, _ = tensors(segments_of(rows))
    first = attend_in_parts(*inputs, rows, SCALING)
    for one in inputs:
        one[:, :, 70:100] = torch.randn(one[:, :, 70:100].shape)
    second = attend_in_parts(*inputs, rows, SCALING)
    assert torch.equal(first[:, :, :70], second[:, :, :70])
    assert torch.equal(first[:, :, 100:], second[:, :, 100:])
    assert not torch.equal(first[:, :, 70:100], second[:, :, 70:100])


def test_the_output_lies_in_memory_as_transformers_reads_it() -> None:
    rows = [PackedRow(5, (9,))]
    *inputs, _ = tensors(segments_of(rows))
    assert attend_in_parts(*inputs, rows, SCALING).transpose(1, 2).is_contiguous()


@pytest.mark.parametrize("is_causal", [True, False])
def test_the_kernel_is_that_of_pytorchs_public_function(is_causal: bool) -> None:
    """It has no public name: this notices where PyTorch changes what it takes, gives or means."""
    *inputs, gradient = tensors(torch.zeros(2, 150))
    inputs = [one.requires_grad_() for one in inputs]
    public = F.scaled_dot_product_attention(*inputs, is_causal=is_causal, scale=SCALING)
    expected = differentiated(public, inputs, gradient)
    query, key, value = (one.detach() for one in inputs)
    output, sums = _attention(query, key, value, 0.0, is_causal, scale=SCALING)
    found = _attention_backward(gradient, query, key, value, output, sums, 0.0, is_causal, scale=SCALING)
    for one, other in zip((output, *found), expected, strict=True):
        assert torch.equal(one, other)
    scores = query @ key.transpose(2, 3) * SCALING
    if is_causal:
        scores = scores.masked_fill(torch.ones(150, 150).triu(1).bool(), -torch.inf)
    assert torch.allclose(sums, scores.logsumexp(-1), atol=1e-5)

"""Attention of packed rows in parts, none of which has a mask: for training on a CPU without a soft cap.

A mask's zeros are computed like the rest: of an article with six questions, a third of all scores. Here an article sees
itself, all questions on it see the article, and each question sees itself; the parts are joined by their log-sums. The
gradients of a part are those that its kernel gives for the joint output and log-sums (Liu et al., "Ring Attention",
2023, who divide a text among devices so). PyTorch's public function keeps the log-sums to itself, so the kernel beneath
it is called.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from kqa_lightning.model.masks import ARTICLE, PADDING

_attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default
_attention_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward.default


class PackedRow(NamedTuple):
    """Where an article ends, and each of its questions after it."""

    article: int
    questions: tuple[int, ...]


def packed_rows(segments: Tensor) -> tuple[PackedRow, ...]:
    """What stands in each row of segments, int64 [rows, columns], padded on their right."""
    rows = []
    for row in segments:
        kinds, counts = row.unique_consecutive(return_counts=True)
        ends = dict(zip(kinds.tolist(), counts.cumsum(0).tolist(), strict=True))
        ends.pop(PADDING, None)
        rows.append(PackedRow(ends.pop(ARTICLE, 0), tuple(ends.values())))
    return tuple(rows)


def attend_in_parts(query: Tensor, key: Tensor, value: Tensor, rows: Sequence[PackedRow], scaling: float) -> Tensor:
    """Attention of packed rows, [rows, heads, columns, width] like each of its inputs; zeros for padding."""
    return cast(Tensor, _Parts.apply(query, key, value, rows, scaling))


def _apart(row: PackedRow, *tensors: Tensor) -> Iterator[list[Tensor]]:
    """Of tensors [rows, heads, columns, ...] the article's columns, then each question's; nothing that is empty."""
    ends = (0, row.article, *row.questions)
    sizes = [end - start for start, end in pairwise(ends)]
    of_each = (one.narrow(2, 0, ends[-1]).split_with_sizes(sizes, 2) for one in tensors)
    return (parts for size, *parts in zip(sizes, *of_each, strict=True) if size)


def _questions(row: PackedRow, *tensors: Tensor) -> Iterator[Tensor]:
    """Of tensors [rows, heads, columns, ...] the columns of all questions."""
    return (one.narrow(2, row.article, (row.article, *row.questions)[-1] - row.article) for one in tensors)


def _article(row: PackedRow, *tensors: Tensor) -> Iterator[Tensor]:
    """Of tensors [rows, heads, columns, ...] the columns of the article."""
    return (one.narrow(2, 0, row.article) for one in tensors)


class _Parts(torch.autograd.Function):
    """The output, its log-sums [rows, heads, columns] kept for the backward pass."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, rows: Sequence[PackedRow], scaling: float
    ) -> Tensor:
        # Columns before heads in memory: transformers reads it so.
        output = torch.empty_like(query.transpose(1, 2), memory_format=torch.contiguous_format).transpose(1, 2)
        _clear_padding(rows, output)
        logsums = torch.empty(query.shape[:3], dtype=torch.promote_types(query.dtype, torch.float32))
        for place, row in enumerate(rows):
            q, k, v, out, sums = (one.narrow(0, place, 1) for one in (query, key, value, output, logsums))
            for *given, its_out, its_sums in _apart(row, q, k, v, out, sums):
                found, found_sums = _attention(*given, 0.0, True, scale=scaling)
                its_out.copy_(found)
                its_sums.copy_(found_sums)
            if row.article and row.questions:
                asking, its_out, its_sums = _questions(row, q, out, sums)
                _join(its_out, its_sums, *_attention(asking, *_article(row, k, v), 0.0, False, scale=scaling))
        ctx.save_for_backward(query, key, value, output, logsums)
        ctx.rows, ctx.scaling = rows, scaling
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, output, logsums = ctx.saved_tensors
        scaling = ctx.scaling
        of_all = [torch.empty_like(one) for one in (query, key, value)]
        _clear_padding(ctx.rows, *of_all)
        for place, row in enumerate(ctx.rows):
            given = (*gradients, query, key, value, output, logsums)
            gradient, q, k, v, out, sums = (one.narrow(0, place, 1) for one in given)
            of_row = [one.narrow(0, place, 1) for one in of_all]
            own = zip(_apart(row, *of_row), _apart(row, gradient, q, k, v, out, sums), strict=True)
            for of_part, part in own:
                for of_one, found in zip(of_part, _attention_backward(*part, 0.0, True, scale=scaling), strict=True):
                    of_one.copy_(found)
            if row.article and row.questions:
                of_asking, its_gradient, asking, its_out, its_sums = _questions(row, of_row[0], gradient, q, out, sums)
                seen = _article(row, k, v)
                more = _attention_backward(its_gradient, asking, *seen, its_out, its_sums, 0.0, False, scale=scaling)
                for of_one, found in zip((of_asking, *_article(row, *of_row[1:])), more, strict=True):
                    of_one.add_(found)
        return (*of_all, None, None)


def _clear_padding(rows: Sequence[PackedRow], *tensors: Tensor) -> None:
    """Zero what no part computes, in tensors [rows, heads, columns, width]."""
    for place, (article, questions) in enumerate(rows):
        end = (article, *questions)[-1]
        for tensor in tensors:
            if end < tensor.shape[2]:
                tensor[place, :, end:].zero_()


def _join(output: Tensor, logsums: Tensor, more: Tensor, more_logsums: Tensor) -> None:
    """Add attention to other keys to attention that there is.

    One weight is what the other leaves of 1, rounding included: the kernel's gradients take them to sum to it.
    """
    weight = (more_logsums - logsums).sigmoid_()[..., None]
    output.copy_(output.to(weight.dtype).lerp(more.to(weight.dtype), weight))
    logsums.copy_(torch.logaddexp(logsums, more_logsums))

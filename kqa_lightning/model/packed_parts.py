"""Attention of packed rows in parts, none of which has a mask: for training on a CPU without a soft cap.

A mask's zeros are computed like the rest: of an article with six questions, a third of all scores. Here an article sees
itself, all questions on it see the article, and each question sees itself; the parts are joined by their log-sums. The
gradients of a part are those that its kernel gives for the joint output and log-sums (Liu et al., "Ring Attention",
2023, who divide a text among devices so). PyTorch's public function keeps the log-sums to itself, so the kernel beneath
it is called.
"""

from collections.abc import Iterator, Sequence
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


class _Span(NamedTuple):
    """Columns one after the other."""

    start: int
    length: int

    def of(self, tensor: Tensor) -> Tensor:
        """Theirs of a tensor [rows, heads, columns, ...]."""
        return tensor.narrow(2, self.start, self.length)


class _Part(NamedTuple):
    """Columns of a row that see some of its columns: all of these, or themselves, each what stands before it."""

    queries: _Span
    keys: _Span
    is_causal: bool


def _parts(row: PackedRow) -> Iterator[_Part]:
    """The article and its questions by themselves; last, what the questions see of the article."""
    start = 0
    for end in (row.article, *row.questions):
        if end > start:
            yield _Part(_Span(start, end - start), _Span(start, end - start), is_causal=True)
        start = end
    if row.questions and row.article:
        yield _Part(_Span(row.article, start - row.article), _Span(0, row.article), is_causal=False)


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
            for queries, keys, is_causal in _parts(row):
                found, its_sums = _attention(queries.of(q), keys.of(k), keys.of(v), 0.0, is_causal, scale=scaling)
                if is_causal:
                    queries.of(out).copy_(found)
                    queries.of(sums).copy_(its_sums)
                else:
                    _join(queries.of(out), queries.of(sums), found, its_sums)
        ctx.save_for_backward(query, key, value, output, logsums)
        ctx.rows, ctx.scaling = rows, scaling
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, output, logsums = ctx.saved_tensors
        of_all = [torch.empty_like(one) for one in (query, key, value)]
        _clear_padding(ctx.rows, *of_all)
        for place, row in enumerate(ctx.rows):
            given = (*gradients, query, key, value, output, logsums)
            gradient, q, k, v, out, sums = (one.narrow(0, place, 1) for one in given)
            of_row = [one.narrow(0, place, 1) for one in of_all]
            for queries, keys, is_causal in _parts(row):
                found = _attention_backward(
                    *(queries.of(gradient), queries.of(q), keys.of(k), keys.of(v), queries.of(out), queries.of(sums)),
                    *(0.0, is_causal),
                    scale=ctx.scaling,
                )
                for of_one, seen, more in zip(of_row, (queries, keys, keys), found, strict=True):
                    whole = seen.of(of_one)
                    whole.copy_(more) if is_causal else whole.add_(more)
        return (*of_all, None, None)


def _clear_padding(rows: Sequence[PackedRow], *tensors: Tensor) -> None:
    """Zero what no part computes, in tensors [rows, heads, columns, width]."""
    for place, (article, questions) in enumerate(rows):
        for tensor in tensors:
            tensor[place, :, (article, *questions)[-1] :].zero_()


def _join(output: Tensor, logsums: Tensor, more: Tensor, more_logsums: Tensor) -> None:
    """Add attention to other keys to attention that there is.

    One weight is what the other leaves of 1, rounding included: the kernel's gradients take them to sum to it.
    """
    weight = (more_logsums - logsums).sigmoid_()[..., None]
    output.copy_(output.to(weight.dtype).lerp(more.to(weight.dtype), weight))
    logsums.copy_(torch.logaddexp(logsums, more_logsums))

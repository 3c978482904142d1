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

_attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_attention_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


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


class _Part(NamedTuple):
    """Queries of a row that see some of its keys."""

    row: slice
    queries: slice
    keys: slice
    is_causal: bool

    def of(self, tensor: Tensor) -> Tensor:
        """Their share of a tensor [rows, heads, columns, ...]."""
        return tensor[self.row, :, self.queries]


def _parts(rows: Sequence[PackedRow]) -> Iterator[_Part]:
    """What sees itself, article and questions; last of each row, what the questions see of the article."""
    for place, (article, questions) in enumerate(rows):
        row, start = slice(place, place + 1), 0
        for end in (article, *questions):
            if end > start:
                yield _Part(row, slice(start, end), slice(start, end), is_causal=True)
            start = end
        if questions and article:
            yield _Part(row, slice(article, start), slice(0, article), is_causal=False)


class _Parts(torch.autograd.Function):
    """The output, its log-sums [rows, heads, columns] kept for the backward pass."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, rows: Sequence[PackedRow], scaling: float
    ) -> Tensor:
        # Columns before heads in memory: transformers reads it so.
        output = torch.zeros_like(query.transpose(1, 2), memory_format=torch.contiguous_format).transpose(1, 2)
        logsums = torch.zeros(*query.shape[:3], dtype=torch.float32)
        for part in _parts(rows):
            keys, values = (one[part.row, :, part.keys] for one in (key, value))
            found, sums = _attention(part.of(query), keys, values, 0.0, part.is_causal, scale=scaling)
            if part.is_causal:
                part.of(output).copy_(found)
                part.of(logsums).copy_(sums)
            else:
                _join(part.of(output), part.of(logsums), found, sums)
        ctx.save_for_backward(query, key, value, output, logsums)
        ctx.rows, ctx.scaling = rows, scaling
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, output, logsums = ctx.saved_tensors
        (gradient,) = gradients
        of_all = [torch.zeros_like(one) for one in (query, key, value)]
        for part in _parts(ctx.rows):
            keys, values = (one[part.row, :, part.keys] for one in (key, value))
            found = _attention_backward(
                *(part.of(gradient), part.of(query), keys, values, part.of(output), part.of(logsums)),
                *(0.0, part.is_causal),
                scale=ctx.scaling,
            )
            for of_one, seen, more in zip(of_all, (part.queries, part.keys, part.keys), found, strict=True):
                whole = of_one[part.row, :, seen]
                whole.copy_(more) if part.is_causal else whole.add_(more)
        return (*of_all, None, None)


def _join(output: Tensor, logsums: Tensor, more: Tensor, more_logsums: Tensor) -> None:
    """Add attention to other keys to attention that there is."""
    joint = torch.logaddexp(logsums, more_logsums)
    weighted = output.float() * (logsums - joint).exp_()[..., None]
    output.copy_(weighted.addcmul_(more.float(), (more_logsums - joint).exp_()[..., None]))
    logsums.copy_(joint)

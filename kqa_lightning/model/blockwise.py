"""Exact attention in blocks of queries, each with the keys that one of its queries sees: for training on a CPU.

Eager attention makes a dozen tensors of [heads, queries, keys], each larger than any cache, and computes what the mask
throws away: with articles shared by their questions that is a third to a half. Here a block's scores stay in the
cache, keys that no query of the block sees are left out, and the backward pass computes the scores again (Dao et al.,
"FlashAttention", 2022, whose GPU kernels know no soft cap; the derivative of the cap is ours).
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, eager_mask
from transformers.models.gemma2.modeling_gemma2 import eager_attention_forward as capped_eager

from kqa_lightning.model.attention import BLOCKWISE
from kqa_lightning.model.scores import cap_slope, masked_scores

BLOCK = 64  # queries: 4 heads by 2,000 keys are then 2 MB
_DENSE_BELOW = 64  # queries: of a token or a short question there is nothing to divide


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers calls it.

    Args:
        module: The attention layer.
        query: [rows, heads, queries, width].
        key: [rows, key heads, keys, width]; heads are a multiple of key heads.
        value: As ``key``.
        attention_mask: [rows, 1, queries, keys]; 0, or as low as its type allows for what is not seen.
        scaling: Of the scores; one over the root of the width if not given.
        dropout: Of the attention weights; only 0 is computed.
        softcap: Bound c of the scores s, which become c tanh(s / c).
        kwargs: What other implementations take.

    Returns:
        [rows, queries, heads, width], and no attention weights. A query that sees nothing, as padding may, has no
        defined output.

    Raises:
        ValueError: without a mask, or with dropout.
    """
    if attention_mask is None or dropout:
        raise ValueError("blockwise attention needs an additive mask and has no dropout of attention weights")
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    if query.shape[2] < _DENSE_BELOW:
        return capped_eager(module, query, key, value, attention_mask, scaling=scaling, softcap=softcap)[0], None
    mask = attention_mask.expand(query.shape[0], 1, -1, -1)[:, 0]
    return _Blockwise.apply(query, key, value, mask, scaling, softcap).transpose(1, 2), None


AttentionInterface.register(BLOCKWISE, attend)
AttentionMaskInterface.register(BLOCKWISE, eager_mask)  # for who calls the model without our masks


class _Blockwise(torch.autograd.Function):
    """[rows, heads, queries, width] from queries, keys, values and an additive mask [rows, queries, keys]."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float, softcap: float | None
    ) -> Tensor:
        output = torch.zeros_like(query)
        logsums = query.new_zeros(query.shape[:3], dtype=torch.float32)
        ctx.blocks = list(_blocks(mask))
        for row, block, seen in ctx.blocks:
            keys, values = key[row, :, seen], value[row, :, seen]
            scores, _ = _scores(query[row, :, block], keys, mask[row, block][:, seen], scaling, softcap)
            highest = scores.amax(-1, keepdim=True)
            weights = scores.sub_(highest).exp2_()
            sums = weights.sum(-1, keepdim=True)
            mixed = _per_key_head(weights.to(value.dtype), len(values)).matmul(values)
            output[row, :, block] = mixed.view(*sums.shape[:2], -1) / sums
            logsums[row, :, block] = (highest + sums.log2())[..., 0]
        ctx.save_for_backward(query, key, value, mask, output, logsums)
        ctx.scaling, ctx.softcap = scaling, softcap
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None, None]:
        query, key, value, mask, output, logsums = ctx.saved_tensors
        (gradient,) = gradients
        of_query = torch.zeros_like(query)
        # Many blocks add to these, which in bf16 would be rounded each time.
        of_key, of_value = (torch.zeros_like(one, dtype=torch.float32) for one in (key, value))
        inner = (gradient * output).sum(-1, dtype=torch.float32)
        for row, block, seen in ctx.blocks:
            keys, values, queries = key[row, :, seen], value[row, :, seen], query[row, :, block]
            groups = keys.shape[0]
            scores, sigmoid = _scores(queries, keys, mask[row, block][:, seen], ctx.scaling, ctx.softcap)
            weights = scores.sub_(logsums[row, :, block][..., None]).exp2_()
            outer = _per_key_head(gradient[row, :, block], groups)
            of_value[row, :, seen] += _per_key_head(weights, groups).transpose(1, 2).to(outer.dtype).matmul(outer)
            of_scores = outer.matmul(values.transpose(1, 2)).view_as(weights).float()
            of_scores = of_scores.sub_(inner[row, :, block][..., None]).mul_(weights)
            if sigmoid is not None:
                of_scores.mul_(cap_slope(sigmoid))
            of_scores = _per_key_head(of_scores.mul_(ctx.scaling).to(query.dtype), groups)
            of_query[row, :, block] = of_scores.matmul(keys).view_as(queries)
            of_key[row, :, seen] += of_scores.transpose(1, 2).matmul(_per_key_head(queries, groups))
        return of_query, of_key.to(key.dtype), of_value.to(value.dtype), None, None, None


def _blocks(mask: Tensor) -> Iterator[tuple[int, slice, slice | Tensor]]:
    """Of a mask [rows, queries, keys]: each row's blocks of queries, and the keys that any query of a block sees."""
    visible = mask > torch.finfo(mask.dtype).min
    for row in range(mask.shape[0]):
        for start in range(0, mask.shape[1], BLOCK):
            block = slice(start, start + BLOCK)
            seen = visible[row, block].any(0).nonzero()[:, 0]
            if not len(seen):
                continue
            first, last = seen[0].item(), seen[-1].item()
            # Keys that stand side by side are a view, no copy.
            yield row, block, slice(int(first), int(last) + 1) if last - first < len(seen) else seen


def _scores(
    queries: Tensor, keys: Tensor, mask: Tensor, scaling: float, softcap: float | None
) -> tuple[Tensor, Tensor | None]:
    """`masked_scores` of [heads, queries, width] and [key heads, keys, width]: fp32 [heads, queries, keys]."""
    products = _per_key_head(queries, keys.shape[0]).matmul(keys.transpose(1, 2))
    return masked_scores(products.view(queries.shape[0], -1, keys.shape[1]).float(), mask, scaling, softcap)


def _per_key_head(tensor: Tensor, groups: int) -> Tensor:
    """[heads, queries, columns] as [key heads, heads of each times queries, columns]."""
    return tensor.reshape(groups, -1, tensor.shape[-1])

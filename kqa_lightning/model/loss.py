"""The loss of the supervised tokens of packed articles."""

from contextlib import nullcontext
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from peft import PeftModel
from torch import Tensor

from kqa_lightning.model.head_loss import cross_entropy, uncapped
from kqa_lightning.model.last_layer import can_narrow, first_columns, last_layer_at
from kqa_lightning.model.masks import Mask, attention_mask
from kqa_lightning.model.packed_sdpa import layout_of

if TYPE_CHECKING:
    from kqa_lightning.data.packing import PackedBatch

UNSUPERVISED = -100
_LARGE = 1 << 15  # words of a vocabulary from which on their logits are what takes memory


def token_losses(model: PeftModel, batch: "PackedBatch") -> Tensor:
    """Negative log-likelihood of each supervised token, fp32 [supervised], row by row and in the order of the row.

    The language-model head runs on the supervised positions alone (``logits_to_keep``): no tensor of all positions
    times the vocabulary is made, which for 256,000 words is most of the memory and time of a step. So does the last
    layer, but for its keys and values, where it can. The labels stay here: transformers' ``shift_labels`` gives their
    sum alone, and an answer's share of a loss, or a gradient in the memory of the logits, needs each.
    """
    supervised = batch.labels != UNSUPERVISED
    dtype = cast(Tensor, model.get_input_embeddings().weight).dtype
    columns, kept = first_columns(supervised) if can_narrow(model) else (None, supervised)
    layout = layout_of(model.config, batch.segments)
    mask = _mask(model, batch, columns, dtype, is_read="packed_rows" not in layout)
    last_mask = cast(Tensor, mask) if "packed_rows" in layout else None
    is_large = model.config.get_text_config().vocab_size >= _LARGE and not _has_half_logits(model, dtype)
    narrowed = nullcontext() if columns is None else last_layer_at(model, columns, last_mask)
    with narrowed, uncapped(model.config) if is_large else nullcontext() as softcap:
        logits = model(
            input_ids=batch.input_ids,
            attention_mask=mask,
            position_ids=batch.position_ids,
            logits_to_keep=kept,
            use_cache=False,
            **layout,
        ).logits
    if is_large:
        return cross_entropy(logits, batch.labels[supervised], softcap)
    return F.cross_entropy(logits.float(), batch.labels[supervised], reduction="none")


def _mask(
    model: PeftModel, batch: "PackedBatch", columns: Tensor | None, dtype: torch.dtype, *, is_read: bool
) -> Mask | dict[str, Mask]:
    """The model's mask: of all columns, which takes as long as a projection, or of those that are to be masked.

    Args:
        model: What is to read it.
        batch: What is read.
        columns: int64 [rows, wanted], what a narrowed last layer computes.
        dtype: Of the mask.
        is_read: Whether the other layers read it; otherwise it is that of the last layer's columns, or, where that is
            whole, of a column, since transformers makes one of its own if there is none.
    """
    segments, positions = batch.segments, batch.position_ids
    if is_read:
        return attention_mask(model.config, segments, positions, dtype)
    queries = torch.zeros_like(segments[:, :1]) if columns is None else columns
    return attention_mask(
        model.config,
        segments.gather(1, queries),
        positions.gather(1, queries),
        dtype,
        key_segments=segments,
        key_position_ids=positions,
    )


def _has_half_logits(model: PeftModel, dtype: torch.dtype) -> bool:
    """Whether the head's output is fp16, because the base is or because the trainer casts to it."""
    device = model.device.type
    if torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device) == torch.float16
    return dtype == torch.float16

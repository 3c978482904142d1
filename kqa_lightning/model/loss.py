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
    mask, last_mask = _masks(model, batch, columns if "packed_rows" in layout else None, dtype)
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


def _masks(
    model: PeftModel, batch: "PackedBatch", columns: Tensor | None, dtype: torch.dtype
) -> tuple[Mask | dict[str, Mask], Tensor | None]:
    """The model's mask, and that of its last layer where this has one of its own.

    Args:
        model: What is to read them.
        batch: What is read.
        columns: int64 [rows, wanted], what the last layer computes where it is the only one that reads a mask: that of
            all columns would take as long as a projection.
        dtype: Of the mask.
    """
    segments, positions = batch.segments, batch.position_ids
    if columns is None:
        return attention_mask(model.config, segments, positions, dtype), None
    mask = attention_mask(
        model.config,
        segments.gather(1, columns),
        positions.gather(1, columns),
        dtype,
        key_segments=segments,
        key_position_ids=positions,
    )
    return mask, cast(Tensor, mask)


def _has_half_logits(model: PeftModel, dtype: torch.dtype) -> bool:
    """Whether the head's output is fp16, because the base is or because the trainer casts to it."""
    device = model.device.type
    if torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device) == torch.float16
    return dtype == torch.float16

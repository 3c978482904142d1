"""The loss of the supervised tokens of packed articles."""

from typing import TYPE_CHECKING, cast

import torch.nn.functional as F
from peft import PeftModel
from torch import Tensor

from kqa_lightning.model.masks import attention_mask

if TYPE_CHECKING:
    from kqa_lightning.data.packing import PackedBatch

UNSUPERVISED = -100


def token_losses(model: PeftModel, batch: "PackedBatch") -> Tensor:
    """Negative log-likelihood of each supervised token, fp32 [supervised], row by row and in the order of the row.

    The language-model head runs on the supervised positions alone (``logits_to_keep``): no tensor of all positions
    times the vocabulary is made, which for 256,000 words is most of the memory and time of a step.
    """
    supervised = batch.labels != UNSUPERVISED
    dtype = cast(Tensor, model.get_input_embeddings().weight).dtype
    mask = attention_mask(model.config, batch.segments, batch.position_ids, dtype)
    logits = model(
        input_ids=batch.input_ids,
        attention_mask=mask,
        position_ids=batch.position_ids,
        logits_to_keep=supervised,
        use_cache=False,
    ).logits
    return F.cross_entropy(logits.float(), batch.labels[supervised], reduction="none")

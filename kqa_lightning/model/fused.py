"""All that training computes in fewer passes over memory than PEFT and transformers do."""

from peft import PeftModel

from kqa_lightning.model.fused_norm import fuse_norms
from kqa_lightning.model.fused_rotary import fuse_rotary
from kqa_lightning.model.grouped_lora import group_lora


def fuse(model: PeftModel) -> None:
    """Have a model's training in fp32 computed so, and everything else by PEFT and transformers."""
    group_lora(model)
    fuse_norms(model)
    fuse_rotary(model)

"""How much memory a fine-tuning takes, reckoned from the architecture before any weight is loaded."""

from dataclasses import dataclass
from typing import Any, cast

import torch
from peft import PeftModel
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

from kqa_lightning.model.attention import FLEX, KNOWN_ARCHITECTURES, Attention, choose_attention
from kqa_lightning.model.base import (
    DTYPES,
    NF4_BLOCK,
    LoRA,
    Precision,
    Quantization,
    attach_lora,
    refuse_broken_widths,
)
from kqa_lightning.model.source import reading, resolve_source

_FP32 = 4
# Copies of a layer's states that a backward pass keeps, as counted on the tiny bases: hidden states, those within
# attention (queries, keys, values and what it puts out), and those within the MLP.
_HIDDEN_COPIES = 4
_ATTENTION_COPIES = 1.5
_INTERMEDIATE_COPIES = 4
# Of a last layer that is computed where its output is wanted: those of its first norm, and keys and values.
_LAST_HIDDEN_COPIES = 2
# Eager attention keeps for each head and pair of positions the softmax in fp32 and two more numbers in half of that,
# or one more in fp32. Other attention computes them again.
_EAGER_PAIR = 8


@dataclass(frozen=True)
class Memory:
    """Bytes of each part.

    Args:
        weights: The base, quantised where it is.
        adapters: LoRA's weights and their gradients, in fp32.
        optimizer: AdamW's two states of each adapter weight.
        activations: What the largest batch keeps for its backward pass, without the logits: those of the answers alone.
    """

    weights: int
    adapters: int
    optimizer: int
    activations: int

    @property
    def adapter_file(self) -> int:
        """LoRA's weights alone, as the adapter's folder holds them."""
        return self.adapters // 2

    @property
    def checkpoint(self) -> int:
        """What a checkpoint holds of them: LoRA's weights and the optimizer's states."""
        return self.adapter_file + self.optimizer

    @property
    def total(self) -> int:
        """All of them."""
        return self.weights + self.adapters + self.optimizer + self.activations


def estimate_memory(
    base_model: str,
    lora: LoRA,
    *,
    quantization: Quantization,
    precision: Precision,
    attn_implementation: Attention | None,
    tokens: int,
    gradient_checkpointing: bool,
    on_cpu: bool = False,
) -> Memory:
    """The memory of fine-tuning a base model, from its ``config.json`` alone.

    Args:
        base_model: As for the module.
        lora: Shape of the adapters.
        quantization: Of the base.
        precision: Of what is not quantised, and of the activations.
        attn_implementation: As for the module.
        tokens: In the largest batch, one row of them.
        gradient_checkpointing: Whether layers are computed again in the backward pass.
        on_cpu: Whether it is to run on a CPU, where another attention is the fastest.

    Raises:
        KQAError: the base model cannot be found, or the adapters do not fit it.
    """
    model = empty_base(
        base_model,
        quantization=quantization,
        precision=precision,
        attn_implementation=attn_implementation,
        on_cpu=on_cpu,
    )
    adapted = attach_lora(model, lora)
    adapters = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    itemsize = DTYPES[precision].itemsize
    return Memory(
        weights=_weights(adapted, quantization, itemsize),
        adapters=2 * _FP32 * adapters,
        optimizer=2 * _FP32 * adapters,
        activations=_activations(
            model.config,
            tokens,
            itemsize,
            attention=choose_attention(model.config, attn_implementation, precision, on_cpu=on_cpu),
            checkpointing=gradient_checkpointing,
        ),
    )


def empty_base(
    base_model: str,
    *,
    quantization: Quantization,
    precision: Precision,
    attn_implementation: Attention | None,
    on_cpu: bool,
) -> PreTrainedModel:
    """A base model without weights: its shapes, on the meta device and not quantised.

    Args:
        base_model: As for the module.
        quantization: As for the module; what it refuses is refused.
        precision: Of the weights that there would be.
        attn_implementation: As for the module; what it refuses is refused.
        on_cpu: Whether it is to run on a CPU.

    Raises:
        KQAError: the base model cannot be found, or would be refused when loaded.
    """
    with reading(base_model):
        config = AutoConfig.from_pretrained(resolve_source(base_model), trust_remote_code=False)
    attention = choose_attention(config, attn_implementation, precision, on_cpu=on_cpu)
    with reading(base_model), torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=DTYPES[precision], attn_implementation=attention)
    if quantization == "nf4" and on_cpu:
        head = model.get_output_embeddings()
        linear = {n: m for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and m is not head}
        refuse_broken_widths({name: module.in_features for name, module in linear.items()}, base_model)
    return model


def _weights(adapted: PeftModel, quantization: Quantization, itemsize: int) -> int:
    head = adapted.get_output_embeddings()
    linear = {
        id(module.weight)
        for module in adapted.modules()
        if isinstance(module, torch.nn.Linear) and module is not head and not module.weight.requires_grad
    }
    four_bits = 0.5 + _FP32 / NF4_BLOCK
    frozen = {id(p): p for p in adapted.parameters() if not p.requires_grad}  # tied weights count once
    return round(
        sum(
            p.numel() * (four_bits if quantization == "nf4" and name in linear else itemsize)
            for name, p in frozen.items()
        )
    )


def _activations(
    config: PreTrainedConfig, tokens: int, itemsize: int, *, attention: Attention, checkpointing: bool
) -> int:
    sizes = cast(Any, config)
    head = getattr(config, "head_dim", None) or sizes.hidden_size // sizes.num_attention_heads
    key_heads = 2 * head * sizes.num_key_value_heads
    heads = 2 * head * sizes.num_attention_heads + key_heads
    copies = _HIDDEN_COPIES * sizes.hidden_size + _ATTENTION_COPIES * heads
    layer = tokens * itemsize * (copies + _INTERMEDIATE_COPIES * sizes.intermediate_size)
    if attention == "eager":
        layer += sizes.num_attention_heads * tokens**2 * _EAGER_PAIR
    if checkpointing:
        return int(layer + sizes.num_hidden_layers * tokens * sizes.hidden_size * itemsize)
    if config.model_type not in KNOWN_ARCHITECTURES or attention == FLEX:
        return int(sizes.num_hidden_layers * layer)
    last = tokens * itemsize * (_LAST_HIDDEN_COPIES * sizes.hidden_size + _ATTENTION_COPIES * key_heads)
    return int((sizes.num_hidden_layers - 1) * layer + last)

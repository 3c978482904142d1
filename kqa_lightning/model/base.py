"""The 4-bit base model and its LoRA adapters: load, attach, and the guards for known faults."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
from bitsandbytes.nn import Linear4bit, Params4bit
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from kqa_lightning.errors import KQAError
from kqa_lightning.model import blockwise, packed_sdpa  # noqa: F401  makes their names known to transformers
from kqa_lightning.model.attention import Attention, choose_attention
from kqa_lightning.model.source import reading, resolve_source

Quantization = Literal["nf4", "none"]
Precision = Literal["bf16", "fp16", "fp32"]

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
ALL_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
NF4_BLOCK = 64  # weights that share one fp32 scale, by default
_PROGRESS_BAR_FROM = 1 << 30  # bytes of weights below which loading takes no time worth a bar


@dataclass(frozen=True)
class LoRA:
    """Shape of the adapters.

    Args:
        r: Rank of each adapter.
        alpha: Numerator of the adapters' scale alpha / r.
        dropout: Share of an adapter's inputs dropped in training, from 0 to 1.
        target_modules: Names of the projections that carry an adapter; null for PEFT's choice for the architecture.
    """

    r: int = 6
    alpha: int = 8
    dropout: float = 0.0
    target_modules: tuple[str, ...] | None = ALL_PROJECTIONS


def load_base_model(
    base_model: str,
    *,
    quantization: Quantization = "nf4",
    precision: Precision = "bf16",
    attn_implementation: Attention | None = None,
    device: torch.device | str = "cpu",
) -> PreTrainedModel:
    """Load a causal language model from a folder or hub id, frozen, its linear layers in 4 bits.

    Args:
        base_model: A folder in Hugging Face format with safetensors weights, or a hub id.
        quantization: ``nf4`` keeps the linear layers (not embeddings and head) in 4 bits, ``none`` keeps them whole.
        precision: Type of the weights that are not quantised and of all arithmetic.
        attn_implementation: ``None`` takes the fastest that is right for the architecture.
        device: Where the weights go; they are quantised there, shard by shard.

    Raises:
        KQAError: unreachable, incomplete or unsupported base model, or a precision or attention known to be wrong.
    """
    if torch.device(device).type == "cpu":
        # Attention weights and their gradients are often below 1e-38, where a processor takes a hundred times as long
        # for a product: training took twice as long. For the whole process, as threads are as their maker was.
        torch.set_flush_denormal(True)
    source = resolve_source(base_model)
    with reading(base_model):
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    attention = choose_attention(config, attn_implementation, precision, on_cpu=torch.device(device).type == "cpu")
    with reading(base_model), _progress_bar(source):
        loaded = AutoModelForCausalLM.from_pretrained(
            source,
            config=config,
            dtype=DTYPES[precision],
            attn_implementation=attention,
            quantization_config=_quantization_config(quantization, precision),
            device_map={"": device},
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # reported below, in one line
        )
    model, report = cast(tuple[PreTrainedModel, dict[str, Any]], loaded)
    _check_complete(base_model, report)
    model.requires_grad_(False)
    refuse_broken_blocks(model, base_model)
    guard_against_repacking(model)
    return model


def attach_lora(model: PreTrainedModel, settings: LoRA, *, gradient_checkpointing: bool = False) -> PeftModel:
    """Put fp32 LoRA adapters, the only trainable weights, on a frozen base; the result is in training mode.

    ``prepare_model_for_kbit_training`` is not used: it casts embeddings and head to fp32, which for a vocabulary of
    256,000 costs more memory than the 4-bit layers.

    Raises:
        KQAError: the settings do not fit the architecture.
    """
    targets = settings.target_modules
    try:
        config = LoraConfig(
            r=settings.r,
            lora_alpha=settings.alpha,
            lora_dropout=settings.dropout,
            target_modules=None if targets is None else list(targets),
            task_type="CAUSAL_LM",
        )
        with warnings.catch_warnings():
            # transformers deprecates one of its own attributes that peft reads; nothing for a user to do.
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
            adapted = get_peft_model(model, config, autocast_adapter_dtype=True)
    except ValueError as error:
        raise KQAError(f"--model.lora does not fit the base model: {' '.join(str(error).split())}") from error
    if gradient_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
        model.enable_input_require_grads()
    return adapted.train()


def refuse_broken_blocks(model: torch.nn.Module, base_model: str) -> None:
    """Refuse 4-bit layers on a CPU whose input width is no multiple of the quantisation block.

    bitsandbytes 0.50.2 dequantises them wrongly there: blocks run over the ends of rows, its kernel takes each row to
    begin a block. Errors of the weights triple and the model's answers are ruined, without a word.

    Raises:
        KQAError: naming the layer and its width.
    """
    layers = {name: module for name, module in model.named_modules() if isinstance(module, Linear4bit)}
    here = {name: module for name, module in layers.items() if module.weight.device.type == "cpu"}
    for name, module in here.items():
        refuse_broken_widths({name: module.in_features}, base_model, cast(Params4bit, module.weight).blocksize)


def refuse_broken_widths(widths: Mapping[str, int], base_model: str, block: int = NF4_BLOCK) -> None:
    """The same, by the input widths of the layers, of which there need be no more.

    Raises:
        KQAError: naming the first layer of them and its width.
    """
    for name, width in widths.items():
        if width % block:
            raise KQAError(
                f"--model.base_model {base_model}: bitsandbytes computes 4-bit layers on a CPU wrongly unless their"
                f" width is a multiple of {block}, and {name} has {width};"
                " use --model.quantization none, or a GPU"
            )


def guard_against_repacking(model: torch.nn.Module) -> None:
    """Keep bitsandbytes from repacking 4-bit weights in place.

    On CPUs with AVX512-BF16, bitsandbytes 0.50.2 repacks a weight on its first forward in eval mode, and training
    afterwards silently loses the gradient with respect to the layer's input.
    """
    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False


def _quantization_config(quantization: Quantization, precision: Precision) -> BitsAndBytesConfig | None:
    if quantization == "none":
        return None
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=False,
        bnb_4bit_compute_dtype=DTYPES[precision],
    )


@contextmanager
def _progress_bar(source: str) -> Iterator[None]:
    """Show transformers' progress bar only where there is something to wait for: the hub, or large shards."""
    folder = Path(source)
    wanted = not folder.is_dir() or sum(f.stat().st_size for f in folder.glob("*.safetensors")) >= _PROGRESS_BAR_FROM
    if wanted or not transformers_logging.is_progress_bar_enabled():
        yield
        return
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.enable_progress_bar()


def _check_complete(base_model: str, report: dict[str, Any]) -> None:
    missing, mismatched = sorted(report["missing_keys"]), report["mismatched_keys"]
    if missing:
        raise KQAError(
            f"--model.base_model {base_model}: the weights lack {len(missing)} tensors of the architecture"
            f" ({', '.join(missing[:3])}); download the model again"
        )
    if mismatched:
        raise KQAError(
            f"--model.base_model {base_model}: weights and config.json disagree on {len(mismatched)} shapes"
            f" (first {sorted(mismatched)[0][0]}); download the model again"
        )

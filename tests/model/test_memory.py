"""The estimate of memory against what is really there, on the tiny bases."""

import pytest
import torch
from bitsandbytes.nn import Params4bit

from kqa_lightning.data.encoding import EncodedArticle, EncodedQuestion
from kqa_lightning.data.packing import pack
from kqa_lightning.errors import KQAError
from kqa_lightning.model.attention import Attention
from kqa_lightning.model.base import LoRA, Precision, Quantization, attach_lora, load_base_model
from kqa_lightning.model.loss import token_losses
from kqa_lightning.model.memory import Memory, estimate_memory

TOKENS = 700


def estimate(
    family: str,
    quantization: Quantization = "nf4",
    precision: Precision = "fp32",
    tokens: int = TOKENS,
    gradient_checkpointing: bool = False,
    attention: Attention | None = None,
    on_cpu: bool = False,
) -> Memory:
    return estimate_memory(
        f"tiny-{family}",
        LoRA(),
        quantization=quantization,
        precision=precision,
        attn_implementation=attention,
        tokens=tokens,
        gradient_checkpointing=gradient_checkpointing,
        on_cpu=on_cpu,
    )


@pytest.mark.parametrize("family", ["gemma2", "eeve", "nous"])
@pytest.mark.parametrize(("quantization", "precision"), [("nf4", "fp32"), ("nf4", "bf16"), ("none", "bf16")])
def test_weights_and_adapters(family: str, quantization: Quantization, precision: Precision) -> None:
    model = attach_lora(load_base_model(f"tiny-{family}", quantization=quantization, precision=precision), LoRA())
    found = estimate(family, quantization, precision)
    weights = 0
    for parameter in model.parameters():
        weights += 0 if parameter.requires_grad else parameter.nbytes
        if isinstance(parameter, Params4bit):
            weights += parameter.quant_state.absmax.nbytes
    assert found.weights == pytest.approx(weights, rel=1e-3)
    adapters = sum(p.nbytes for p in model.parameters() if p.requires_grad)
    assert found.adapters == found.optimizer == 2 * adapters
    assert found.total == found.weights + found.adapters + found.optimizer + found.activations


@pytest.mark.parametrize(
    ("family", "attention"), [("gemma2", "eager"), ("gemma2", None), ("eeve", None), ("nous", None)]
)
@pytest.mark.parametrize("tokens", [200, TOKENS])
def test_activations_are_what_autograd_keeps(family: str, attention: Attention | None, tokens: int) -> None:
    base = load_base_model(f"tiny-{family}", precision="fp32", attn_implementation=attention)
    model = attach_lora(base, LoRA())
    questions = tuple(EncodedQuestion(row, (5, 6, 7), (8,)) for row in range(5))
    batch = pack([EncodedArticle((11,) * (tokens - 20), questions, False)], 0)
    parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        losses = token_losses(model, batch)  # held, so that no storage is used twice
    assert len(losses) == 5
    found = estimate(family, tokens=tokens, attention=attention, on_cpu=True)
    assert found.activations == pytest.approx(sum(kept.values()), rel=0.2)


def test_checkpointing_keeps_less() -> None:
    plain, again = estimate("gemma2"), estimate("gemma2", gradient_checkpointing=True)
    assert again.activations < plain.activations / 2
    assert again.weights == plain.weights


def test_a_base_that_is_not_there() -> None:
    with pytest.raises(KQAError, match="no such folder"):
        estimate_memory(
            "./nowhere",
            LoRA(),
            quantization="nf4",
            precision="bf16",
            attn_implementation=None,
            tokens=10,
            gradient_checkpointing=False,
        )

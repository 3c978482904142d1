"""Which implementations of attention there are, and which are right for an architecture."""

from typing import Literal, get_args

from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, PreTrainedConfig

from kqa_lightning.errors import KQAError

Attention = Literal["eager", "sdpa", "packed_sdpa", "blockwise", "flex_attention"]
FLEX: Attention = "flex_attention"
PACKED_SDPA: Attention = "packed_sdpa"
BLOCKWISE: Attention = "blockwise"
# Architectures whose layers hand on what their attention is told, and are computed in ways of our own; each is tested.
KNOWN_ARCHITECTURES = ("gemma2", "llama", "mistral", "qwen2", "qwen3")
_CHANGING_POSITIONS = ("dynamic", "longrope")  # rotary embeddings whose angles are those of the longest text
_MASKED = {"full_attention", "sliding_attention"}  # layers in which a question sees what its mask lets it see


def implementation_of(config: PreTrainedConfig) -> str:
    """The attention that a loaded model computes with: transformers tells it in this attribute alone."""
    return str(config._attn_implementation)


def choose_attention(
    config: PreTrainedConfig, attn_implementation: str | None, precision: str, *, on_cpu: bool = False
) -> Attention:
    """The attention to load ``config`` with.

    Args:
        config: The base model's configuration.
        attn_implementation: What the user asks for; None for the fastest that is right.
        precision: ``bf16``, ``fp16`` or ``fp32``.
        on_cpu: Whether it is to be fast on a CPU.

    Raises:
        KQAError: what is asked for is unknown, or gives wrong results with this architecture; or the architecture
            would let a question see those before it, whatever its attention, or has no positions of its own.
    """
    _refuse_states(config)
    _refuse_changing_positions(config)
    _refuse_biases_by_column(config)
    soft_capped = _is_soft_capped(config)
    drops_weights = bool(getattr(config, "attention_dropout", 0))
    if precision == "fp16":
        refuse_half_precision(config, "--model.precision fp16", "bf16 or fp32")
    if soft_capped and attn_implementation in ("sdpa", PACKED_SDPA):
        raise KQAError(
            f"--model.attn_implementation {attn_implementation} drops the soft cap of {config.model_type}'s attention;"
            " use eager or blockwise"
        )
    if attn_implementation == BLOCKWISE and drops_weights:
        raise KQAError(
            f"--model.attn_implementation {BLOCKWISE} has no dropout of attention weights, of which {config.model_type}"
            f" has {config.attention_dropout}; use eager"
        )
    if attn_implementation == FLEX and on_cpu:
        raise KQAError(
            f"--model.attn_implementation {FLEX} cannot train on a CPU: PyTorch has no backward pass of it there; use"
            f" {BLOCKWISE if soft_capped else 'sdpa'}"
        )
    if attn_implementation is None:
        if soft_capped:
            return BLOCKWISE if on_cpu and not drops_weights else "eager"
        return PACKED_SDPA if config.model_type in KNOWN_ARCHITECTURES else "sdpa"
    for known in get_args(Attention):
        if attn_implementation == known:
            return known
    raise KQAError(
        f"--model.attn_implementation {attn_implementation} is not supported; use {', '.join(get_args(Attention))}"
    )


def refuse_half_precision(config: PreTrainedConfig, flag: str, instead: str) -> None:
    """Refuse arithmetic in fp16 where a soft cap tells that activations are large.

    Args:
        config: The base model's configuration.
        flag: What asks for fp16, as it is written on the command line.
        instead: What to use.

    Raises:
        KQAError: the architecture has a soft cap.
    """
    if _is_soft_capped(config):
        raise KQAError(
            f"{flag} is numerically unstable with {config.model_type} (its activations exceed fp16's range); use"
            f" {instead}"
        )


def _is_soft_capped(config: PreTrainedConfig) -> bool:
    return config.model_type == "gemma2" or getattr(config, "attn_logit_softcapping", None) is not None


def _refuse_changing_positions(config: PreTrainedConfig) -> None:
    """Refuse positions that are turned by other angles once a longer text stands in the batch."""
    rope = getattr(config, "rope_parameters", None) or {}
    kind = rope.get("rope_type")
    if kind in _CHANGING_POSITIONS:
        raise KQAError(
            f"--model.base_model: {config.model_type} has rotary embeddings of the type {kind}, whose angles depend on"
            " the longest text computed with them, so that no article could be computed once; take a base with another"
        )


def _refuse_biases_by_column(config: PreTrainedConfig) -> None:
    """Refuse ALiBi, whose distances are counted in columns: in a row of several questions these are others."""
    inner = getattr(config, "attn_config", None)
    if config.model_type == "bloom" or getattr(config, "alibi", False) or getattr(inner, "alibi", False):
        raise KQAError(
            f"--model.base_model: {config.model_type} adds biases by distance to its attention (ALiBi), which know"
            " nothing of positions, so that no article could be computed once; take a base with rotary embeddings"
        )


def _refuse_states(config: PreTrainedConfig) -> None:
    """Refuse layers that hand on a state, or see by chunks: no mask keeps questions on one article apart there."""
    strange = set(getattr(config, "layer_types", None) or ()) - _MASKED
    if type(config) in MODEL_FOR_CAUSAL_LM_MAPPING and not strange:
        architecture = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
        strange = {"a recurrent state"} if getattr(architecture, "_is_stateful", False) else set()
    if strange:
        raise KQAError(
            f"--model.base_model: {config.model_type} has {', '.join(sorted(strange))}, in which the questions on an"
            " article cannot be kept apart; take a base whose layers all have full or sliding attention"
        )

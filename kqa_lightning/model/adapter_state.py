"""What a checkpoint holds of the model: the adapters, and which base and shape they belong to."""

from dataclasses import asdict, dataclass, fields
from typing import Any, cast

import torch
from peft import LoraConfig, PeftModel

from kqa_lightning.errors import KQAError

IDENTITY_KEY = "kqa_adapter"
_PROBE_ROWS, _PROBE_COLUMNS = 8, 4
_PROBE_TOLERANCE = 0.02  # above what bf16 or fp16 round off, below what two trainings have in common


@dataclass(frozen=True)
class AdapterIdentity:
    """The base model and LoRA shape that adapters belong to; plain values alone, so that it loads safely.

    ``base_model`` is the name as given, for people: a base may move to another folder. That it is the same base is
    told by its shape and by ``probe``, a few numbers of its embeddings.
    """

    base_model: str
    model_type: str
    hidden_size: int
    num_layers: int
    vocab_size: int
    lora_r: int
    lora_alpha: int
    lora_targets: list[str]
    probe: list[float]

    @classmethod
    def of(cls, model: PeftModel, base_model: str) -> "AdapterIdentity":
        """The identity of a model with LoRA attached."""
        lora = cast(LoraConfig, model.peft_config["default"])
        table = model.get_input_embeddings().weight
        rows = torch.linspace(0, table.shape[0] - 1, _PROBE_ROWS, device=table.device).long()
        return cls(
            base_model=base_model,
            model_type=model.config.model_type,
            hidden_size=model.config.hidden_size,
            num_layers=model.config.num_hidden_layers,
            vocab_size=model.config.vocab_size,
            lora_r=lora.r,
            lora_alpha=lora.lora_alpha,
            lora_targets=sorted(lora.target_modules or ()),
            probe=[] if table.is_meta else table[rows, :_PROBE_COLUMNS].float().flatten().tolist(),
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as they are stored in a checkpoint."""
        return asdict(self)


def check_identity(stored: object, here: AdapterIdentity, checkpoint: str) -> dict[str, Any]:
    """Refuse adapters of another base model or shape, and return what a checkpoint says of its own.

    Raises:
        KQAError: with each value that differs, of the checkpoint and of this run.
    """
    names = [field.name for field in fields(AdapterIdentity)]
    if not isinstance(stored, dict) or any(name not in stored for name in names):
        raise KQAError(
            f"{checkpoint} is not a checkpoint of kqa_lightning: it does not say which base model it belongs to"
        )
    shape = [name for name in names if name not in ("base_model", "probe") and stored[name] != getattr(here, name)]
    differences = [f"{name} {stored[name]}, here {getattr(here, name)}" for name in shape]
    if not differences and not _same_numbers(stored["probe"], here.probe):
        differences = [f"other embedding weights, {_first(stored['probe'])}, here {_first(here.probe)}"]
    if differences:
        base = stored["base_model"]
        whose = (
            f"belongs to base model {base}, this run has {here.base_model}"
            if base != here.base_model
            else f"holds adapters for {base} that do not fit those of this run"
        )
        raise KQAError(
            f"{checkpoint} {whose}: {'; '.join(differences)};"
            " give the --model.base_model and --model.lora settings it was trained with"
        )
    return stored


def check_adapter_tensors(stored: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], checkpoint: str) -> None:
    """Refuse a state that is not exactly the adapters: Lightning's non-strict loading would pass over what lacks.

    Raises:
        KQAError: naming the first tensors that are missing, unknown or of another shape.
    """
    missing = [name for name in expected if name not in stored]
    unknown = [name for name in stored if name not in expected]
    reshaped = [n for n, tensor in expected.items() if n in stored and stored[n].shape != tensor.shape]
    for problem, tensors in (("lacks", missing), ("has unknown", unknown), ("has other shapes of", reshaped)):
        if tensors:
            raise KQAError(
                f"{checkpoint} {problem} {len(tensors)} of {len(expected)} adapter tensors, first {tensors[0]}:"
                " it is damaged or of other --model.lora settings"
            )


def _first(numbers: list[float]) -> str:
    return ", ".join(f"{number:.4g}" for number in numbers[:_PROBE_COLUMNS]) + ", …"


def _same_numbers(stored: list[float], here: list[float]) -> bool:
    if not here:  # the base has no weights here
        return True
    reference = torch.tensor(stored)
    scale = reference.abs().mean()
    return len(stored) == len(here) and bool((torch.tensor(here) - reference).abs().mean() <= _PROBE_TOLERANCE * scale)

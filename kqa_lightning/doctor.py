"""``doctor``: what this machine has, and what would stop a run on it."""

import importlib.metadata
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from huggingface_hub import get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError
from packaging.requirements import Requirement
from transformers import Gemma2Config, LlamaConfig

from kqa_lightning.cli import KQACLI, run_cli
from kqa_lightning.errors import KQAError
from kqa_lightning.model.attention import Attention, choose_attention
from kqa_lightning.model.memory import Memory, estimate_memory

PACKAGE = "kqa-lightning"
GIB = 2**30
LEAST_FREE = 1 * GIB  # checkpoints, adapters and the tables' cache
FAMILIES = {"gemma2": Gemma2Config, "llama (eeve, nous)": LlamaConfig}
# Releases with a fault that a run would meet: (package, version, where, what).
KNOWN_FAULTS = (
    ("bitsandbytes", "0.50.2", "cpu", "4-bit layers whose width is no multiple of 64 are computed wrongly: refused"),
    ("bitsandbytes", "0.50.2", "cpu", "repacks 4-bit weights in place on AVX512-BF16: switched off when loading"),
)


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Args:
        name: What was looked at.
        text: What was found.
        stops: Whether a run would fail because of it.
    """

    name: str
    text: str
    stops: bool = False


class Doctor(KQACLI):
    """Parses the settings of any command, and examines them and the machine instead of running."""

    def __init__(self, args: list[str]) -> None:
        super().__init__(args, run=False)

    def parse_arguments(self, parser: Any, args: Any) -> None:
        """Parse; there is no command among the arguments and no checkpoint."""
        self.config = parser.parse_args(args)

    def before_instantiate_classes(self) -> None:
        """Nothing is saved."""

    def instantiate_classes(self) -> None:
        """Nothing is made: the settings are enough."""

    def after_instantiate_classes(self) -> None:
        """Nothing: `findings` is asked for them."""

    def findings(self) -> Iterator[Finding]:
        """What the settings come to on this machine."""
        model, data, trainer = self.config.model, self.config.data, self.config.trainer
        tokens = max(data.max_length, data.tokens_per_batch or 0)
        on_gpu = trainer.accelerator != "cpu" and torch.cuda.is_available()
        try:
            memory = estimate_memory(
                model.base_model,
                self.parser.instantiate(self.config).model.lora,
                quantization=model.quantization,
                precision=model.precision,
                attn_implementation=model.attn_implementation,
                tokens=tokens,
                gradient_checkpointing=model.gradient_checkpointing,
                on_cpu=not on_gpu,
            )
        except KQAError as error:
            yield Finding("base model", str(error), stops=True)
            return
        yield from _memory(memory, tokens, on_gpu=on_gpu)
        yield _disk("disk, root dir", Path(trainer.default_root_dir))


def run(args: list[str]) -> int:
    """Run ``doctor`` and return its exit status: 1 where a run would fail."""
    found: list[Finding] = []
    status = run_cli(lambda: found.extend(_examine(args[1:])))
    if status or not found:  # --help finds nothing
        return status
    width = max(len(one.name) for one in found)
    for one in found:
        print(f"{'✗' if one.stops else ' '} {one.name:<{width}}  {one.text}")
    stopping = [one.name for one in found if one.stops]
    print(f"\na run would fail: {', '.join(stopping)}" if stopping else "\nnothing found that would stop a run")
    return 1 if stopping else 0


def _examine(args: list[str]) -> Iterator[Finding]:
    settings = Doctor(args) if args else None
    yield from _versions()
    yield from _machine()
    yield _disk("disk, TMPDIR", Path(tempfile.gettempdir()))
    yield from _attention()
    yield _hub()
    if settings is not None:
        yield from settings.findings()


def _versions() -> Iterator[Finding]:
    for text in importlib.metadata.requires(PACKAGE) or []:
        needed = Requirement(text)
        if needed.marker is not None:  # an extra
            continue
        try:
            version = importlib.metadata.version(needed.name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(needed.name, f"is not installed; needed: {needed.specifier}", stops=True)
            continue
        fits = needed.specifier.contains(version, prereleases=True)
        yield Finding(needed.name, version if fits else f"{version}; needed: {needed.specifier}", stops=not fits)
        for name, bad, where, fault in KNOWN_FAULTS:
            if (name, bad) == (needed.name, version) and (where != "cpu" or not torch.cuda.is_available()):
                yield Finding("", f"known fault on a {where.upper()}: {fault}")


def _machine() -> Iterator[Finding]:
    yield Finding("CPU", f"{os.cpu_count()} cores, {_gib(_ram())} of memory")
    if not torch.cuda.is_available():
        yield Finding("GPU", "none: enough for the tiny bases alone")
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        bf16 = "bf16" if torch.cuda.is_bf16_supported() else "no bf16: use --model.precision fp16 or fp32"
        name = torch.cuda.get_device_name(index)
        yield Finding(f"GPU {index}", f"{name}, {_gib(free)} of {_gib(total)} free, {bf16}")


def _attention() -> Iterator[Finding]:
    for family, config in FAMILIES.items():
        allowed, refused = [], []
        for attention in get_args(Attention):
            try:
                choose_attention(config(), attention, "fp32", on_cpu=not torch.cuda.is_available())
                allowed.append(attention)
            except KQAError as error:
                refused.append(str(error))
        yield Finding(f"attention, {family}", "; ".join([", ".join(allowed), *refused]))


def _hub() -> Finding:
    try:
        get_hf_file_metadata(hf_hub_url("gpt2", "config.json"), timeout=5)
    except HfHubHTTPError:
        pass  # it answered
    except Exception as error:  # whatever stands between here and the hub
        reason = str(error).strip().partition("\n")[0]
        return Finding("hub", f"cannot be reached ({type(error).__name__}: {reason}); use folders, or what is cached")
    return Finding("hub", "can be reached")


def _disk(name: str, path: Path) -> Finding:
    place = next(one for one in (path.absolute(), *path.absolute().parents) if one.exists())
    free = shutil.disk_usage(place).free
    return Finding(name, f"{_gib(free)} free at {place}", stops=free < LEAST_FREE)


def _memory(memory: Memory, tokens: int, on_gpu: bool) -> Iterator[Finding]:
    yield Finding("memory, weights", _gib(memory.weights))
    yield Finding("memory, adapters", f"{_gib(memory.adapters)} with their gradients")
    yield Finding("memory, optimizer", _gib(memory.optimizer))
    yield Finding("memory, activations", f"about {_gib(memory.activations)} for a batch of {tokens:,} tokens")
    there = torch.cuda.mem_get_info()[0] if on_gpu else _ram()
    kind = "free on the GPU" if on_gpu else "of memory here"
    yield Finding("memory, all", f"{_gib(memory.total)}, and {_gib(there)} {kind}", stops=memory.total > there)


def _ram() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB" if size >= GIB / 10 else f"{size / 2**20:.1f} MiB"

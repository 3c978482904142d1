"""What this machine has, whatever is to run on it."""

import importlib.metadata
import os
from collections.abc import Iterator
from typing import get_args

import torch
from huggingface_hub import get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError
from packaging.requirements import Requirement
from transformers import Gemma2Config, LlamaConfig

from kqa_lightning.doctor.findings import Finding, gib
from kqa_lightning.doctor.room import available_memory
from kqa_lightning.errors import KQAError
from kqa_lightning.model.attention import Attention, choose_attention

PACKAGE = "kqa-lightning"
FAMILIES = {"gemma2": Gemma2Config, "llama (eeve, nous)": LlamaConfig}
# Releases with a fault that a run would meet: (package, version, where, what).
KNOWN_FAULTS = (
    ("bitsandbytes", "0.50.2", "cpu", "4-bit layers whose width is no multiple of 64 are computed wrongly: refused"),
    ("bitsandbytes", "0.50.2", "cpu", "repacks 4-bit weights in place on AVX512-BF16: switched off when loading"),
)


def look_at_versions() -> Iterator[Finding]:
    """What is installed, against what is needed."""
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


def look_at_devices() -> Iterator[Finding]:
    """Its processor and its GPUs, with what memory they have left."""
    yield Finding("CPU", f"{os.cpu_count()} cores, {gib(available_memory())} of memory available")
    if not torch.cuda.is_available():
        yield Finding("GPU", "none: enough for the tiny bases alone")
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        bf16 = "bf16" if torch.cuda.is_bf16_supported() else "no bf16: use --model.precision fp16 or fp32"
        name = torch.cuda.get_device_name(index)
        yield Finding(f"GPU {index}", f"{name}, {gib(free)} of {gib(total)} free, {bf16}")


def look_at_attention() -> Iterator[Finding]:
    """Which attention each family may use."""
    for family, config in FAMILIES.items():
        allowed, refused = [], []
        for attention in get_args(Attention):
            try:
                choose_attention(config(), attention, "fp32", on_cpu=not torch.cuda.is_available())
                allowed.append(attention)
            except KQAError as error:
                refused.append(str(error))
        yield Finding(f"attention, {family}", "; ".join([", ".join(allowed), *refused]))


def look_for_hub() -> Finding:
    """Whether models and tables can be had from the Hugging Face Hub."""
    try:
        get_hf_file_metadata(hf_hub_url("gpt2", "config.json"), timeout=5)
    except HfHubHTTPError:
        pass  # it answered
    except Exception as error:  # whatever stands between here and the hub
        reason = str(error).strip().partition("\n")[0]
        return Finding("hub", f"cannot be reached ({type(error).__name__}: {reason}); use folders, or what is cached")
    return Finding("hub", "can be reached")

"""Room in memory and on disk: what there is, and what a run takes of it."""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from kqa_lightning.doctor.findings import Finding, gib
from kqa_lightning.model.memory import Memory

LEAST_TEMPORARY = 16 << 20  # bytes; sockets and small files of libraries and of the processes that load data
_PREDICTIONS = 64 << 20  # bytes; a hundred thousand answers with their candidates, as a journal and as files
_CHECKPOINTS = 4  # last, the one before it, best, and one that is being written
_ADAPTERS = 2  # the best one, and one that is being written
_CGROUPS = Path("/sys/fs/cgroup")


def look_at_disk(name: str, path: Path, needed: int) -> Finding:
    """The free space where ``path`` is or will be, against the bytes that are needed there."""
    place = next(one for one in (path.absolute(), *path.absolute().parents) if one.exists())
    free = shutil.disk_usage(place).free
    return Finding(name, f"{gib(free)} free at {place}, {gib(needed)} needed", stops=free < needed)


def needed_on_disk(memory: Memory) -> int:
    """Bytes that a run of `fit` and one of `predict` take in the root dir at their most, beside the curves."""
    return _CHECKPOINTS * memory.checkpoint + _ADAPTERS * memory.adapter_file + _PREDICTIONS


def look_at_memory(memory: Memory, tokens: int, processes: int, gpus: Sequence[int]) -> Iterator[Finding]:
    """What a run takes, against what there is on each GPU, or without one in the memory that its processes share.

    Args:
        memory: What each process takes.
        tokens: In the largest batch.
        processes: Of the run on this machine.
        gpus: The numbers of those that it is to run on; none for a CPU.
    """
    yield Finding("memory, weights", gib(memory.weights))
    yield Finding("memory, adapters", f"{gib(memory.adapters)} with their gradients")
    yield Finding("memory, optimizer", gib(memory.optimizer))
    yield Finding("memory, activations", f"about {gib(memory.activations)} for a batch of {tokens:,} tokens")
    for gpu in gpus:
        free, _ = torch.cuda.mem_get_info(gpu)
        text = f"{gib(memory.total)}, and {gib(free)} free on the GPU"
        yield Finding(f"memory, GPU {gpu}", text, stops=memory.total > free)
    if not gpus:
        there, needed = available_memory(), processes * memory.total
        each = f" for {processes} processes with a model each" if processes > 1 else ""
        yield Finding("memory, all", f"{gib(needed)}{each}, and {gib(there)} available", stops=needed > there)


def available_memory(cgroups: Path = _CGROUPS) -> int:
    """Bytes that programs can still have of this machine, or of the container or job that this one runs in.

    Args:
        cgroups: Where Linux shows the limits of control groups (version 2).
    """
    return min([_free_memory(), *_left_in_groups(cgroups)])


def _free_memory() -> int:
    """What the kernel takes to be available without swapping; all of the memory where it does not say."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                return int(value.split()[0]) << 10
    except OSError:
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _left_in_groups(cgroups: Path) -> Iterator[int]:
    """What is left to each control group that this process is in, from its own to that of the whole machine."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    own = next((line[3:].strip("/") for line in lines if line.startswith("0::")), "")
    for group in (cgroups / own, *(cgroups / own).parents):
        if group.is_relative_to(cgroups):
            try:
                limit, used = ((group / f"memory.{what}").read_text(encoding="utf-8") for what in ("max", "current"))
                cached = (group / "memory.stat").read_text(encoding="utf-8").partition("\ninactive_file ")[2]
                yield int(limit) - int(used) + int(cached.partition("\n")[0] or 0)
            except (OSError, ValueError):  # it has no limit, which is written as "max", or is the whole machine
                continue

"""Freed memory is taken again instead of being fetched from the system page by page."""

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")

PAGES_OF_A_TENSOR = 64 * 2**20 // os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
CODE = """
import resource, sys, torch
from kqa_lightning.model.heap import keep_freed_memory

faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work = lambda: [torch.ones(1 << 20, 16).sum().item() for _ in range(8)]
kept = keep_freed_memory() if sys.argv[1] == "keep" else None
for _ in range(3):
    work()
before = faults()
work()
print(kept, faults() - before)
"""


def run(how: str, **environment: str) -> tuple[str, int]:
    """What ``keep_freed_memory`` returned, and how many pages came anew while eight tensors of 64 MiB were made."""
    command = [sys.executable, "-c", CODE, how]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | environment)
    kept, faults = done.stdout.split()
    return kept, int(faults)


def test_large_tensors_take_the_memory_of_those_before() -> None:
    assert run("leave")[1] > 7 * PAGES_OF_A_TENSOR  # what it is there to avoid
    kept, faults = run("keep")
    assert kept == "True"
    assert faults < PAGES_OF_A_TENSOR / 10


@pytest.mark.parametrize(
    "own", [{"MALLOC_TRIM_THRESHOLD_": "131072"}, {"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=131072"}], ids=str
)
def test_thresholds_of_the_environment_are_left_alone(own: dict[str, str]) -> None:
    kept, faults = run("keep", **own)
    assert kept == "False"
    assert faults > 7 * PAGES_OF_A_TENSOR

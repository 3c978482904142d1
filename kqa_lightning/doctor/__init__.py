"""``doctor``: what this machine has, and what would stop a run on it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from kqa_lightning.cli import run_cli
from kqa_lightning.doctor.findings import Finding
from kqa_lightning.doctor.machine import look_at_attention, look_at_devices, look_at_versions, look_for_hub
from kqa_lightning.doctor.rehearsal import Rehearsal
from kqa_lightning.doctor.room import LEAST_TEMPORARY, look_at_disk


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
    rehearsal = Rehearsal(args) if args else None
    yield from look_at_versions()
    yield from look_at_devices()
    yield look_at_disk("disk, TMPDIR", Path(tempfile.gettempdir()), LEAST_TEMPORARY)
    yield from look_at_attention()
    yield look_for_hub()
    if rehearsal is not None:
        yield from rehearsal.findings()

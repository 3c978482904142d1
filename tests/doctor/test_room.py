"""What a run needs of disk and memory, against what there is."""

import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from small_runs import write_texts

from kqa_lightning.doctor.room import available_memory, look_at_disk, look_at_memory, needed_on_disk
from kqa_lightning.model.memory import Memory

MIB = 1 << 20
SMALL = Memory(weights=40 * MIB, adapters=2 * MIB, optimizer=2 * MIB, activations=6 * MIB)


def test_each_process_holds_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kqa_lightning.doctor.room.available_memory", lambda: 120 * MIB)
    for processes, stops in ((1, False), (2, False), (3, True)):
        *_, last = look_at_memory(SMALL, 1000, processes, [])
        assert last.stops == stops
    assert "0.1 GiB for 3 processes" in last.text


def test_each_gpu_that_is_asked_for_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda gpu: ((20, 1000, 40)[gpu] * MIB, 2000 * MIB))
    found = list(look_at_memory(SMALL, 1000, 2, [1, 2]))
    assert [(one.name, one.stops) for one in found[-2:]] == [("memory, GPU 1", False), ("memory, GPU 2", True)]


def test_the_limit_of_a_container_counts(tmp_path: Path) -> None:
    assert available_memory(tmp_path) > 100 * MIB
    used = {"memory.current": f"{50 * MIB}\n", "memory.stat": f"anon 5\ninactive_file {10 * MIB}\nslab 7\n"}
    write_texts(tmp_path, used | {"memory.max": "max\n"})
    assert available_memory(tmp_path) > 100 * MIB
    write_texts(tmp_path, used | {"memory.max": f"{100 * MIB}\n"})
    assert available_memory(tmp_path) == 60 * MIB


def test_room_for_checkpoints_is_reckoned(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = needed_on_disk(SMALL)
    assert needed == 4 * 3 * MIB + 2 * MIB + 64 * MIB  # a checkpoint has a MiB of weights and two of optimizer
    usage = namedtuple("usage", "total used free")
    for free, stops in ((needed, False), (needed - 1, True)):
        monkeypatch.setattr(shutil, "disk_usage", lambda path, free=free: usage(2 * needed, 0, free))
        assert look_at_disk("root", Path("nowhere"), needed).stops == stops


def test_a_checkpoint_is_as_large_as_reckoned(fitted: Path) -> None:
    adapter = (fitted / "adapter/adapter_model.safetensors").stat().st_size
    checkpoint = (fitted / "checkpoints/last.ckpt").stat().st_size
    reckoned = Memory(weights=0, adapters=2 * adapter, optimizer=2 * adapter, activations=0)
    assert reckoned.adapter_file == adapter
    assert reckoned.checkpoint == pytest.approx(checkpoint, rel=0.3)

"""Checkpoint files on a disk that fills up, and files that are none."""

import os
import resource
import shutil
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from kqa_lightning.checkpoints import CheckpointFiles, is_whole, read_checkpoint
from kqa_lightning.errors import KQAError


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let every write beyond ``size`` bytes of a file fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_checkpoint_that_does_not_fit_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    CheckpointFiles().save_checkpoint({"weights": torch.ones(3)}, path)
    before = path.read_bytes()
    with files_of_at_most(64 * 1024), pytest.raises(KQAError, match=r"last\.ckpt cannot be written, is the disk full"):
        CheckpointFiles().save_checkpoint({"weights": torch.ones(100_000)}, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_its_place_is_no_full_disk(tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").mkdir()
    with pytest.raises(KQAError, match=r"last\.ckpt cannot be written: Is a directory"):
        CheckpointFiles().save_checkpoint({"weights": torch.ones(3)}, tmp_path / "last.ckpt")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"\x80\x02."])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "last.ckpt"
    path.write_bytes(content)
    with pytest.raises(KQAError, match=r"last\.ckpt: the file is damaged"):
        read_checkpoint(path)


def test_a_checkpoint_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": {}}, path)
    with pytest.raises(KQAError, match="no checkpoint written by"):
        read_checkpoint(path)


@pytest.mark.parametrize("state", ["none", ["a"], {"weights": 1.0}], ids=["text", "list", "number"])
def test_a_checkpoint_without_tensors_by_name_is_refused(tmp_path: Path, state: object) -> None:
    path = tmp_path / "last.ckpt"
    parts = ("optimizer_states", "lr_schedulers", "loops", "callbacks", "global_step")
    own = ("best_score", "train_loader", "random_state")
    torch.save({"state_dict": state, **dict.fromkeys((*parts, *own))}, path)
    with pytest.raises(KQAError, match="no checkpoint written by `fit`"):
        read_checkpoint(path)


def test_a_flipped_bit_of_a_tensor_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    CheckpointFiles().save_checkpoint({"weights": torch.full((1000,), 1.5)}, path)
    assert is_whole(path)
    content = bytearray(path.read_bytes())
    content[content.index(torch.full((3,), 1.5).numpy().tobytes()) + 2] ^= 1
    path.write_bytes(content)
    assert not torch.load(path, weights_only=True)["weights"].eq(1.5).all()  # torch alone does not see it
    with pytest.raises(KQAError, match="checksums do not match"):
        read_checkpoint(path)


@pytest.fixture
def read_whole(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files whose checksums are read, as that happens."""
    names: list[str] = []
    testzip = zipfile.ZipFile.testzip

    def counted(archive: zipfile.ZipFile) -> str | None:
        names.append(Path(str(archive.filename)).name)
        return testzip(archive)

    monkeypatch.setattr(zipfile.ZipFile, "testzip", counted)
    return names


def test_checksums_are_read_once_until_somebody_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_whole: list[str]
) -> None:
    monkeypatch.setattr("kqa_lightning.checkpoints._SETTLED", 0)
    path = tmp_path / "last.ckpt"
    torch.save({"weights": torch.full((1000,), 1.5)}, path)
    time.sleep(0.02)
    assert is_whole(path) and is_whole(path)
    assert read_whole == ["last.ckpt"]
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[content.index(torch.full((3,), 1.5).numpy().tobytes()) + 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as long and, by its date, as old
    assert not is_whole(path)
    assert not is_whole(path)  # what is damaged is not remembered


def test_one_that_was_written_just_now_is_read_again(tmp_path: Path, read_whole: list[str]) -> None:
    """Another writing could have the same time."""
    torch.save({"number": 1}, tmp_path / "last.ckpt")
    assert is_whole(tmp_path / "last.ckpt") and is_whole(tmp_path / "last.ckpt")
    assert len(read_whole) == 2


def test_what_a_run_wrote_itself_it_reads_no_more(tmp_path: Path, read_whole: list[str]) -> None:
    files, last = CheckpointFiles(), tmp_path / "last.ckpt"
    for number in (1, 2, 3):
        files.save_checkpoint({"number": number}, last)
    assert read_whole == []
    torch.save({"number": "of another program"}, last)
    files.save_checkpoint({"number": 4}, last)
    assert read_whole == ["last.ckpt"]


def test_the_last_good_one_is_kept_and_a_damaged_one_is_not(tmp_path: Path) -> None:
    last, previous = tmp_path / "last.ckpt", tmp_path / "previous.ckpt"
    for number in (1, 2):
        CheckpointFiles().save_checkpoint({"number": number}, last)
    assert [torch.load(path, weights_only=True)["number"] for path in (previous, last)] == [1, 2]
    last.write_bytes(last.read_bytes()[:100])
    CheckpointFiles().save_checkpoint({"number": 3}, last)
    assert [torch.load(path, weights_only=True)["number"] for path in (previous, last)] == [1, 3]
    assert sorted(tmp_path.iterdir()) == [last, previous]


def test_too_little_room_is_told_before_writing(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    huge = torch.empty(1).expand(free)  # four bytes a number, of which one is there
    with pytest.raises(KQAError, match=r"needs \d+ MiB and the disk has \d+ MiB free; make room"):
        CheckpointFiles().save_checkpoint({"weights": huge}, tmp_path / "last.ckpt")
    assert not list(tmp_path.iterdir())

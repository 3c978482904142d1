"""Checkpoint files on a disk that fills up, and files that are none."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from kqa_lightning.checkpoints import CheckpointFiles, read_checkpoint
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

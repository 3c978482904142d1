"""Checkpoint files: written whole, read without running code from them, refused in one line where damaged."""

import errno
import os
import shutil
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from kqa_lightning.errors import KQAError
from kqa_lightning.files import written_whole

PREVIOUS = "previous.ckpt"  # beside last.ckpt: the one before it
_whole: set[tuple[int, ...]] = set()  # marks of files whose checksums were right
# Nanoseconds after which another writing has another time: the clock of a file system may count in whole seconds.
_SETTLED = 3 * 10**9
_SPARE = 1 << 20  # bytes beside the tensors
# What going on needs (Lightning and RunCheckpoint write it); a file that lacks some of it is of another program.
_PARTS = (
    *("state_dict", "optimizer_states", "lr_schedulers", "loops", "callbacks", "global_step"),
    *("best_score", "train_loader", "random_state"),
)
_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))  # the disk, a limit, or a quota


def read_checkpoint(path: Path, *, map_location: Any = "cpu", mmap: bool = False) -> dict[str, Any]:
    """Read a checkpoint of a ``fit`` of this program.

    Args:
        path: The file.
        map_location: As in ``torch.load``.
        mmap: Leave the tensors on disk until they are used: a fast look at the rest.

    Raises:
        KQAError: the file does not exist, is damaged, or is not a checkpoint of this program.
    """
    if path.is_dir():
        raise KQAError(f"--ckpt_path {path} is a folder; give a file, such as checkpoints/best.ckpt of a run")
    if not path.is_file():
        raise KQAError(f"--ckpt_path {path}: there is no such file")
    if not is_whole(path):
        raise KQAError(f"--ckpt_path {path}: the file is damaged or no checkpoint (its checksums do not match)")
    try:
        checkpoint = torch.load(path, map_location=map_location, weights_only=True, mmap=mmap)
    except Exception as error:  # torch, zipfile and pickle each have their own for a file that is none
        raise KQAError(f"--ckpt_path {path}: the file is damaged or no checkpoint ({type(error).__name__})") from error
    known = isinstance(checkpoint, dict) and all(part in checkpoint for part in _PARTS)
    if not known or not _is_state(checkpoint["state_dict"]):
        raise KQAError(f"--ckpt_path {path}: that is no checkpoint written by `fit`")
    return checkpoint


def _is_state(value: object) -> bool:
    """Whether it is what a state dict is: tensors by name."""
    return isinstance(value, dict) and all(isinstance(one, torch.Tensor) for one in value.values())


def is_whole(path: Path) -> bool:
    """Whether every part of a checkpoint file has the checksum (CRC-32) that was written with it.

    torch's own reader leaves the checksums of its archives unread. A file is read once as long as nothing writes to it:
    one of a large model takes a minute.
    """
    try:
        mark = _mark(path)
        if mark in _whole:
            return True
        settled = time.time_ns() - mark[-1] > _SETTLED
        with zipfile.ZipFile(path) as archive:
            whole = archive.testzip() is None
        if whole and settled:
            _whole.add(mark)
        return whole
    # What zipfile says of damaged bytes: a flipped bit can make a part look packed, encrypted, or of another length.
    except (OSError, ValueError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return False


def _mark(path: Path) -> tuple[int, ...]:
    """What changes with every writing to a file, and with its name: nobody can set the last of these times."""
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


class CheckpointFiles(TorchCheckpointIO):
    """How the trainer writes and reads checkpoints.

    Lightning's own way stages in TMPDIR and moves across file systems, which on a full disk leaves half a file in
    the place of a good one.
    """

    def __init__(self) -> None:
        super().__init__()
        self._written: dict[Path, tuple[int, ...]] = {}  # last.ckpt as it was written here, by its path

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Write ``checkpoint`` to ``path`` whole, or leave what is there; the last.ckpt before stays as previous.ckpt.

        Raises:
            KQAError: the file cannot be written, or there is too little room for it.
        """
        target = Path(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            needed, free = _tensor_bytes(checkpoint) + _SPARE, shutil.disk_usage(target.parent).free
            if needed > free:
                raise KQAError(
                    f"checkpoint {path} cannot be written: it needs {needed >> 20} MiB and the disk has"
                    f" {free >> 20} MiB free; make room"
                )
            with written_whole(target) as scratch:
                torch.save(checkpoint, scratch)
                if target.name == "last.ckpt" and (self._is_as_written(target) or is_whole(target)):
                    _keep(target, target.with_name(PREVIOUS))
            if target.name == "last.ckpt":
                self._written = {target: _mark(target)}
        except (OSError, RuntimeError) as error:  # torch's zip writer raises the latter on a full disk
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error).partition("\n")[0]
            full = not isinstance(error, OSError) or error.errno in _FULL
            why = f", is the disk full? {reason}" if full else f": {reason}"
            raise KQAError(f"checkpoint {path} cannot be written{why}") from error

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Callable | None = lambda storage, location: storage,
        weights_only: bool | None = True,
    ) -> dict[str, Any]:
        """Read a checkpoint; never with code from it, whatever ``weights_only`` says.

        Raises:
            KQAError: as `read_checkpoint`.
        """
        return read_checkpoint(Path(path), map_location=map_location)

    def _is_as_written(self, path: Path) -> bool:
        return path.exists() and self._written.get(path) == _mark(path)


def _keep(path: Path, under: Path) -> None:
    """Give a file a second name, at no time without its first where the file system has links."""
    link = under.with_name(f".{under.name}.{os.getpid()}.tmp")
    link.unlink(missing_ok=True)
    try:
        link.hardlink_to(path)
    except OSError:
        path.replace(under)
        return
    link.replace(under)


def _tensor_bytes(value: object) -> int:
    """Bytes of all tensors within nested dicts, lists and tuples."""
    if isinstance(value, torch.Tensor):
        return value.nbytes
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return sum(map(_tensor_bytes, parts))

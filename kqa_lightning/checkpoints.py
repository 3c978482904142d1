"""Checkpoint files: written whole, read without running code from them, refused in one line where damaged."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from kqa_lightning.errors import KQAError
from kqa_lightning.files import written_whole

# What going on needs (Lightning and RunCheckpoint write it); a file that lacks some of it is of another program.
_PARTS = (
    *("state_dict", "optimizer_states", "lr_schedulers", "loops", "callbacks", "global_step"),
    *("best_score", "train_loader", "random_state"),
)


def read_checkpoint(path: Path, *, map_location: Any = "cpu", mmap: bool = False) -> dict[str, Any]:
    """Read a checkpoint of a ``fit`` of this program.

    Args:
        path: The file.
        map_location: As in ``torch.load``.
        mmap: Leave the tensors on disk until they are used: a fast look at the rest.

    Raises:
        KQAError: the file does not exist, is damaged, or is not a checkpoint of this program.
    """
    if not path.is_file():
        raise KQAError(f"--ckpt_path {path}: there is no such file")
    try:
        checkpoint = torch.load(path, map_location=map_location, weights_only=True, mmap=mmap)
    except Exception as error:  # torch, zipfile and pickle each have their own for a file that is none
        raise KQAError(f"--ckpt_path {path}: the file is damaged or no checkpoint ({type(error).__name__})") from error
    if not isinstance(checkpoint, dict) or any(part not in checkpoint for part in _PARTS):
        raise KQAError(f"--ckpt_path {path}: that is no checkpoint written by `fit`")
    return checkpoint


class CheckpointFiles(TorchCheckpointIO):
    """How the trainer writes and reads checkpoints.

    Lightning's own way stages in TMPDIR and moves across file systems, which on a full disk leaves half a file in
    the place of a good one.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Write ``checkpoint`` to ``path`` whole, or leave what is there.

        Raises:
            KQAError: the file cannot be written.
        """
        try:
            with written_whole(Path(path)) as scratch:
                torch.save(checkpoint, scratch)
        except (OSError, RuntimeError) as error:  # torch's zip writer raises the latter on a full disk
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error).partition("\n")[0]
            raise KQAError(f"checkpoint {path} cannot be written, is the disk full? {reason}") from error

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

"""Draws how fast training goes, and what it costs."""

import re
import sys
import time
from collections import deque
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from kqa_lightning.data.packing import PackedBatch


@dataclass(frozen=True)
class Work:
    """What a batch was.

    Args:
        seconds: From the end of the batch before to its own, the wait for the loader included.
        answers: Gold answers learned from.
        computed: Tokens computed, padding left out.
        separate: Tokens that a row for each question would have had.
        cells: Tokens computed with padding.
    """

    seconds: float
    answers: int
    computed: int
    separate: int
    cells: int


class Throughput(Callback):
    """Logs, as means over the latest batches, ``train/answers_per_second``, ``train/tokens_per_second`` (computed),
    ``train/separate_tokens_per_second`` (what a row for each question would have had to compute in that time),
    ``train/padding_share`` and ``train/peak_memory_gib`` (of the GPU, or of the process where there is none).
    Of several processes, the first logs its own.

    Args:
        window: Batches to take the mean over.
    """

    def __init__(self, window: int = 20) -> None:
        self._work: deque[Work] = deque(maxlen=window)
        self._since = 0.0
        self._step = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock: a run that goes on in mid-epoch has no start of that epoch."""
        self._since = time.perf_counter()
        self._step = trainer.global_step

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start it anew: what comes between two epochs is no training."""
        self._since = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start it anew: a validation is no training."""
        self._since = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: PackedBatch, batch_idx: int
    ) -> None:
        """Log the figures, where the batch ends an optimizer step: those of others would not be drawn."""
        now = time.perf_counter()
        self._work.append(measure(batch, now - self._since))
        self._since = now
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        pl_module.log_dict(figures(self._work) | {"train/peak_memory_gib": peak_memory(pl_module.device) / 2**30})


def measure(batch: PackedBatch, seconds: float) -> Work:
    """What a batch was, which took so long."""
    computed = sum(map(len, batch.articles))
    separate = sum(len(one.prefix_ids) + len(question) for one in batch.articles for question in one.questions)
    return Work(seconds, len(batch.answer_lengths), computed, separate, batch.input_ids.numel())


def figures(work: "deque[Work]") -> dict[str, float]:
    """The means over some batches, by the name they are logged under."""
    seconds, answers, computed, separate, cells = (sum(values) for values in zip(*map(astuple, work), strict=True))
    return {
        "train/answers_per_second": answers / seconds,
        "train/tokens_per_second": computed / seconds,
        "train/separate_tokens_per_second": separate / seconds,
        "train/padding_share": 1 - computed / max(cells, 1),
    }


def peak_memory(device: torch.device) -> int:
    """Bytes: the most that was allocated on a GPU, or that the process had where there is none; 0 if not known."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return _own_peak() if sys.platform == "linux" else _peak_usage()


def _own_peak() -> int:
    """Bytes, of this program alone: Linux carries what getrusage says from a parent into the program it starts."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        status = ""
    found = re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else _peak_usage()


def _peak_usage() -> int:
    if sys.platform == "win32":
        return 0
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024  # kibibytes elsewhere

"""``fit`` with the same settings up to its first step, without the model's weights and without writing anything."""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser
from transformers import PreTrainedModel

from kqa_lightning.cli import KQACLI, outcome
from kqa_lightning.doctor.findings import Finding
from kqa_lightning.doctor.room import look_at_disk, look_at_memory, needed_on_disk
from kqa_lightning.errors import KQAError
from kqa_lightning.model.memory import Memory, empty_base, estimate_memory
from kqa_lightning.model.module import KQAModule
from kqa_lightning.trainer import KQATrainer

_FLAG = re.compile(r"--([a-z][\w.]*)")


class UnloadedModule(KQAModule):
    """The module with a base of shapes alone: all is checked that is checked when a model is made."""

    def load_base(self, device: torch.device | str) -> PreTrainedModel:
        """The base without weights."""
        return empty_base(
            self.base_model,
            quantization=self.quantization,
            precision=self.precision,
            attn_implementation=self.attn_implementation,
            on_cpu=torch.device(device).type == "cpu",
        )

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Compare the checkpoint with the run; its optimizer is of weights that there are none of."""
        super().on_load_checkpoint(checkpoint)
        checkpoint["optimizer_states"] = []

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Nothing: there are no weights to put others in the place of."""

    def _apply(self, fn: Callable, recurse: bool = True) -> Self:
        """Move nothing to another device: there is nothing to move, which torch refuses."""
        return self


class _Ready(Exception):
    """Nothing has stopped the run, and its work would begin."""


class _Curtain(Callback):
    """Ends a rehearsal where the work would begin, or where there is none, before any other callback writes."""

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End it."""
        raise _Ready

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End it."""
        raise _Ready

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End it."""
        raise _Ready

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """End it."""
        raise _Ready


class Rehearsal(KQACLI):
    """The settings of a ``fit``, parsed and tried as that command does.

    Args:
        args: The options of the command.

    Raises:
        KQAError: an option that there is not, or a value that is none for it.
    """

    module_class = UnloadedModule

    def __init__(self, args: list[str]) -> None:
        self._asked_for: KQATrainer | None = None
        super().__init__(args, run=False)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The groups, and what only a command has."""
        super().add_arguments_to_parser(parser)
        parser.add_argument("--ckpt_path", type=str | None, default=None, help="As for fit.")

    def before_instantiate_classes(self) -> None:
        """Nothing is saved."""

    def instantiate_classes(self) -> None:
        """Nothing is made yet: `findings` reports what cannot be."""

    def after_instantiate_classes(self) -> None:
        """There is no command to give the checkpoint's path to."""

    def expect_others(self, trainer: KQATrainer) -> None:
        """No other process is started."""

    def findings(self) -> Iterator[Finding]:
        """What ``fit`` would refuse, and what it would take of this machine."""
        status, text = outcome(self._rehearse)
        if status in (130, 143):
            raise KeyboardInterrupt
        refusal = text.removeprefix("error: ")
        if status:
            yield Finding(_about(refusal), refusal, stops=True)
        try:
            memory = self._memory()
        except KQAError as error:
            if not status or _about(str(error)) != _about(refusal):  # what is refused first hides what comes later
                yield Finding(_about(str(error)), str(error), stops=True)
            memory = None
        if memory is not None:
            yield from look_at_memory(memory, self.datamodule.row_limit, *self._devices())
        root = Path(self.config.trainer.default_root_dir)
        yield look_at_disk("disk, root dir", root, 0 if memory is None else needed_on_disk(memory))

    def _rehearse(self) -> None:
        super().instantiate_classes()
        trainer = self._asked_for = self._kqa_trainer()
        if trainer.world_size > 1:  # what several processes are refused, one of them is refused too
            self.trainer = self.instantiate_trainer(strategy="auto", devices=1, num_nodes=1)
            trainer = self._kqa_trainer()
        trainer.callbacks.insert(0, _Curtain())
        with contextlib.suppress(_Ready):
            trainer.fit(self.model, self.datamodule, ckpt_path=self.ckpt_path)

    def _kqa_trainer(self) -> KQATrainer:
        assert isinstance(self.trainer, KQATrainer)
        return self.trainer

    def _memory(self) -> Memory | None:
        """What each process takes; None where the settings that decide it are refused."""
        model, data = getattr(self, "model", None), getattr(self, "datamodule", None)
        if model is None or data is None or data.row_limit < 1:
            return None
        return estimate_memory(
            model.base_model,
            model.lora,
            quantization=model.quantization,
            precision=model.precision,
            attn_implementation=model.attn_implementation,
            tokens=data.row_limit,
            gradient_checkpointing=model.gradient_checkpointing,
            on_cpu=not self._devices()[1],
        )

    def _devices(self) -> tuple[int, list[int]]:
        """The processes on this machine, and the numbers of the GPUs that they run on."""
        trainer = self._asked_for
        if trainer is None:  # it is refused itself
            return 1, [0] if torch.cuda.is_available() and self.config.trainer.accelerator != "cpu" else []
        on_gpus = trainer.strategy.root_device.type == "cuda"
        return trainer.num_devices, list(trainer.device_ids) if on_gpus else []


def _about(refusal: str) -> str:
    """The setting that a refusal names first."""
    named = _FLAG.search(refusal)
    return "fit" if named is None else named[1].rstrip(".")

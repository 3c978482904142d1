"""The adapter folder of a run, in PEFT format: written whole, by one process, from the model or from best.ckpt."""

import torch
from safetensors import SafetensorError

from kqa_lightning.checkpoints import read_checkpoint
from kqa_lightning.errors import KQAError
from kqa_lightning.files import folder_written_whole
from kqa_lightning.model.module import KQAModule
from kqa_lightning.trainer import KQATrainer


def write_adapter(trainer: KQATrainer, module: KQAModule) -> None:
    """Write the present adapters; each process of the run has to ask.

    Raises:
        KQAError: they cannot be written.
    """
    adapter = trainer.folder.adapter
    if trainer.is_global_zero:
        try:
            with folder_written_whole(adapter) as scratch:
                module.export_adapter(scratch)
        except (OSError, SafetensorError) as error:
            raise KQAError(f"{adapter} cannot be written: {error}") from error
    trainer.strategy.barrier("the adapter is written")


def write_best_adapter(trainer: KQATrainer, module: KQAModule) -> None:
    """Write best.ckpt's adapters, whatever the model's are, which it keeps.

    Raises:
        KQAError: they cannot be written, or best.ckpt cannot be read.
    """
    best = read_checkpoint(trainer.folder.best)["state_dict"]
    with torch.no_grad():
        tensors = {name: tensor for name, tensor in module.named_parameters() if name in best}
        present = {name: tensor.clone() for name, tensor in tensors.items()}
        for name, tensor in tensors.items():
            tensor.copy_(best[name])
        write_adapter(trainer, module)
        for name, tensor in tensors.items():
            tensor.copy_(present[name])


def complete_adapter(trainer: KQATrainer, module: KQAModule, is_best: bool) -> str:
    """Make sure, at the end of a run, that its folder holds an adapter; each process of the run has to ask.

    Args:
        trainer: Of the run.
        module: With the last weights.
        is_best: Whether the run itself wrote the adapter, from the weights of best.ckpt. Where it did not, the run
            before was stopped between the two, or whatever has become of it since.

    Returns:
        What is to be said where it is not the adapter of best.ckpt; otherwise nothing.

    Raises:
        KQAError: it cannot be written.
    """
    folder = trainer.folder
    # The first process says what there is: another could see a file that is being written.
    found = (folder.best.exists(), folder.best_is_lost(), folder.adapter.exists())
    has_best, is_lost, has_adapter = trainer.strategy.broadcast(found)
    if is_lost and has_adapter:
        return f"{folder.adapter} is as it was, {folder.best} cannot be read; the end: {folder.last}"
    if is_lost or not has_best:
        write_adapter(trainer, module)
        why = f"{folder.best} cannot be read" if is_lost else "nothing was validated"
        return f"{why}: {folder.adapter} holds the last weights"
    if not is_best:
        write_best_adapter(trainer, module)
    return ""

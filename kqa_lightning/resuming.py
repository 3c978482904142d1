"""What a run that goes on may change of what its checkpoint was written with, and what it may not."""

from typing import Any

from lightning.pytorch import Trainer

from kqa_lightning.data.datamodule import data_of
from kqa_lightning.errors import KQAError
from kqa_lightning.model.module import KQAModule


def written_with(trainer: Trainer, module: KQAModule) -> dict[str, Any]:
    """What a checkpoint holds of the run's settings and data, to be compared by the run that goes on from it."""
    return {"changeable": _changeable(trainer, module), "training_data": _training_data(trainer)}


def changes(checkpoint: dict[str, Any], trainer: Trainer, module: KQAModule) -> list[str]:
    """The settings that the command line changes, each as ``--option now (it was before)``.

    Args:
        checkpoint: The run goes on from it; an old one may lack what is compared.
        trainer: Of the run that goes on.
        module: Of the run that goes on.
    """
    before, now = checkpoint.get("changeable", {}), _changeable(trainer, module)
    return [f"{name} {now[name]} (it was {old})" for name, old in before.items() if now.get(name, old) != old]


def check_data(checkpoint: dict[str, Any], trainer: Trainer) -> None:
    """Refuse to go on with other questions: the checkpoint says how many batches of its own were read.

    Raises:
        KQAError: with both fingerprints of the training data.
    """
    before, now = checkpoint.get("training_data"), _training_data(trainer)
    if before not in (None, now):
        raise KQAError(
            f"checkpoint {trainer.ckpt_path} was trained on data with fingerprint {before[:12]}, and this run has"
            f" {now[:12]}: to go on, pass the same table and the same --data flags"
        )


def _changeable(trainer: Trainer, module: KQAModule) -> dict[str, Any]:
    """What a run may go on with otherwise, by its option."""
    return {
        "--model.learning_rate": module.learning_rate,
        "--model.weight_decay": module.weight_decay,
        "--trainer.max_epochs": trainer.max_epochs,
        "--trainer.max_steps": trainer.max_steps,
    }


def _training_data(trainer: Trainer) -> str:
    return data_of(trainer).articles["train"].fingerprint

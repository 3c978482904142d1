"""What the tests of going on read of a run folder, and the options of the finished run that they compare with."""

from pathlib import Path

import torch

LAST, BEST, ADAPTER = "checkpoints/last.ckpt", "checkpoints/best.ckpt", "adapter/adapter_model.safetensors"
# As the finished run, which it is compared to, but for how often last.ckpt is written.
LIKE_FITTED = (
    *("--trainer.max_epochs", "2", "--trainer.val_check_interval", "3"),
    *("--checkpoint.every_n_train_steps", "2"),
)


def load(path: Path) -> dict:
    return torch.load(path, weights_only=True)


def same_weights(one: Path, other: Path) -> bool:
    first, second = load(one)["state_dict"], load(other)["state_dict"]
    return list(first) == list(second) and all(torch.equal(first[name], second[name]) for name in first)


def in_checkpoint(name: str) -> str:
    """The name in a checkpoint of a tensor of the PEFT file."""
    return "model." + name.replace(".weight", ".default.weight")

"""A callback that spoils gradients, as an overflow would; the command line builds it by class path."""

from lightning.pytorch import Callback, LightningModule, Trainer


class Poison(Callback):
    """Makes one gradient no number in some optimizer steps.

    Args:
        steps: The steps, counted from 1.
        value: What to put in.
    """

    def __init__(self, steps: list[int], value: float = float("nan")) -> None:
        self.steps, self.value = steps, value

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_step + 1 in self.steps:
            gradient = next(p.grad for p in pl_module.parameters() if p.grad is not None)
            gradient.view(-1)[0] = self.value

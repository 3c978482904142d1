"""Prints the figures of each validation and test."""

from lightning.pytorch import Callback, LightningModule, Trainer


class ResultPrinter(Callback):
    """Prints one line of figures on stdout when a validation or a test is over."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the ``val/`` figures."""
        if not trainer.sanity_checking:
            _print(trainer, "val/")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the ``test/`` figures."""
        _print(trainer, "test/")


def _print(trainer: Trainer, prefix: str) -> None:
    figures = {name: value for name, value in trainer.callback_metrics.items() if name.startswith(prefix)}
    step = f"step {trainer.global_step}: " if trainer.global_step else ""
    if figures:
        trainer.print(step + "  ".join(f"{name} {float(figures[name]):.4f}" for name in sorted(figures)))

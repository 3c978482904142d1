"""Saves the settings of a command in its run folder, in a form that any command takes as --config."""

from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback

from kqa_lightning.files import written_whole

# Of one command alone: in another command's --config they would, say, resume a run that nobody asked to resume.
UNSHAREABLE = ("ckpt_path", "config")


class RunConfig(SaveConfigCallback):
    """Writes ``<command>.yaml`` when the work starts: wrong input has been refused by then and overwrites nothing.

    Args:
        args: As for Lightning's SaveConfigCallback.
        kwargs: As for Lightning's SaveConfigCallback; ``config_filename`` names the file.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Nothing yet."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save before training."""
        self.save(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save before a validation."""
        self.save(trainer)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save before a test."""
        self.save(trainer)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save before a prediction."""
        self.save(trainer)

    def save(self, trainer: Trainer) -> None:
        """Write the file into the trainer's root dir, once."""
        if self.already_saved or not trainer.is_global_zero:
            return
        config: Any = self.config.clone()
        for key in UNSHAREABLE:
            config.pop(key, None)
        text = self.parser.dump(config, skip_unset=False, skip_validation=True)
        with written_whole(Path(trainer.default_root_dir) / self.config_filename) as scratch:
            scratch.write_text(text, encoding="utf-8")
        self.already_saved = True

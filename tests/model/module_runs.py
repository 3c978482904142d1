"""Small tables and runs of the module under a trainer without callbacks of its own, for its tests."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from kqa_lightning.data.datamodule import KQADataModule
from kqa_lightning.data.prompts import Prompt
from kqa_lightning.model.module import KQAModule

COMPANIES = ("한빛전자", "서울제강", "동방식품", "미래화학", "대한조선", "푸른통신")


def table(path: Path, count: int, first: int = 0) -> Path:
    """A CSV of ``count`` articles with two or three questions each."""
    rows = ["id,context,question,answer"]
    for i in range(first, first + count):
        company, amount = COMPANIES[i % len(COMPANIES)], f"{100 + 7 * i}억원"
        article = f"{company}의 올해 매출은 {amount}이다. 대표는 김{company[0]}수다."
        asked = [("올해 매출은?", amount), ("어느 회사인가?", company), ("대표는 누구인가?", f"김{company[0]}수")]
        rows += [f"Q{i}_{k},{article},{question},{gold}" for k, (question, gold) in enumerate(asked[: 2 + i % 2])]
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


def data(base: Path, tables: dict[str, str], prompt: Prompt, **kwargs: Any) -> KQADataModule:
    return KQADataModule(str(base), prompt, **{"tokens_per_batch": 400, **tables, **kwargs})


def module(base: Path, **kwargs: Any) -> KQAModule:
    return KQAModule(str(base), **{"precision": "fp32", "learning_rate": 5e-3, "max_new_tokens": 8, **kwargs})


def trainer(*callbacks: Callback, **kwargs: Any) -> Trainer:
    settings: dict[str, Any] = {
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_model_summary": False,
        "enable_progress_bar": False,
        "num_sanity_val_steps": 0,
        "use_distributed_sampler": False,
    }
    return Trainer(callbacks=list(callbacks), **{**settings, **kwargs})


def adapters(made: KQAModule) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in made.named_parameters() if p.requires_grad}


class Recorder(Callback):
    """Each step's loss, learning rate and weight decay; stops, with a checkpoint, after ``stop_at`` steps."""

    def __init__(self, stop_at: int | None = None, path: Path | None = None) -> None:
        self.stop_at, self.path = stop_at, path
        self.losses: list[float] = []
        self.rates: list[float] = []
        self.decays: list[float] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        group = trainer.optimizers[0].param_groups[0]
        self.rates.append(group["lr"])
        self.decays.append(group["weight_decay"])

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.losses.append(trainer.callback_metrics["train/loss"].item())
        if trainer.global_step == self.stop_at:
            trainer.save_checkpoint(self.path)
            trainer.should_stop = True

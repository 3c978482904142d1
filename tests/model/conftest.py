"""Fixtures of the model side: random bases on disk, read through the real loading code."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from module_runs import table
from peft import PeftModel
from random_models import randomise, save_base

from kqa_lightning.model.base import LoRA, attach_lora, load_base_model
from kqa_lightning.model.fused import fuse


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of random bases: gemma2 (its window of 16 is exceeded by most articles here) and llama."""
    root = tmp_path_factory.mktemp("bases")
    return {family: save_base(family, root / family) for family in ("gemma2", "llama")}


@pytest.fixture(scope="session")
def small_bases(tmp_path_factory: pytest.TempPathFactory, tiny_bases: dict[str, Path]) -> dict[str, Path]:
    """Random bases of two layers that read text: each with the tokenizer of a bundled base."""
    root = tmp_path_factory.mktemp("small")
    for family in ("gemma2", "nous"):
        size = json.loads((tiny_bases[family] / "config.json").read_text())["vocab_size"]
        save_base(family, root / family, vocab_size=size, num_hidden_layers=2)
        for file in tiny_bases[family].glob("tokenizer*"):
            shutil.copy(file, root / family)
    return {family: root / family for family in ("gemma2", "nous")}


@pytest.fixture(scope="session")
def make_model(bases: dict[str, Path]) -> Callable[..., PeftModel]:
    """A factory of models with LoRA whose adapters are random: at LoRA's start half of the gradients are zero."""

    def make(family: str, quantization: str = "nf4", seed: int = 0, randomised: bool = True, **kwargs) -> PeftModel:
        lora = kwargs.pop("lora", LoRA(r=4, alpha=8))
        checkpointing = kwargs.pop("gradient_checkpointing", False)
        torch.manual_seed(seed)
        base = load_base_model(str(bases[family]), quantization=quantization, **{"precision": "fp32", **kwargs})
        model = attach_lora(base, lora, gradient_checkpointing=checkpointing)
        if randomised:
            randomise(model, seed)
        fuse(model)  # as `fit` does
        return model

    return make


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Paths of three small tables, by the names of the data module's arguments."""
    folder = tmp_path_factory.mktemp("tables")
    return {
        "train_path": str(table(folder / "train.csv", 6)),
        "val_path": str(table(folder / "val.csv", 3, first=6)),
        "predict_path": str(table(folder / "predict.csv", 4, first=9)),
    }

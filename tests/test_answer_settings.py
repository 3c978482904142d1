"""What decides the answers: content and not names, and every setting that is not known to decide none."""

import inspect
from pathlib import Path

import pytest
import torch

from kqa_lightning.answer_settings import _OF_OTHER_PARTS, _OF_TRAINING, adapter_digest
from kqa_lightning.data.datamodule import KQADataModule
from kqa_lightning.model.module import KQAModule
from kqa_lightning.model.source import source_digest

A, B = "layer.lora_A.default.weight", "layer.lora_B.default.weight"


def test_adapters_are_told_apart_by_name_and_value() -> None:
    ones, others = torch.ones(2, 3), torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0 + 1e-6]])
    same = adapter_digest({A: ones, B: ones})
    assert adapter_digest({B: ones.clone(), A: ones.clone()}) == same
    different = [{A: ones, B: others}, {A: others, B: ones}, {"other": ones, B: ones}, {A: ones.bfloat16(), B: ones}]
    assert len({same, *map(adapter_digest, different)}) == 5


def test_new_adapters_change_no_answer() -> None:
    assert adapter_digest({}) == adapter_digest({A: torch.rand(2, 3), B: torch.zeros(3, 2)}) == "none"


def test_a_base_is_told_by_its_content(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}", encoding="utf-8")
        (tmp_path / name / "model.safetensors").write_bytes(bytes(5 << 20))
    one = source_digest(str(tmp_path / "one"))
    assert source_digest(str(tmp_path / "two")) == one
    with (tmp_path / "two" / "model.safetensors").open("r+b") as file:
        file.seek((5 << 20) - 1)
        file.write(b"x")
    assert source_digest(str(tmp_path / "two")) != one
    (tmp_path / "one" / "config.json").write_text('{"rope_theta": 1}', encoding="utf-8")
    assert source_digest(str(tmp_path / "one")) != one


@pytest.mark.parametrize(("owner", "left_out"), [(KQAModule, _OF_TRAINING), (KQADataModule, _OF_OTHER_PARTS)])
def test_only_settings_that_there_are_are_left_out(owner: type, left_out: set[str]) -> None:
    assert left_out <= set(inspect.signature(owner).parameters)

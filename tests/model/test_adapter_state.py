import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from random_models import LAYERS, save_base

from kqa_lightning.errors import KQAError
from kqa_lightning.model.adapter_state import IDENTITY_KEY, AdapterIdentity, check_identity
from kqa_lightning.model.base import LoRA
from kqa_lightning.model.module import KQAModule

SMALL = LoRA(r=4)
TENSORS = LAYERS * 7 * 2


def module(base: Path, lora: LoRA = SMALL, **kwargs: Any) -> KQAModule:
    made = KQAModule(str(base), lora, precision="fp32", **kwargs)
    made.configure_model()
    return made


def saved(made: KQAModule) -> dict[str, Any]:
    checkpoint: dict[str, Any] = {"state_dict": made.state_dict()}
    made.on_save_checkpoint(checkpoint)
    return checkpoint


def test_a_checkpoint_holds_the_adapters_alone_in_fp32(bases: dict[str, Path], tmp_path: Path) -> None:
    made = module(bases["gemma2"])
    checkpoint = saved(made)
    state = checkpoint["state_dict"]
    assert len(state) == TENSORS
    assert all("lora_" in name and tensor.dtype == torch.float32 for name, tensor in state.items())
    torch.save(checkpoint, tmp_path / "x.ckpt")
    loaded = torch.load(tmp_path / "x.ckpt", weights_only=True)
    assert loaded[IDENTITY_KEY]["base_model"] == str(bases["gemma2"])
    assert loaded[IDENTITY_KEY] == checkpoint[IDENTITY_KEY]
    made.on_load_checkpoint(loaded)
    assert not made.strict_loading


def test_adapters_of_another_family_are_refused_with_both_values(bases: dict[str, Path]) -> None:
    checkpoint = saved(module(bases["gemma2"]))
    with pytest.raises(KQAError) as caught:
        module(bases["llama"]).on_load_checkpoint(checkpoint)
    message = str(caught.value)
    assert f"belongs to base model {bases['gemma2']}, this run has {bases['llama']}" in message
    assert "model_type gemma2, here llama" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"vocab_size": 101}, "vocab_size 97, here 101"),
        ({"num_hidden_layers": 3}, "num_layers 2, here 3"),
        ({"hidden_size": 128}, "hidden_size 64, here 128"),
    ],
)
def test_adapters_of_another_size_are_refused(
    bases: dict[str, Path], tmp_path: Path, changes: dict[str, int], said: str
) -> None:
    checkpoint = saved(module(bases["llama"]))
    with pytest.raises(KQAError, match=said):
        module(save_base("llama", tmp_path, **changes)).on_load_checkpoint(checkpoint)


@pytest.mark.parametrize(
    ("lora", "said"),
    [
        (LoRA(r=8), "lora_r 4, here 8"),
        (LoRA(r=4, alpha=16), "lora_alpha 8, here 16"),
        (LoRA(r=4, target_modules=("q_proj",)), r"lora_targets \[.*\], here \['q_proj'\]"),
    ],
)
def test_adapters_of_another_shape_are_refused(bases: dict[str, Path], lora: LoRA, said: str) -> None:
    checkpoint = saved(module(bases["llama"]))
    with pytest.raises(KQAError, match=said) as caught:
        module(bases["llama"], lora).on_load_checkpoint(checkpoint)
    assert str(caught.value).count(str(bases["llama"])) == 1  # not: belongs to X, this run has X


def test_adapters_of_other_weights_of_the_same_shape_are_refused(bases: dict[str, Path], tmp_path: Path) -> None:
    checkpoint = saved(module(bases["llama"]))
    other = module(save_base("llama", tmp_path, seed=1))
    one, here = (f"{made[IDENTITY_KEY]['probe'][0]:.4g}, " for made in (checkpoint, saved(other)))
    with pytest.raises(KQAError, match=f"other embedding weights, {one}.*, here {here}"):
        other.on_load_checkpoint(checkpoint)


def test_a_base_that_moved_is_accepted_aloud(bases: dict[str, Path], tmp_path: Path) -> None:
    checkpoint = saved(module(bases["llama"]))
    moved = Path(shutil.copytree(bases["llama"], tmp_path / "moved"))
    with pytest.warns(UserWarning, match=f"was trained on {bases['llama']}; its adapters are used on {moved}"):
        module(moved).on_load_checkpoint(checkpoint)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_the_same_base_is_known_in_every_precision(make_model: Callable[..., PeftModel], precision: str) -> None:
    stored = AdapterIdentity.of(make_model("llama", precision="fp32"), "base").as_dict()
    here = AdapterIdentity.of(make_model("llama", precision=precision, quantization="none"), "base")
    check_identity(stored, here, "x.ckpt")
    other = replace(here, probe=[1.1 * number for number in here.probe])
    with pytest.raises(KQAError, match="other embedding weights"):
        check_identity(stored, other, "x.ckpt")


@pytest.mark.parametrize("stored", [None, {}, {"base_model": "x"}, "gemma2"])
def test_a_foreign_checkpoint_is_refused(bases: dict[str, Path], stored: object) -> None:
    made = module(bases["llama"])
    with pytest.raises(KQAError, match="is not a checkpoint of kqa_lightning"):
        made.on_load_checkpoint({**saved(made), IDENTITY_KEY: stored})


def test_incomplete_adapters_are_refused(bases: dict[str, Path]) -> None:
    made = module(bases["llama"])
    checkpoint = saved(made)
    name = next(iter(checkpoint["state_dict"]))
    tensor = checkpoint["state_dict"].pop(name)
    with pytest.raises(KQAError, match=f"lacks 1 of {TENSORS} adapter tensors, first {name}"):
        made.on_load_checkpoint(checkpoint)
    checkpoint["state_dict"][name] = tensor[:1]
    with pytest.raises(KQAError, match=f"has other shapes of 1 of {TENSORS}"):
        made.on_load_checkpoint(checkpoint)
    checkpoint["state_dict"][name] = tensor
    checkpoint["state_dict"]["more"] = tensor
    with pytest.raises(KQAError, match=f"has unknown 1 of {TENSORS} adapter tensors, first more"):
        made.on_load_checkpoint(checkpoint)

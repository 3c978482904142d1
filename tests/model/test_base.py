import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from bitsandbytes.functional import dequantize_4bit, has_avx512bf16, quantize_4bit
from bitsandbytes.nn import Linear4bit
from peft import PeftModel
from random_models import LAYERS, PAD, random_article, save_base
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    BloomConfig,
    FalconConfig,
    Gemma2Config,
    LlamaConfig,
    MptConfig,
    PreTrainedConfig,
)

from kqa_lightning.data.packing import pack
from kqa_lightning.errors import KQAError
from kqa_lightning.model.attention import choose_attention
from kqa_lightning.model.base import ALL_PROJECTIONS, LoRA, attach_lora, load_base_model
from kqa_lightning.model.loss import token_losses


@pytest.mark.parametrize("family", ["gemma2", "llama"])
@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_layers_are_nf4_and_the_rest_has_the_precision(
    bases: dict[str, Path], family: str, precision: str, dtype: torch.dtype
) -> None:
    model = load_base_model(str(bases[family]), precision=precision)  # type: ignore[arg-type]
    linears = {name: m for name, m in model.named_modules() if isinstance(m, Linear4bit)}
    assert len(linears) == LAYERS * len(ALL_PROJECTIONS)
    assert {name.rsplit(".")[-1] for name in linears} == set(ALL_PROJECTIONS)
    for linear in linears.values():
        assert linear.weight.dtype == torch.uint8
        assert linear.weight.quant_state.quant_type == "nf4"
        assert not linear.weight.quant_state.nested
        assert linear.compute_dtype == dtype
    others = [p for p in model.parameters() if p.dtype != torch.uint8]
    assert {p.dtype for p in others} == {dtype}
    assert not any(p.requires_grad for p in model.parameters())
    assert model.config._attn_implementation == ("blockwise" if family == "gemma2" else "packed_sdpa")


def test_without_quantisation_the_layers_are_whole(bases: dict[str, Path]) -> None:
    model = load_base_model(str(bases["llama"]), quantization="none", precision="fp32")
    assert not any(isinstance(module, Linear4bit) for module in model.modules())
    name = "model.layers.0.mlp.up_proj.weight"
    assert torch.equal(model.state_dict()[name], load_file(bases["llama"] / "model.safetensors")[name])


@pytest.mark.parametrize("family", ["gemma2", "llama"])
def test_only_fp32_adapters_are_trainable(make_model: Callable[..., PeftModel], family: str) -> None:
    model = make_model(family, precision="bf16", randomised=False)
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert len(trainable) == LAYERS * len(ALL_PROJECTIONS) * 2
    assert all("lora_" in name and p.dtype == torch.float32 for name, p in trainable.items())
    assert model.get_input_embeddings().weight.dtype == torch.bfloat16
    assert model.training


def test_target_modules_may_be_left_to_peft(make_model: Callable[..., PeftModel]) -> None:
    model = make_model("llama", lora=LoRA(r=8, alpha=16, dropout=0.1, target_modules=None))
    assert set(model.peft_config["default"].target_modules) == {"q_proj", "v_proj"}


def test_lora_that_fits_no_layer_is_refused(bases: dict[str, Path]) -> None:
    base = load_base_model(str(bases["llama"]), precision="fp32")
    with pytest.raises(KQAError, match=r"--model.lora does not fit.*c_attn"):
        attach_lora(base, LoRA(target_modules=("c_attn",)))
    with pytest.raises(KQAError, match=r"--model.lora does not fit"):
        attach_lora(base, LoRA(r=0))


def gradients(model: PeftModel) -> dict[str, torch.Tensor]:
    model.train()
    model.zero_grad()
    token_losses(model, pack([random_article(1, 30, [(6, 3), (5, 2)])], PAD)).mean().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def evaluate(model: PeftModel) -> None:
    model.eval()
    with torch.no_grad():
        token_losses(model, pack([random_article(2, 30, [(6, 3)])], PAD))


@pytest.mark.parametrize("family", ["gemma2", "llama"])
def test_an_evaluation_leaves_later_gradients_as_they_were(make_model: Callable[..., PeftModel], family: str) -> None:
    model = make_model(family)
    before = gradients(model)
    evaluate(model)
    after = gradients(model)
    assert len(before) == LAYERS * len(ALL_PROJECTIONS) * 2
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.skipif(not has_avx512bf16(), reason="bitsandbytes repacks weights only on CPUs with AVX512-BF16")
def test_the_guard_against_repacking_is_still_needed(make_model: Callable[..., PeftModel]) -> None:
    model = make_model("llama")
    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = True
    before = gradients(model)
    evaluate(model)
    after = gradients(model)
    assert any(not torch.allclose(before[name], after[name]) for name in before), "bitsandbytes has mended its fault"


@pytest.mark.parametrize("family", ["gemma2", "llama"])
def test_gradient_checkpointing_changes_nothing_but_memory(make_model: Callable[..., PeftModel], family: str) -> None:
    expected, layer_runs = {}, []
    for checkpointing in (False, True):
        model = make_model(family, gradient_checkpointing=checkpointing)
        runs: list[int] = []
        model.base_model.model.model.layers[0].mlp.act_fn.register_forward_hook(lambda *_, runs=runs: runs.append(1))
        expected[checkpointing] = gradients(model)
        layer_runs.append(len(runs))
    assert layer_runs == [1, 2]
    with_checkpoints = make_model(family, gradient_checkpointing=True)
    adapters = [parameter for parameter in with_checkpoints.parameters() if parameter.requires_grad]
    # Only of checkpoints that are not re-entrant PyTorch gives gradients in this way.
    assert len(
        torch.autograd.grad(
            token_losses(with_checkpoints, pack([random_article(1, 30, [(6, 3)])], PAD)).sum(), adapters
        )
    ) == len(adapters)
    for name, gradient in expected[False].items():  # the last layer is computed whole where layers are computed again
        assert (expected[True][name] - gradient).norm() / gradient.norm() < 1e-5, name


def test_products_too_small_for_a_full_mantissa_are_zero_on_a_cpu(bases: dict[str, Path]) -> None:
    """In all threads: those that were made before keep what they had, so that the process must not have any yet."""
    code = (
        "import sys, torch; from kqa_lightning.model.base import load_base_model; torch.set_num_threads(2);"
        " small = lambda: (torch.full((1 << 20,), 1e-39) * 0.5).view(torch.int32).count_nonzero().item();"
        " load_base_model(sys.argv[1], precision='fp32'); print(small())"
    )
    command = [sys.executable, "-c", code, str(bases["llama"])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0"]
    torch.set_flush_denormal(False)
    assert torch.tensor(1e-39) * 0.5 != 0


def test_attention_known_to_be_wrong_is_refused_with_its_reason() -> None:
    gemma2, llama = Gemma2Config(), LlamaConfig()
    assert choose_attention(gemma2, None, "bf16") == "eager"
    assert choose_attention(gemma2, None, "bf16", on_cpu=True) == "blockwise"
    assert choose_attention(llama, None, "fp16") == choose_attention(llama, None, "fp32", on_cpu=True) == "packed_sdpa"
    assert choose_attention(llama, "eager", "bf16") == "eager"
    with pytest.raises(KQAError, match="sdpa drops the soft cap"):
        choose_attention(gemma2, "sdpa", "bf16")
    with pytest.raises(KQAError, match="packed_sdpa drops the soft cap"):
        choose_attention(gemma2, "packed_sdpa", "bf16")
    with pytest.raises(KQAError, match="fp16 is numerically unstable with gemma2"):
        choose_attention(gemma2, None, "fp16")
    assert choose_attention(gemma2, "flex_attention", "bf16") == "flex_attention"
    with pytest.raises(KQAError, match=r"flex_attention cannot train on a CPU.*use blockwise"):
        choose_attention(gemma2, "flex_attention", "fp32", on_cpu=True)
    dropping = Gemma2Config(attention_dropout=0.1)
    assert choose_attention(dropping, None, "fp32", on_cpu=True) == "eager"
    with pytest.raises(KQAError, match=r"blockwise has no dropout of attention weights.*use eager"):
        choose_attention(dropping, "blockwise", "fp32")
    with pytest.raises(KQAError, match="flash_attention_2 is not supported"):
        choose_attention(llama, "flash_attention_2", "bf16")


@pytest.mark.parametrize("kind", ["qwen3_next", "falcon_h1", "llama4_text", "mamba", "rwkv"])
def test_layers_that_carry_one_question_into_the_next_are_refused(kind: str) -> None:
    with pytest.raises(KQAError, match=f"--model.base_model: {kind} has .*cannot be kept apart"):
        choose_attention(AutoConfig.for_model(kind), None, "fp32")


@pytest.mark.parametrize("kind", ["mistral", "qwen3", "gemma3_text", "exaone4", "cohere2"])
def test_layers_of_full_or_sliding_attention_are_taken(kind: str) -> None:
    known = kind in ("mistral", "qwen3")
    assert choose_attention(AutoConfig.for_model(kind), None, "fp32") == ("packed_sdpa" if known else "sdpa")


def test_weights_that_are_not_there_are_reported(tmp_path: Path) -> None:
    folder = save_base("llama", tmp_path / "base")
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(KQAError, match=r"--model.base_model .*base: the folder cannot be loaded: .*safetensors"):
        load_base_model(str(folder), precision="fp32")


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_positions_that_change_with_the_batch_are_refused(kind: str) -> None:
    config = LlamaConfig()
    config.rope_parameters = {"rope_type": kind, "factor": 4.0, "rope_theta": 10000.0}
    with pytest.raises(KQAError, match=f"llama has rotary embeddings of the type {kind}"):
        choose_attention(config, None, "bf16")
    assert choose_attention(LlamaConfig(), None, "bf16") == "packed_sdpa"


@pytest.mark.parametrize(
    "config", [BloomConfig(), MptConfig(), FalconConfig(alibi=True)], ids=lambda one: one.model_type
)
def test_biases_by_distance_in_columns_are_refused(config: PreTrainedConfig) -> None:
    """MPT's were otherwise those of other distances, without a word: gradients differed by a fifth."""
    with pytest.raises(KQAError, match=rf"{config.model_type} adds biases by distance to its attention \(ALiBi\)"):
        choose_attention(config, "eager", "bf16")
    assert choose_attention(FalconConfig(alibi=False), None, "bf16") == "sdpa"


def test_weights_that_lack_tensors_are_refused(tmp_path: Path) -> None:
    folder = save_base("llama", tmp_path / "base")
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(KQAError, match=r"lack 1 tensors .*model.layers.1.mlp.up_proj.weight"):
        load_base_model(str(folder), precision="fp32")


def test_weights_of_other_shapes_are_refused(tmp_path: Path) -> None:
    folder = save_base("llama", tmp_path / "base")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 101}))
    with pytest.raises(KQAError, match="base"):
        load_base_model(str(folder), precision="fp32")


def test_truncated_weights_are_refused(tmp_path: Path) -> None:
    folder = save_base("llama", tmp_path / "base")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: 1 << 15])
    with pytest.raises(KQAError, match="base"):
        load_base_model(str(folder), precision="fp32")


def test_loading_is_silent(bases: dict[str, Path]) -> None:
    code = (
        "import torch; torch.set_num_threads(1)\n"
        "from kqa_lightning.model.base import LoRA, attach_lora, load_base_model\n"
        f"attach_lora(load_base_model({str(bases['gemma2'])!r}, precision='fp32'), LoRA())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONWARNINGS": "default::FutureWarning"},
    )
    assert done.stdout == ""
    assert [line for line in done.stderr.splitlines() if "site-packages/torch" not in line] == []


def test_a_width_that_bitsandbytes_gets_wrong_on_a_cpu_is_refused(tmp_path: Path) -> None:
    folder = save_base("llama", tmp_path, hidden_size=96)
    with pytest.raises(KQAError, match=r"width is a multiple of 64, and model\.layers\.0.* has 96"):
        load_base_model(str(folder), precision="fp32")
    assert load_base_model(str(folder), precision="fp32", quantization="none")


def test_bitsandbytes_still_gets_such_a_width_wrong() -> None:
    """When this fails, the fault is mended and the guard can go."""
    errors = []
    for width in (64, 96):
        weight = torch.randn(64, width, generator=torch.Generator().manual_seed(0))
        quantised, state = quantize_4bit(weight, blocksize=64, quant_type="nf4")
        errors.append((dequantize_4bit(quantised, state) - weight).square().mean().sqrt())
    assert errors[0] < 0.1 < 0.15 < errors[1]

"""ChatPrompt and a base of another architecture: any instruct model works with its settings alone."""

import shutil
from pathlib import Path

import pytest
import torch
from encoded import encode_one
from peft import PeftModel
from small_runs import SmallRuns, read_rows
from transformers import AutoModelForCausalLM, AutoTokenizer, MistralConfig, PreTrainedConfig, Qwen2Config, Qwen3Config

from kqa_lightning.data.chat import ChatPrompt
from kqa_lightning.data.encoding import PromptEncoder
from kqa_lightning.data.questions import Question
from kqa_lightning.data.text_encoder import load_tokenizer

SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 2048,
    "initializer_range": 0.15,
}
ARCHITECTURES: dict[str, PreTrainedConfig] = {
    "mistral": MistralConfig(**SHAPE, sliding_window=100),
    "qwen2": Qwen2Config(**SHAPE),
    "qwen3": Qwen3Config(**SHAPE),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_instruct_model_is_tuned_and_answers_as_transformers_does(
    name: str, runs: SmallRuns, tiny_bases: dict[str, Path], tmp_path: Path
) -> None:
    base = tmp_path / "base"
    base.mkdir()
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_bases["eeve"] / file, base / file)
    config = ARCHITECTURES[name]
    config.vocab_size = len(AutoTokenizer.from_pretrained(base))
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(base)
    small = SmallRuns(runs.folder, "chat.yaml")
    options = (
        *("--model.base_model", str(base), "--model.precision", "fp32", "--model.quantization", "none"),
        *("--trainer.accelerator", "cpu"),
    )
    root = str(tmp_path / "run")
    assert small("fit", root, *options, "--trainer.max_steps", "2", "--model.learning_rate", "0.01") == 0
    assert small("predict", root, *options, "--ckpt_path", "best") == 0

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model = PeftModel.from_pretrained(model, f"{root}/adapter").eval()
    encoder = PromptEncoder(load_tokenizer(str(base)), ChatPrompt(), 2048)
    answers = [row["answer"] for row in read_rows(tmp_path / "run" / "predictions.csv")]
    for row, answer in zip(read_rows(runs.tables["test"]), answers, strict=True):
        article = encode_one(encoder, row["context"], [Question(0, row["question"])], "inference")
        prompt = torch.tensor([article.prefix_ids + article.questions[0].question_ids])
        with torch.no_grad():
            ids = model.generate(input_ids=prompt, max_new_tokens=4, do_sample=False, eos_token_id=[*encoder.end_ids])
        assert encoder.decode_answer(ids[0, prompt.shape[1] :].tolist())[0] == answer

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from jsonargparse import ArgumentParser
from module_runs import Recorder, data, module, trainer
from peft import PeftModel
from random_models import randomise

from kqa_lightning.data.datamodule import KQADataModule
from kqa_lightning.data.packing import pack
from kqa_lightning.data.prompts import Gemma2Prompt, NousPrompt
from kqa_lightning.model import grouped_lora
from kqa_lightning.model.base import LoRA, load_base_model
from kqa_lightning.model.loss import token_losses
from kqa_lightning.model.module import DEFAULT_LORA, AnsweredQuestion, KQAModule


@pytest.fixture(scope="module")
def fitted(small_bases: dict[str, Path], tables: dict[str, str]) -> tuple[KQAModule, KQADataModule, Recorder]:
    """A Gemma2 base after twelve steps on six articles."""
    torch.manual_seed(0)
    base, record = small_bases["gemma2"], Recorder()
    made, questions = module(base), data(base, tables, Gemma2Prompt())
    trainer(record, max_epochs=6).fit(made, datamodule=questions)
    return made, questions, record


def test_building_loads_nothing(small_bases: dict[str, Path]) -> None:
    made = KQAModule("nobody/nothing")
    assert made.model is None
    assert made.lora == DEFAULT_LORA == LoRA(r=6, alpha=8)
    assert list(made.parameters()) == []
    assert dict(made.hparams) == {}
    with pytest.raises(RuntimeError, match="configure_model"):
        made.export_adapter("nowhere")


def test_configuring_twice_loads_once(small_bases: dict[str, Path]) -> None:
    made = module(small_bases["gemma2"])
    made.configure_model()
    model = made.model
    made.configure_model()
    assert made.model is model


@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradient_checkpointing_is_a_flag(
    small_bases: dict[str, Path], tables: dict[str, str], checkpointing: bool
) -> None:
    """By how often a layer runs in a step."""
    base = small_bases["nous"]
    made = module(base, gradient_checkpointing=checkpointing)
    made.configure_model()
    assert made.model is not None
    runs: list[int] = []
    made.model.base_model.model.model.layers[0].mlp.act_fn.register_forward_hook(lambda *_: runs.append(1))
    trainer(max_steps=1, limit_val_batches=0).fit(made, datamodule=data(base, tables, NousPrompt()))
    assert len(runs) == 1 + checkpointing


def test_training_lowers_the_loss_and_leaves_the_base(
    fitted: tuple[KQAModule, KQADataModule, Recorder], small_bases: dict[str, Path]
) -> None:
    made, _, record = fitted
    assert sum(record.losses[-2:]) < 0.8 * sum(record.losses[:2])
    base = load_base_model(str(small_bases["gemma2"]), precision="fp32")
    untouched = {name: m.weight for name, m in base.named_modules() if isinstance(m, Linear4bit)}
    assert made.model is not None
    for name, linear in untouched.items():
        found = made.model.base_model.model.get_submodule(name).base_layer.weight
        assert torch.equal(found, linear)
    assert torch.equal(made.model.get_input_embeddings().weight, base.get_input_embeddings().weight)


def test_training_computes_projections_in_groups(
    fitted: tuple[KQAModule, KQADataModule, Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, questions, _ = fitted
    counts: list[int] = []
    project = grouped_lora._project
    monkeypatch.setattr(grouped_lora, "_project", lambda layers, *a: counts.append(len(layers)) or project(layers, *a))
    token_losses(made.model, pack(list(questions.articles["train"])[:1], questions.encoder.pad_id))
    assert set(counts) == {1, 2, 3}
    counts.clear()
    fresh = module(Path(made.base_model))
    fresh.configure_model()  # as the benchmark's other ways have it, and who only answers
    token_losses(fresh.model, pack(list(questions.articles["train"])[:1], questions.encoder.pad_id))
    assert not counts


def test_the_schedule_warms_up_and_ends_with_the_run(fitted: tuple[KQAModule, KQADataModule, Recorder]) -> None:
    _, _, record = fitted
    rates = record.rates
    assert rates[0] == 0  # 0.03 of the steps are one step of warm-up
    assert max(rates) == rates[1] == 5e-3
    assert rates[1:] == sorted(rates[1:], reverse=True)
    assert rates[-1] == pytest.approx(5e-3 / (len(rates) - 1))


def test_val_loss_is_the_mean_over_all_supervised_tokens(fitted: tuple[KQAModule, KQADataModule, Recorder]) -> None:
    made, questions, _ = fitted
    run = trainer()
    run.validate(made, datamodule=questions, verbose=False)
    assert made.model is not None
    losses = []
    for article in questions.articles["val"]:
        for question in article.questions:
            row = torch.tensor([article.prefix_ids + question.question_ids + question.answer_ids])
            start = row.shape[1] - len(question.answer_ids)
            with torch.no_grad():
                scores = made.model(input_ids=row).logits[0].log_softmax(dim=-1)
            losses += [-scores[i - 1, row[0, i]].item() for i in range(start, row.shape[1])]
    assert len(questions.articles["val"]) > 1
    assert run.callback_metrics["val/loss"].item() == pytest.approx(sum(losses) / len(losses), rel=1e-4)


@pytest.mark.parametrize("family", ["gemma2", "nous"])
def test_without_training_answers_are_the_bases_own(
    family: str, small_bases: dict[str, Path], tables: dict[str, str]
) -> None:
    prompt = Gemma2Prompt() if family == "gemma2" else NousPrompt()
    made, questions = module(small_bases[family]), data(small_bases[family], tables, prompt)
    answered = flat(trainer().predict(made, datamodule=questions))
    base = load_base_model(str(small_bases[family]), precision="fp32")
    assert [question.row for question in answered] == list(range(10))
    articles = [(a, q) for a in questions.articles["predict"] for q in a.questions]
    for (article, question), found in zip(articles, answered, strict=True):
        expected = generate(base, article.prefix_ids + question.question_ids, questions)
        (candidate,) = found.candidates
        assert (candidate.answer, candidate.raw) == expected
        assert candidate.logprob_sum <= candidate.logprob_mean <= 0
        assert math.isfinite(candidate.logprob_sum)


def flat(batches: Any) -> list[AnsweredQuestion]:
    return [question for batch in batches for question in batch]


def generate(model: Any, prompt: Sequence[int], questions: KQADataModule) -> tuple[str, str]:
    """Answer and raw text by transformers' own generation, cut at the first line break as ours is."""
    encoder = questions.encoder
    row = torch.tensor([tuple(prompt)])
    out = model.generate(
        input_ids=row,
        attention_mask=torch.ones_like(row),
        do_sample=False,
        max_new_tokens=8,
        eos_token_id=list(encoder.end_ids),
        pad_token_id=encoder.pad_id,
    )[0, row.shape[1] :].tolist()
    over = (i for i in range(1, len(out) + 1) if "\n" in encoder.decode_answer(out[:i])[1].lstrip())
    return encoder.decode_answer(out[: next(over, len(out))])


def test_answering_leaves_modes_and_gradients_as_they_were(fitted: tuple[KQAModule, KQADataModule, Recorder]) -> None:
    made, questions, _ = fitted
    assert made.model is not None
    made.model.train()
    frozen = made.model.get_input_embeddings().eval()
    made.trainer = trainer()
    made.trainer.datamodule = questions  # type: ignore[attr-defined]
    batch = pack(questions.articles["val"], questions.encoder.pad_id)
    first, second = made.answer(batch), made.answer(batch)
    assert first == second
    assert [q.row for q in first] == [q.row for a in batch.articles for q in a.questions]
    assert all(m.training != (m is frozen) for m in made.model.modules() if m is not frozen)
    assert not frozen.training
    assert torch.is_grad_enabled()
    frozen.train()


def test_an_exported_adapter_gives_the_same_answers_with_plain_peft(
    fitted: tuple[KQAModule, KQADataModule, Recorder], small_bases: dict[str, Path], tmp_path: Path
) -> None:
    made, questions, _ = fitted
    made.export_adapter(tmp_path / "adapter")
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()
    base = load_base_model(str(small_bases["gemma2"]), precision="fp32")
    model = PeftModel.from_pretrained(base, tmp_path / "adapter")
    assert model.peft_config["default"].base_model_name_or_path == str(small_bases["gemma2"])
    articles = [(a, q) for a in questions.articles["val"] for q in a.questions]
    made.trainer = trainer()
    made.trainer.datamodule = questions  # type: ignore[attr-defined]
    answered = made.answer(pack(questions.articles["val"], questions.encoder.pad_id))
    for (article, question), found in zip(articles, answered, strict=True):
        expected = generate(model, article.prefix_ids + question.question_ids, questions)
        assert (found.candidates[0].answer, found.candidates[0].raw) == expected


def test_adapters_drawn_at_random_change_the_answers(small_bases: dict[str, Path], tables: dict[str, str]) -> None:
    """That predictions use the adapters at all."""
    made, questions = module(small_bases["nous"]), data(small_bases["nous"], tables, NousPrompt())
    before = flat(trainer().predict(made, datamodule=questions))
    randomise(made, seed=1)
    after = flat(trainer().predict(made, datamodule=questions))
    assert [q.candidates[0].raw for q in before] != [q.candidates[0].raw for q in after]


def test_every_setting_can_be_given_on_the_command_line() -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(KQAModule, "model")
    given = parser.parse_args(
        [
            "--model.base_model=tiny-nous",
            "--model.lora.r=64",
            "--model.lora.alpha=16",
            "--model.lora.dropout=0.1",
            "--model.lora.target_modules=null",
            "--model.precision=fp32",
            "--model.attn_implementation=eager",
        ]
    )
    made = parser.instantiate(given).model
    assert made.lora == LoRA(r=64, alpha=16, dropout=0.1, target_modules=None)
    assert made.attn_implementation == "eager"
    listed = parser.parse_args(["--model.base_model=x", "--model.lora.target_modules=[q_proj,v_proj]"])
    assert parser.instantiate(listed).model.lora.target_modules == ("q_proj", "v_proj")

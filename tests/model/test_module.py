import math
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from jsonargparse import ArgumentParser
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins import MixedPrecision
from peft import PeftModel
from random_models import randomise

from kqa_lightning.data.datamodule import KQADataModule
from kqa_lightning.data.packing import pack
from kqa_lightning.data.prompts import Gemma2Prompt, NousPrompt, Prompt
from kqa_lightning.errors import KQAError
from kqa_lightning.model import grouped_lora
from kqa_lightning.model.base import LoRA, load_base_model
from kqa_lightning.model.loss import token_losses
from kqa_lightning.model.module import DEFAULT_LORA, AnsweredQuestion, KQAModule

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


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("tables")
    return {
        "train_path": str(table(folder / "train.csv", 6)),
        "val_path": str(table(folder / "val.csv", 3, first=6)),
        "predict_path": str(table(folder / "predict.csv", 4, first=9)),
    }


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


def stopped_run(base: Path, tables: dict[str, str], path: Path) -> Recorder:
    torch.manual_seed(0)
    record = Recorder(stop_at=5, path=path)
    trainer(record, max_epochs=4).fit(module(base), datamodule=data(base, tables, Gemma2Prompt()))
    return record


def test_a_resumed_run_is_the_run_that_was_not_stopped(
    small_bases: dict[str, Path], tables: dict[str, str], tmp_path: Path
) -> None:
    base = small_bases["gemma2"]
    torch.manual_seed(0)
    whole, straight = module(base), Recorder()
    trainer(straight, max_epochs=4).fit(whole, datamodule=data(base, tables, Gemma2Prompt()))
    record = stopped_run(base, tables, tmp_path / "x.ckpt")
    assert len(record.losses) == 5 < len(straight.losses)
    assert (tmp_path / "x.ckpt").stat().st_size < 3 << 20
    made, rest = module(base), Recorder()
    run = trainer(rest, max_epochs=4)
    run.fit(made, datamodule=data(base, tables, Gemma2Prompt()), ckpt_path=tmp_path / "x.ckpt", weights_only=True)
    assert record.losses + rest.losses == straight.losses
    assert record.rates + rest.rates == straight.rates
    expected, found = adapters(whole), adapters(made)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_learning_rate_and_weight_decay_of_this_run_win_on_resume(
    small_bases: dict[str, Path], tables: dict[str, str], tmp_path: Path
) -> None:
    base = small_bases["gemma2"]
    stopped_run(base, tables, tmp_path / "x.ckpt")
    slower, same = Recorder(), Recorder()
    for record, changes in ((slower, {"learning_rate": 5e-4, "weight_decay": 0.2}), (same, {})):
        run = trainer(record, max_epochs=4)
        questions = data(base, tables, Gemma2Prompt())
        run.fit(module(base, **changes), datamodule=questions, ckpt_path=tmp_path / "x.ckpt", weights_only=True)
    assert slower.rates == pytest.approx([rate / 10 for rate in same.rates])
    assert set(slower.decays) == {0.2}
    assert set(same.decays) == {0.0}


def test_a_checkpoint_of_another_optimizer_is_refused(
    small_bases: dict[str, Path], tables: dict[str, str], tmp_path: Path
) -> None:
    base, path = small_bases["gemma2"], tmp_path / "x.ckpt"
    stopped_run(base, tables, path)
    questions = data(base, tables, Gemma2Prompt())
    with pytest.raises(KQAError, match="optimizer paged_adamw_32bit, this run has adamw"):
        trainer(max_epochs=4).fit(
            module(base, optimizer="adamw"), datamodule=questions, ckpt_path=path, weights_only=True
        )
    made = module(base, optimizer="adamw")
    trainer().predict(made, datamodule=questions, ckpt_path=path, weights_only=True)
    expected = torch.load(path, weights_only=True)["state_dict"]
    assert all(torch.equal(expected[name], tensor) for name, tensor in adapters(made).items())


def test_a_trainer_that_would_cast_the_adapters_is_refused(
    small_bases: dict[str, Path], tables: dict[str, str]
) -> None:
    base = small_bases["gemma2"]
    with pytest.raises(KQAError, match=r"--trainer.precision bf16-true would cast the adapters"):
        trainer(precision="bf16-true").validate(module(base), datamodule=data(base, tables, Gemma2Prompt()))


def test_a_run_without_a_last_step_is_refused(small_bases: dict[str, Path], tables: dict[str, str]) -> None:
    base = small_bases["gemma2"]
    with pytest.raises(KQAError, match=r"--trainer.max_epochs or --trainer.max_steps"):
        trainer(max_epochs=-1).fit(module(base), datamodule=data(base, tables, Gemma2Prompt()))


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


@pytest.mark.parametrize("family", ["gemma2", "nous"])
def test_a_trainer_that_computes_in_half_precision_is_refused_where_that_overflows(
    small_bases: dict[str, Path], tables: dict[str, str], family: str
) -> None:
    """As ``--trainer.precision 16-mixed`` does on a GPU; of a CPU Lightning makes another precision of it."""
    base = small_bases[family]
    half = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))
    run = trainer(plugins=[half], max_steps=1, limit_val_batches=0)
    prompt = Gemma2Prompt() if family == "gemma2" else NousPrompt()
    refused = pytest.raises(KQAError, match=r"--trainer.precision 16-mixed is numerically unstable with gemma2")
    with refused if family == "gemma2" else nullcontext():
        run.fit(module(base), datamodule=data(base, tables, prompt))
    assert run.global_step == (family == "nous")

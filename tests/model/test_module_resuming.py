"""Runs of the module that are stopped and go on, and those that are refused at their start."""

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from lightning.pytorch.plugins import MixedPrecision
from module_runs import Recorder, adapters, data, module, trainer

from kqa_lightning.data.prompts import Gemma2Prompt, NousPrompt
from kqa_lightning.errors import KQAError


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


@pytest.mark.parametrize(("of_the_trainer", "of_the_model"), [("16-mixed", "bf16"), ("bf16-mixed", "fp16")])
def test_two_kinds_of_half_precision_are_refused(
    small_bases: dict[str, Path], tables: dict[str, str], of_the_trainer: str, of_the_model: str
) -> None:
    """PyTorch's autocast would end in a traceback."""
    scaler = torch.amp.GradScaler("cpu") if of_the_trainer == "16-mixed" else None
    run = trainer(plugins=[MixedPrecision(of_the_trainer, "cpu", scaler)], max_steps=1)
    base = small_bases["nous"]
    wanted = rf"--trainer.precision {of_the_trainer} does not go with --model.precision {of_the_model}"
    with pytest.raises(KQAError, match=wanted):
        run.fit(module(base, precision=of_the_model), datamodule=data(base, tables, NousPrompt()))

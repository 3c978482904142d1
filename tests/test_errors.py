"""Wrong input: one line on stderr that names what is wrong and what would be right, status 2, nothing overwritten."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from small_runs import SmallRuns, contents, read_rows, refusal, write_rows

from callbacks import PredictionWriter
from kqa_lightning.errors import KQAError
from kqa_lightning.model.module import KQAModule
from kqa_lightning.trainer import KQATrainer

Refused = Callable[..., str]


@pytest.fixture
def refused(runs: SmallRuns, fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs a command in the folder of an earlier run, which it leaves as it was; gives the line of the error."""
    folder = tmp_path / "run"
    shutil.copytree(fitted, folder)

    def run(command: str, *options: str, config: str = "tiny-nous.yaml") -> str:
        before = contents(folder)
        small = runs if config == runs.config else SmallRuns(runs.folder, config)
        line = refusal(capsys, *small.arguments(command, str(folder), *options))
        assert contents(folder) == before
        return line

    return run


# --- options and configurations ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "right"),
    [
        (("--trainer.max_epoch", "3"), "--trainer.max_epochs"),
        (("--trainer.max_epoch=3",), "--trainer.max_epochs"),
        (("--model.base_mod", "x"), "--model.base_model"),
        (("--model.lora.rank", "3"), "--model.lora.r"),
        (("--data.trainpath", "x"), "--data.train_path"),
        (("--train_path", "x"), "--data.train_path"),
        (("--ckptpath", "last"), "--ckpt_path"),
        (("--confg", "x.yaml"), "--config"),
    ],
)
def test_a_mistyped_or_shortened_option_names_the_nearest(refused: Refused, option: tuple, right: str) -> None:
    line = refused("fit", *option)
    assert option[0].partition("=")[0] in line
    assert line.endswith(f"did you mean {right}?")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--trainer.max_epochs", "many"), ("--trainer.max_epochs many", "whole number")),
        (("--model.quantization", "int8"), ("--model.quantization int8", "nf4")),
        (("--data.prompt", "Gemma3Prompt"), ("--data.prompt", "Gemma3Prompt")),
        (("--data.prompt.wordin", "deck"), ("--data.prompt.wordin",)),
        (("--trainer.max_epochs",), ("--trainer.max_epochs",)),
        (("extra",), ("extra",)),
        (("--trainer.precision", "64bits"), ("64bits",)),
        (("--data.prompt.wording", "dek"), ("wording dek", "aligned")),
        (("--trainer.accelerator", "abacus"), ("--trainer", "abacus")),
        (("--trainer.max_steps", "-5"), ("--trainer", "max_steps", "-5")),
        (("--trainer.val_check_interval", "1000"), ("--trainer", "val_check_interval")),
        (("--trainer.val_check_interval", "0"), ("--trainer.val_check_interval 0", "above 0")),
        (("--trainer.check_val_every_n_epoch", "0"), ("--trainer.check_val_every_n_epoch 0", "at least 1")),
        (("--trainer.limit_train_batches", "0"), ("--trainer.limit_train_batches 0", "above 0")),
        (("--seed_everything", "-1"), ("--seed_everything -1", "4294967295")),
        (("--model.learning_rate", "-1"), ("--model.learning_rate -1", "at least 0")),
        (("--model.learning_rate", "nan"), ("--model.learning_rate nan",)),
        (("--model.weight_decay", "-0.1"), ("--model.weight_decay -0.1", "at least 0")),
        (("--model.warmup_ratio", "5"), ("--model.warmup_ratio 5", "at most 1")),
        (("--model.max_new_tokens", "0"), ("--model.max_new_tokens 0", "at least 1")),
        (("--model.num_candidates", "0"), ("--model.num_candidates 0", "at least 1 and at most 256")),
        (("--model.decoding", "best"), ("--model.decoding best", "beam", "sampling")),
        (("--model.temperature", "0"), ("--model.temperature 0", "above 0")),
        (("--model.top_p", "1.5"), ("--model.top_p 1.5", "at most 1")),
        (("--model.answer_rules", "[strip, third_line]"), ("--model.answer_rules", "third_line", "first_line")),
        (("--model.lora.r", "0"), ("--model.lora.r 0",)),
        (("--model.lora.alpha", "0"), ("--model.lora.alpha 0", "above 0")),
        (("--model.lora.dropout", "1.5"), ("--model.lora.dropout 1.5",)),
        (("--data.train_path", "~nosuchuser/x.csv"), ("~nosuchuser/x.csv", "no such file")),
        (("--data.train_path", "x" * 300 + ".csv"), ("x.csv", "too long")),
        (("--data.train_path", "sample", "--data.columns", '{"context": "본문"}'), ("--data.columns", "sample")),
    ],
)
def test_a_wrong_value_is_named(refused: Refused, options: tuple, words: tuple) -> None:
    line = refused("fit", *options)
    assert all(word in line for word in words)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("trainer: {max_epoch: 3}", ("trainer.max_epoch;", "did you mean trainer.max_epochs?")),
        ("trainr: {max_epochs: 3}", ("trainr.max_epochs", "did you mean trainer.max_epochs?")),
        ("model: {lora: {rank: 3}}", ("model.lora.rank", "did you mean model.lora.r?")),
        ("fit: {trainer: {max_epochs: 3}}", ("fit.trainer.max_epochs",)),
        ("data: {prompt: {class_path: NousPrompt, init_args: {wordin: deck}}}", ("wordin",)),
        ("trainer: {max_epochs: many}", ("--trainer.max_epochs many",)),
        ("trainer: {callbacks: [{class_path: Timer, init_args: {x: 3}}]}", ("--trainer.callbacks", "setting x")),
        ("trainer: [", ("YAML",)),
        ("- a list", ("mapping",)),
        ("", ("mapping",)),
        ("trainer:\nmodel: {base_model: tiny-nous}", ("trainer is a group", "null")),
        ("answer_evaluation: 100", ("answer_evaluation is a group", "answer_evaluation.max_questions", "100")),
        ("model: {lora: 6}", ("model.lora is a group", "model.lora.alpha")),
    ],
)
def test_a_wrong_configuration_is_named(refused: Refused, tmp_path: Path, content: str, words: tuple) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(content, encoding="utf-8")
    line = refused("fit", "--config", str(file))
    assert "mine.yaml" in line
    assert all(word in line for word in words)


def test_an_unknown_configuration_lists_the_known_ones(refused: Refused) -> None:
    for name in ("tiny-gemma3.yaml", "folder/gemma2.yaml", "~/none.yaml"):
        line = refused("fit", "--config", name)
        assert f"--config {name}:" in line
        for known in ("gemma2.yaml", "eeve.yaml", "nous.yaml", "tiny-gemma2.yaml", "tiny-eeve.yaml", "tiny-nous.yaml"):
            assert f" {known}" in line


def test_a_configuration_on_the_command_line_is_checked_as_a_file_is(refused: Refused) -> None:
    assert "did you mean trainer.max_epochs?" in refused("fit", "--config", "trainer: {max_epoch: 3}")
    assert "crossfit is a group" in refused("fit", "--config", f"crossfit: 3  # {'a name may not be so long ' * 20}")


def test_a_command_without_a_configuration_says_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--model.base_model is missing" in refusal(capsys, "fit")


def test_prediction_is_refused_on_several_machines() -> None:
    # One process gathers the answers of all from their journals, which it has to be able to read.
    writer, trainer = PredictionWriter(), KQATrainer(accelerator="cpu", devices=1, num_nodes=2, logger=False)
    with pytest.raises(KQAError, match=r"--trainer\.num_nodes 1"):
        writer.setup(trainer, KQAModule("tiny-nous"), "predict")


# --- tables --------------------------------------------------------------------------------------------------------


def damaged_tables(rows: list[dict[str, str]]) -> dict[str, tuple[list[dict[str, str]], tuple[str, ...]]]:
    without_question = [{name: row[name] for name in ("id", "context", "answer")} for row in rows]
    return {
        "missing column": (without_question, ("question", "context")),
        "repeated id": ([*rows, rows[0]], (rows[0]["id"],)),
        "blank id": ([{**rows[0], "id": " "}, *rows[1:]], ("id",)),
        "blank question": ([{**rows[0], "question": ""}, *rows[1:]], ("question",)),
        "blank answer": ([{**rows[0], "answer": ""}, *rows[1:]], ("answer",)),
    }


@pytest.mark.parametrize(
    ("command", "part", "damage"),
    [
        ("fit", "train", "missing column"),
        ("fit", "train", "repeated id"),
        ("fit", "train", "blank id"),
        ("fit", "train", "blank answer"),
        ("fit", "val", "missing column"),
        ("validate", "val", "blank question"),
        ("test", "test", "blank answer"),
        ("predict", "predict", "repeated id"),
    ],
)
def test_a_damaged_table_is_refused(
    refused: Refused, runs: SmallRuns, tmp_path: Path, command: str, part: str, damage: str
) -> None:
    rows, words = damaged_tables(read_rows(runs.tables["train"]))[damage]
    table = write_rows(tmp_path / "damaged.csv", rows)
    line = refused(command, f"--data.{part}_path", str(table))
    assert "damaged.csv" in line
    assert all(word in line for word in words)


@pytest.mark.parametrize(("command", "part"), [("fit", "train"), ("validate", "val"), ("predict", "predict")])
def test_a_missing_or_empty_table_is_refused(refused: Refused, tmp_path: Path, command: str, part: str) -> None:
    empty = tmp_path / "empty.csv"
    empty.write_text("id,context,question,answer\n", encoding="utf-8")
    assert "empty.csv" in refused(command, f"--data.{part}_path", str(empty))
    assert "nowhere.csv" in refused(command, f"--data.{part}_path", str(tmp_path / "nowhere.csv"))


@pytest.mark.parametrize("name", ["questions.csv", "questions.jsonl"])
def test_answers_do_not_replace_the_questions(refused: Refused, runs: SmallRuns, tmp_path: Path, name: str) -> None:
    """The table of the answers has a name of the user's choice, and that of their candidates follows from it."""
    rows = read_rows(runs.tables["test"])
    questions = tmp_path / name
    if questions.suffix == ".csv":
        write_rows(questions, rows)
    else:
        questions.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    before = questions.read_bytes()
    options = ("--data.predict_path", str(questions), "--prediction_writer.path", str(questions.with_suffix(".csv")))
    assert name in refused("predict", *options)
    assert questions.read_bytes() == before


# --- base models and checkpoints -----------------------------------------------------------------------------------


def test_a_base_model_out_of_reach_names_the_offline_way(
    runs: SmallRuns, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    line = refusal(capsys, *runs.arguments("fit", "unreachable", "--model.base_model", "nobody/no-model"))
    assert "nobody/no-model" in line
    assert "offline" in line
    assert not (runs.folder / "unreachable").exists()


def test_a_base_model_folder_that_is_none(refused: Refused, tmp_path: Path) -> None:
    assert "./no-folder" in refused("fit", "--model.base_model", "./no-folder")
    assert str(tmp_path) in refused("fit", "--model.base_model", str(tmp_path))


@pytest.mark.parametrize("command", ["validate", "test", "predict"])
@pytest.mark.parametrize("name", ["last", "best"])
def test_a_missing_checkpoint_is_refused_where_no_training_could_make_it(
    runs: SmallRuns, tmp_path: Path, command: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "empty"
    line = refusal(capsys, *runs.arguments(command, str(root), "--ckpt_path", name))
    assert f"{name}.ckpt" in line
    assert not root.exists()


@pytest.mark.parametrize("command", ["fit", "predict"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "text", "foreign", "pickled code", "folder"])
def test_what_is_no_checkpoint_is_refused(
    refused: Refused, fitted: Path, tmp_path: Path, command: str, damage: str
) -> None:
    file = tmp_path / "some.ckpt"
    good = (fitted / "checkpoints/last.ckpt").read_bytes()
    if damage == "truncated":
        file.write_bytes(good[: len(good) // 2])
    elif damage == "text":
        file.write_text("no checkpoint", encoding="utf-8")
    elif damage == "foreign":
        torch.save({"state_dict": {}, "hyper_parameters": {"_instantiator": "os.system"}}, file)
    elif damage == "pickled code":
        torch.save({"state_dict": {}, "code": os.system}, file)
    elif damage == "folder":
        file.mkdir()
    line = refused(command, "--ckpt_path", str(file))
    assert "some.ckpt" in line
    assert ("is a folder" in line) == (damage == "folder")


@pytest.mark.parametrize("command", ["fit", "test"])
def test_a_checkpoint_of_another_family_is_refused(refused: Refused, fitted: Path, command: str) -> None:
    line = refused(command, "--ckpt_path", str(fitted / "checkpoints/best.ckpt"), config="tiny-gemma2.yaml")
    assert "tiny-nous" in line
    assert "tiny-gemma2" in line


def test_a_checkpoint_of_another_lora_shape_is_refused(refused: Refused) -> None:
    assert "lora" in refused("fit", "--ckpt_path", "last", "--model.lora.r", "4")


def test_a_setting_that_lightning_refuses_when_it_goes_on(refused: Refused) -> None:
    assert "max_epochs" in refused("fit", "--ckpt_path", "last", "--trainer.max_epochs", "0")


# --- folders -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["fit", "validate", "predict"])
def test_a_root_dir_that_cannot_be_made_is_refused(
    runs: SmallRuns, tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    line = refusal(capsys, *runs.arguments(command, str(tmp_path / "file" / "run")))
    assert "--trainer.default_root_dir" in line


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux's /proc refuses a folder to root too")
@pytest.mark.parametrize("command", ["fit", "test", "crossfit"])
def test_a_place_where_no_folder_can_be_made_is_refused(
    runs: SmallRuns, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refusal(capsys, *runs.arguments(command, "/proc/x/run"))
    assert line.startswith("error: --trainer.default_root_dir /proc/x/run: ")

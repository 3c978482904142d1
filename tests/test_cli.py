"""The commands as they are typed: help, configurations by name, saved settings, notes, signals."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from forked import Forked
from small_runs import ROOT, SmallRuns, contents, read_yaml, refusal, start_process

import kqa_lightning
from kqa_lightning.__main__ import COMMANDS, main
from kqa_lightning.assets import sample_table

# --- without the libraries -----------------------------------------------------------------------------------------


def test_help_lists_the_commands_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert set(COMMANDS) == {"fit", "validate", "test", "predict", "crossfit", "preview", "doctor"}
    for command, purpose in COMMANDS.items():
        assert f"{command} " in text
        assert purpose in text


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["fti"], []])
def test_no_library_is_imported_for_it(arguments: list[str]) -> None:
    program = (
        "import sys\n"
        "from kqa_lightning.__main__ import main\n"
        f"main({arguments!r})\n"
        "heavy = {'torch', 'lightning', 'transformers', 'datasets', 'numpy', 'yaml', 'jsonargparse'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True)


def test_a_python_without_the_libraries_says_how_to_get_them() -> None:
    program = [sys.executable, "-E", "-S", "-m", "kqa_lightning", "fit", "--config", "tiny-nous.yaml"]
    process = subprocess.run(program, cwd=ROOT, capture_output=True, text=True)
    assert (process.returncode, process.stdout) == (2, "")
    assert "make install" in process.stderr and "pip install" in process.stderr
    assert process.stderr.startswith("error: ") and process.stderr.count("\n") == 1


def test_the_module_runs_as_a_program() -> None:
    process = start_process("--version")
    assert process.communicate() == (f"{kqa_lightning.__version__}\n", "")
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["fti"], "did you mean fit?"),
        ([], "fit, validate, test, predict, crossfit, preview, doctor"),
        (["--config", "x"], "the command comes first"),
    ],
)
def test_an_unknown_command_is_refused(arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert word in refusal(capsys, *arguments)


def test_korean_is_printed_on_a_terminal_that_knows_none(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    process = start_process("학습", env=environment)
    _, errors = process.communicate()
    assert process.returncode == 2
    assert errors.startswith("error: there is no command \\u")


# --- configurations ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    own = {"preview": "--json", "doctor": "--config"}.get(command, "--ckpt_path")
    for option in ("--model.base_model", "--data.train_path", "--checkpoint.every_n_train_steps", own):
        assert option in text
    assert "--prediction_writer.path" in text


def test_the_working_directory_comes_before_the_bundled_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["fit", "--config", "tiny-nous", "--print_config"]) == 0
    assert "base_model: tiny-nous" in capsys.readouterr().out
    rest = ("--data.prompt", "NousPrompt", "--print_config")
    (tmp_path / "tiny-nous.yaml").write_text("model: {base_model: of-my-own}", encoding="utf-8")
    assert main(["fit", "--config", "tiny-nous.yaml", *rest]) == 0
    assert "base_model: of-my-own" in capsys.readouterr().out
    assert main(["fit", "--config", "model: {base_model: inline}", *rest]) == 0
    assert "base_model: inline" in capsys.readouterr().out


def test_the_saved_settings_serve_every_command(runs: SmallRuns, fitted: Path, tmp_path: Path) -> None:
    saved = read_yaml(fitted / "fit.yaml")
    assert {name for name, value in saved.items() if not isinstance(value, dict)} == {"seed_everything"}
    assert saved["data"]["train_path"] == str(runs.tables["train"])
    shutil.copytree(fitted, tmp_path / "run")
    config = ("--config", str(tmp_path / "run" / "fit.yaml"), "--trainer.default_root_dir", str(tmp_path / "run"))
    assert main(["predict", *config, "--ckpt_path", "best"]) == 0
    assert main(["fit", "--config", str(tmp_path / "run" / "predict.yaml"), "--trainer.max_steps", "1"]) == 0
    # It started afresh: what is of one command alone was not saved.
    assert (tmp_path / "run" / "earlier" / "1").is_dir()
    trainer = {**saved["trainer"], "max_steps": 1, "default_root_dir": str(tmp_path / "run")}
    assert read_yaml(tmp_path / "run" / "fit.yaml") == {**saved, "trainer": trainer}


def test_a_run_leaves_these_files(fitted: Path) -> None:
    names = {name for name in contents(fitted) if "tfevents" not in name}
    assert names == {
        "fit.yaml",
        "checkpoints/last.ckpt",
        "checkpoints/previous.ckpt",
        "checkpoints/best.ckpt",
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
        "adapter/README.md",
    }


# --- notes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_without_a_checkpoint_the_base_model_is_used_and_it_says_so(
    runs: SmallRuns, command: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert runs(command, str(tmp_path)) == 0
    notes = capfd.readouterr().err.strip().splitlines()
    assert "zero-shot" in notes[0]
    assert len(notes) == (2 if command == "predict" else 1), notes


@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_a_checkpoint_is_named(
    runs: SmallRuns, fitted: Path, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(fitted, tmp_path / "run")
    assert runs(command, str(tmp_path / "run"), "--ckpt_path", "best") == 0
    assert f"using {tmp_path / 'run' / 'checkpoints' / 'best.ckpt'}" in capsys.readouterr().err


# --- signals -------------------------------------------------------------------------------------------------------


def signalled(process: Forked, sign: Path, number: int) -> tuple[int, str]:
    """Send a signal once a file has appeared; status and stderr."""
    while not sign.exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(number)
    try:
        _, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    return process.returncode, errors


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_fit_says_how_to_go_on(runs: SmallRuns, tmp_path: Path, number: int, status: int) -> None:
    options = ("--trainer.max_epochs", "1000", "--checkpoint.every_n_train_steps", "1")
    process = runs.fork("fit", str(tmp_path), *options)
    returned, errors = signalled(process, tmp_path / "checkpoints" / "last.ckpt", number)
    assert returned == status
    assert "--ckpt_path last" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_fit_saves_what_it_has_done(runs: SmallRuns, tmp_path: Path, number: int, status: int) -> None:
    """No checkpoint is due for a long while: the signal alone writes one."""
    options = (
        "--trainer.max_epochs",
        "1000",
        "--checkpoint.every_n_train_steps",
        "1000000",
        "--data.val_fraction",
        "0.5",
    )
    process = runs.fork("fit", str(tmp_path), *options, "--trainer.check_val_every_n_epoch", "1000")
    returned, errors = signalled(process, tmp_path / "fit.yaml", number)
    assert returned == status, errors
    assert (tmp_path / "checkpoints" / "last.ckpt").exists()
    assert "Traceback" not in errors


def test_a_second_interrupt_stops_at_once(runs: SmallRuns, tmp_path: Path) -> None:
    """The first waits for the end of the batch, which is the whole table here, with long answers."""
    options = ("--data.evaluation_tokens_per_batch", "1000000", "--model.max_new_tokens", "1500")
    process = runs.fork("predict", str(tmp_path), "--data.predict_path", str(sample_table("test")), *options)
    while not (tmp_path / "predict.yaml").exists() and process.poll() is None:
        time.sleep(0.02)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    assert process.poll() is None  # it goes on to the end of the batch
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130, errors
    assert "once more stops at once" in errors
    assert "Traceback" not in errors


def test_a_stopped_predict_leaves_no_half_files(runs: SmallRuns, tmp_path: Path) -> None:
    process = runs.fork("predict", str(tmp_path), "--data.predict_path", str(sample_table("test")))
    returned, errors = signalled(process, tmp_path / "predict.yaml", signal.SIGTERM)
    assert returned == 143
    assert "Traceback" not in errors
    assert "predictions.rank0.journal holds what was answered: the same command goes on" in errors
    assert set(contents(tmp_path)) == {"predict.yaml", "predictions.rank0.journal"}

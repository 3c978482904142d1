"""Real commands on the tiny bases, shrunk to seconds: a few articles of the sample and a few tokens an answer."""

import contextlib
import csv
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
import yaml
from forked import Forked
from safetensors.torch import load_file, save_file

from kqa_lightning.__main__ import main
from kqa_lightning.assets import resolve_base_model, sample_table

ROOT = Path(__file__).parents[1]
ARTICLES = {"train": 6, "val": 2, "test": 2}
KEPT_LAYERS = (0, 4)
LEARNING_RATE = "0.04"
Script = Callable[[Sequence[str]], int]
SMALL = (
    *("--trainer.enable_progress_bar", "false"),
    *("--model.max_new_tokens", "4"),
)


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, rows: Sequence[dict[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_small_tables(folder: Path) -> Path:
    """train.csv, val.csv and test.csv with the first articles of the sample's."""
    for part, articles in ARTICLES.items():
        rows = read_rows(sample_table(part))
        contexts = list(dict.fromkeys(row["context"] for row in rows))[:articles]
        write_rows(folder / f"{part}.csv", [row for row in rows if row["context"] in contexts])
    return folder


class SmallRuns:
    """Commands with a tiny config over small tables, each run folder a name under one directory.

    Args:
        folder: Where tables and runs go.
        config: The tiny config; nous has dropout and clipping, and is a Llama, the fastest.
        base: The folder of another base than the config's; it learns at a rate of its own.
    """

    def __init__(self, folder: Path, config: str = "tiny-nous.yaml", base: Path | None = None) -> None:
        self.folder = folder
        self.config = config
        self.base = base or Path(resolve_base_model(config.removesuffix(".yaml")))
        self.more = ("--model.base_model", str(base), "--model.learning_rate", LEARNING_RATE) if base else ()
        self.tables = {part: folder / f"{part}.csv" for part in ARTICLES}

    def arguments(self, command: str, run: str, *options: str) -> list[str]:
        data = [word for part, path in self.tables.items() for word in (f"--data.{part}_path", str(path))]
        root = ("--trainer.default_root_dir", str(self.folder / run))
        return [command, "--config", self.config, *SMALL, *self.more, *data, *root, *options]

    def __call__(self, command: str, run: str, *options: str) -> int:
        """Run in this process; the exit status."""
        return main(self.arguments(command, run, *options))

    def process(self, command: str, run: str, *options: str, **kwargs: object) -> subprocess.Popen:
        """Run in a process of its own, as a shell starts it."""
        return start_process(*self.arguments(command, run, *options), **kwargs)

    def fork(
        self,
        command: str,
        run: str,
        *options: str,
        environment: Mapping[str, str] | None = None,
        file_limit: int | None = None,
    ) -> Forked:
        """Run in a process of its own that has not to import the libraries first: ten seconds of a core less."""
        return Forked(self.arguments(command, run, *options), environment or {}, file_limit)


def start_process(*arguments: str, **kwargs: object) -> subprocess.Popen:
    """``python -m kqa_lightning`` with the arguments, in the checkout, its output as text."""
    return subprocess.Popen(
        [sys.executable, "-m", "kqa_lightning", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        **{"cwd": ROOT, "env": os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}, **kwargs},
    )


def write_texts(folder: Path, files: Mapping[str, str]) -> Path:
    """Files by name with their content; the folder."""
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    return folder


def run_script(name: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A script of the checkout, run in ``folder``, its output as text."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    command = [sys.executable, str(ROOT / "scripts" / name), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=60)


def call_script(script: Script, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The same in this process, given the script's ``main``."""
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(io.StringIO()) as output,
        contextlib.redirect_stderr(io.StringIO()) as errors,
    ):
        status = script(list(arguments))
    return subprocess.CompletedProcess(arguments, status, output.getvalue(), errors.getvalue())


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line on stderr with which a command refuses its input; its exit status is 2."""
    capsys.readouterr()
    assert main(list(arguments)) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1, errors
    assert errors[0].startswith("error: ")
    return errors[0]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file under a folder, to see that nothing changed."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def read_yaml(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def write_shallow_base(folder: Path) -> Path:
    """The bundled nous with two of its eight layers: four times as fast, and what it answers still depends on them."""
    source = Path(resolve_base_model("tiny-nous"))
    shutil.copytree(source, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["num_hidden_layers"] = len(KEPT_LAYERS)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    weights = {}
    for name, tensor in load_file(source / "model.safetensors").items():
        parts = name.split(".")  # model.layers.NUMBER.…, where it is of a layer
        if parts[1] == "layers":
            if int(parts[2]) not in KEPT_LAYERS:
                continue
            parts[2] = str(KEPT_LAYERS.index(int(parts[2])))
        weights[".".join(parts)] = tensor
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def small_runs(factory: pytest.TempPathFactory, shallow: bool) -> SmallRuns:
    """The tables, and commands on them.

    Args:
        shallow: With two layers of the bundled base, and a learning rate at which these learn in twelve steps.
    """
    folder = write_small_tables(factory.mktemp("small-runs"))
    return SmallRuns(folder, base=write_shallow_base(folder / "tiny-nous-of-two-layers") if shallow else None)


def fit_once(runs: SmallRuns) -> Path:
    """The folder of a finished run of two epochs with a validation in mid-epoch; not to be written to."""
    options = ("--trainer.max_epochs", "2", "--trainer.val_check_interval", "3")
    assert runs("fit", "fitted", *options) == 0
    return runs.folder / "fitted"

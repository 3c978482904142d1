"""Real commands on the tiny bases, shrunk to seconds: a few articles of the sample and a few tokens an answer."""

import csv
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import yaml

from kqa_lightning.__main__ import main
from kqa_lightning.assets import sample_table

ROOT = Path(__file__).parents[1]
ARTICLES = {"train": 6, "val": 2, "test": 2}
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
    """

    def __init__(self, folder: Path, config: str = "tiny-nous.yaml") -> None:
        self.folder = folder
        self.config = config
        self.tables = {part: folder / f"{part}.csv" for part in ARTICLES}

    def arguments(self, command: str, run: str, *options: str) -> list[str]:
        data = [word for part, path in self.tables.items() for word in (f"--data.{part}_path", str(path))]
        root = ("--trainer.default_root_dir", str(self.folder / run))
        return [command, "--config", self.config, *SMALL, *data, *root, *options]

    def __call__(self, command: str, run: str, *options: str) -> int:
        """Run in this process; the exit status."""
        return main(self.arguments(command, run, *options))

    def process(self, command: str, run: str, *options: str, **kwargs: object) -> subprocess.Popen:
        """Run in a process of its own."""
        return start_process(*self.arguments(command, run, *options), **kwargs)


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


def fork_process(*arguments: str) -> BaseProcess:
    """The command in a process of its own that has not to import the libraries first: seconds less to wait for."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["kqa_lightning.cli"])
    process = context.Process(target=_exit_with, args=(arguments,))
    process.start()
    return process


def _exit_with(arguments: tuple[str, ...]) -> None:
    sys.exit(main(list(arguments)))


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


def small_runs(factory: pytest.TempPathFactory) -> SmallRuns:
    """The tables, and commands on them."""
    return SmallRuns(write_small_tables(factory.mktemp("small-runs")))


def fit_once(runs: SmallRuns) -> Path:
    """The folder of a finished run of two epochs with a validation in mid-epoch; not to be written to."""
    options = ("--trainer.max_epochs", "2", "--trainer.val_check_interval", "3")
    assert runs("fit", "fitted", *options) == 0
    return runs.folder / "fitted"

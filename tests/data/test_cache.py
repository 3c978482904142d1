"""The Arrow cache: made once, found again, another one where anything differs, never half."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import datasets
import pytest

from kqa_lightning.data import cache
from kqa_lightning.data.cache import cached, fingerprint, table_fingerprint
from kqa_lightning.errors import KQAError

FEATURES = datasets.Features({"x": datasets.Value("int32")})


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache"


class Maker:
    """Rows, and how often they were made."""

    def __init__(self, *values: int) -> None:
        self.values, self.calls = values, 0

    def __call__(self) -> list[dict[str, int]]:
        self.calls += 1
        return [{"x": value} for value in self.values]


def test_rows_are_made_once() -> None:
    make = Maker(1, 2, 3)
    tables = [cached(make, FEATURES, lambda: ["content", "setting"]) for _ in range(3)]
    assert make.calls == 1
    assert [table["x"][:] for table in tables] == [[1, 2, 3]] * 3
    assert cached(Maker(4), FEATURES, lambda: ["content", "other setting"])["x"][:] == [4]
    assert cached(Maker(5), FEATURES, lambda: ["contentsetting"])["x"][:] == [5]


def test_other_code_makes_another_table(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cached(Maker(1), FEATURES, lambda: ["content"])["x"][:] == [1]
    monkeypatch.setattr(cache, "_code", lambda: "changed")
    assert cached(Maker(2), FEATURES, lambda: ["content"])["x"][:] == [2]


def test_without_what_decides_nothing_is_written(folder: Path) -> None:
    make = Maker(1)
    for _ in range(2):
        assert cached(make, FEATURES, None)["x"][:] == [1]
    assert make.calls == 2 and not folder.exists()


def test_a_failed_table_is_not_kept() -> None:
    def fails() -> list[dict[str, int]]:
        raise KQAError("row 3 is wrong")

    with pytest.raises(KQAError, match="row 3 is wrong"):
        cached(fails, FEATURES, lambda: ["content"])
    assert cached(Maker(1), FEATURES, lambda: ["content"])["x"][:] == [1]


# Run in a process of its own: makes 3 rows of a table, notes each time it begins, and dies after two where asked to.
WRITER = """
import os, signal, sys, time
from pathlib import Path
import datasets
from kqa_lightning.data.cache import cached

folder, dies, rows = Path(sys.argv[1]), sys.argv[2] == "dies", []

def make():
    with (folder / "begun").open("a") as file:
        file.write("x")
    for row in range(3):
        time.sleep(0.2)
        if dies and row == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        yield {"x": row}

features = datasets.Features({"x": datasets.Value("int32")})
(folder / f"ready-{os.getpid()}").touch()
while not (folder / "go").exists():
    time.sleep(0.01)
print(cached(make, features, lambda: ["content"])["x"][:])
"""


def start_writers(folder: Path, *manners: str) -> list[subprocess.Popen[str]]:
    """Start writers of one table, and let them go when all of them are there."""
    environment = os.environ | {"HF_DATASETS_CACHE": str(folder / "cache")}
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder), manner],
            **{"env": environment, "stdout": subprocess.PIPE, "text": True},
        )
        for manner in manners
    ]
    deadline = time.monotonic() + 60
    while len(list(folder.glob("ready-*"))) < len(writers) and time.monotonic() < deadline:
        time.sleep(0.01)
    (folder / "go").touch()
    return writers


def test_of_several_processes_one_writes_and_the_others_wait(tmp_path: Path) -> None:
    writers = start_writers(tmp_path, "lives", "lives")
    assert [writer.communicate(timeout=60)[0] for writer in writers] == ["[0, 1, 2]\n"] * 2
    assert (tmp_path / "begun").read_text() == "x"


def test_what_a_killed_process_wrote_is_not_taken_for_the_table(tmp_path: Path) -> None:
    (killed,) = start_writers(tmp_path, "dies")
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    (next_one,) = start_writers(tmp_path, "lives")
    assert next_one.communicate(timeout=60)[0] == "[0, 1, 2]\n"
    assert (tmp_path / "begun").read_text() == "xx"


def test_a_cache_that_cannot_be_written_is_said_and_done_without(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder.write_text("a file where the folder should be")
    assert cached(Maker(1, 2), FEATURES, lambda: ["content"])["x"][:] == [1, 2]
    assert "cannot be written" in caplog.text


def test_progress_bars_are_as_before() -> None:
    cached(Maker(1), FEATURES, lambda: ["content"])
    assert not datasets.are_progress_bars_disabled()


def test_fingerprints() -> None:
    assert fingerprint("ab", "c") != fingerprint("a", "bc")
    assert fingerprint("가", b"x") == fingerprint("가", "x")
    one = datasets.Dataset.from_dict({"x": [1, 2], "y": ["a", "b"]})
    assert table_fingerprint(one) == table_fingerprint(datasets.Dataset.from_dict({"x": [1, 2], "y": ["a", "b"]}))
    assert table_fingerprint(one) != table_fingerprint(datasets.Dataset.from_dict({"x": [1, 2], "y": ["a", "c"]}))
    assert table_fingerprint(one) != table_fingerprint(one.select([0]))

"""The Arrow cache: made once, found again, another one where anything differs, never half."""

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

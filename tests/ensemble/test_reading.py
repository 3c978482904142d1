"""All files of a combination are read alike, beside one another or one after the other."""

from pathlib import Path

import pytest

from kqa_lightning.ensemble import reading
from kqa_lightning.ensemble.questions import GOLD, Question
from kqa_lightning.ensemble.reading import Table, read_files
from kqa_lightning.errors import KQAError


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    files = {name: tmp_path / name for name in ("a.csv", "b.csv", "gold.csv")}
    for name in ("a.csv", "b.csv"):
        files[name].write_text(f"id,answer\n1,{name}\n", encoding="utf-8")
    files["gold.csv"].write_text("id,context,question,answer\n1,글,물음,답\n", encoding="utf-8")
    return files


@pytest.fixture(params=[1 << 26, 0], ids=["short", "long"])
def long(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_LONG", request.param)


def test_everything_comes_in_the_order_asked_for(files: dict[str, Path], long: None) -> None:
    tables = [Table("--gold", str(files["gold.csv"]), GOLD), Table("--table", "sample", ("context",))]
    found = read_files([files["b.csv"], files["a.csv"]], tables=tables)
    assert [one.answers for one in found.candidates] == [["b.csv"], ["a.csv"]]
    assert found.tables[0] == {"1": Question("글", "물음", ("답",))}
    assert len(found.tables[1]) > 100


def test_the_first_file_with_something_wrong_is_named(files: dict[str, Path], long: None) -> None:
    files["b.csv"].write_text("id\n1\n", encoding="utf-8")
    files["gold.csv"].write_text("answer\n1\n", encoding="utf-8")
    with pytest.raises(KQAError, match=r"b\.csv has no column 'answer'"):
        read_files([files["a.csv"], files["b.csv"]], tables=[Table("--gold", str(files["gold.csv"]), GOLD)])
    with pytest.raises(KQAError, match=r"--gold .*gold\.csv has no column 'id'"):
        read_files([files["a.csv"]], tables=[Table("--gold", str(files["gold.csv"]), GOLD)])

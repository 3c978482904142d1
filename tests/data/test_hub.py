"""Data sets of the hub are read as files are."""

import gzip
import json
from pathlib import Path

import pytest
from table_files import HEADER, fails, write

from kqa_lightning.data.tables import load_table


def test_hub_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # datasets looks for a folder of that name before it asks the hub, and reads it in the same way.
    (tmp_path / "owner" / "name").mkdir(parents=True)
    row = {"id": "1", "context": "a", "question": "q", "answers": {"text": ["갑"], "answer_start": [0]}}
    for split in ("train", "validation"):
        write(tmp_path / "owner" / "name" / f"{split}.jsonl", json.dumps(row | {"id": split}))
    monkeypatch.chdir(tmp_path)
    for source, part, expected in (
        ("owner/name", "train", "train"),
        ("owner/name", "val", "validation"),
        ("owner/name:validation", "test", "validation"),
    ):
        table = load_table(source, part, require_answers=True)
        assert table[0] == {
            **{"id": expected, "context": "a", "question": "q"},
            **{"answers": ["갑"], "answer_starts": [-1], "removed": 0},
        }
    message = fails("owner/name", "test")
    assert "train, validation" in message and "owner/name:SPLIT" in message


HUB_ROWS = ["001,2024-01-01,q,007", "002,2024-01-02,NA,1e3", "003,2024-01-03,q,1.10", "004,2024-01-04,null,None"]


@pytest.mark.parametrize("name", ["train.csv", "train.csv.gz", "train.tsv", "train.jsonl", "train.json", "lines.json"])
def test_text_of_a_hub_data_set_stays_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    rows = [row.split(",") for row in HUB_ROWS]
    records = [dict(zip(("id", "context", "question", "answer"), row, strict=True)) for row in rows]
    text = HEADER + "\n".join(HUB_ROWS)
    if name.endswith(".tsv"):
        text = text.replace(",", "\t")
    elif "json" in name:
        text = json.dumps(records) if name == "train.json" else "\n".join(map(json.dumps, records))
    folder = tmp_path / "owner" / "name"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    monkeypatch.chdir(tmp_path)
    table = load_table("owner/name", "train", require_answers=True)
    read = zip(
        table["id"], table["context"], table["question"], [answers for (answers,) in table["answers"]], strict=True
    )
    assert [list(row) for row in read] == rows


def test_the_files_of_a_hub_data_set_are_one_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "owner" / "name" / "data"
    folder.mkdir(parents=True)
    write(folder / "train-00000-of-00002.csv", HEADER + "1,본문,질문,갑\n2,본문,질문,을\n")
    second = folder / "train-00001-of-00002.csv"
    write(second, HEADER + "3,본문,질문,병\n")
    monkeypatch.chdir(tmp_path)
    assert load_table("owner/name", "train")["id"][:] == ["1", "2", "3"]
    write(second, HEADER + "3,본문,,병\n1,본문,질문,병\n")
    message = fails("owner/name", "train")
    assert "blank question: row 3" in message and "duplicate id: row 4 ('1' of row 1)" in message
    write(second, HEADER + "3,본문\n")
    assert "(train-00001-of-00002.csv): ragged row: row 1" in fails("owner/name", "train")


def test_a_hub_data_set_is_downloaded_and_found_again_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As the hub's own library lays its cache out, in a hidden folder and with links to the files' contents.
    commit = "0123456789012345678901234567890123456789"
    cache = tmp_path / ".cache" / "hub"
    repository = cache / "datasets--owner--name"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    write(repository / "blob", HEADER + "001,본문,질문,NA\n")
    (snapshot / "train.csv").symlink_to(repository / "blob")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert load_table("owner/name", "train")[0]["id"] == "001"


def test_a_hub_data_set_in_a_format_that_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "owner" / "name").mkdir(parents=True)
    write(tmp_path / "owner" / "name" / "train.txt", "본문")
    monkeypatch.chdir(tmp_path)
    message = fails("owner/name", "train")
    assert "owner/name (train.txt): unknown extension '.txt'" in message and ".parquet" in message


def test_unreachable_hub_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    message = fails("nobody/no-such-data", "val")
    assert "--data.val_path nobody/no-such-data" in message and "give a file" in message

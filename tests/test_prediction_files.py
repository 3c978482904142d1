"""What is written is what is read: whatever the text."""

import csv
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kqa_lightning.prediction_files import write_answers, write_candidates

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.dictionaries(TEXT, TEXT, min_size=1))
def test_reading_gives_back_the_same_strings(tmp_path_factory: pytest.TempPathFactory, texts: dict[str, str]) -> None:
    folder = tmp_path_factory.mktemp("written")
    write_answers(folder / "a.csv", texts)
    with (folder / "a.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["id", "answer"]
    assert rows == [list(row) for row in texts.items()]
    write_candidates(folder / "a.jsonl", {name: [{"answer": answer}] for name, answer in texts.items()})
    lines = [json.loads(line) for line in (folder / "a.jsonl").read_text(encoding="utf-8").split("\n") if line]
    assert lines == [{"id": name, "candidates": [{"answer": answer}]} for name, answer in texts.items()]

"""Whatever the text, every format gives back what was written."""

import csv
import json
import unicodedata
from pathlib import Path

import datasets
import pyarrow
import pyarrow.parquet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from table_files import write

from kqa_lightning.data.tables import load_table

# Any character a text file can hold; lone surrogates are refused, see below.
UNSEEN = [
    "\u200b",
    "\u2060",
    "\ufeff",
    *(chr(code) for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n\r"),
]
TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(UNSEEN)).filter(
    lambda text: shows(seen(text))
)


def seen(text: str) -> str:
    """What is left of a text by the letter of the rule, character by character."""
    return unicodedata.normalize("NFC", "".join(character for character in text if character not in UNSEEN))


def shows(text: str) -> bool:
    """Whether there is a letter, digit, sign or symbol in it, and not one of Hangul's or Braille's blanks."""
    return any(unicodedata.category(one)[0] in "LNPS" and one not in "\u115f\u1160\u3164\uffa0\u2800" for one in text)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.lists(st.tuples(TEXT, TEXT, TEXT, TEXT), min_size=1, max_size=5, unique_by=lambda row: row[0]))
def test_csv_round_trip(tmp_path: Path, rows: list[tuple[str, str, str, str]]) -> None:
    for suffix, delimiter in ((".csv", ","), (".tsv", "\t")):
        path = tmp_path / f"rows{suffix}"
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter=delimiter).writerows([("id", "context", "question", "answer"), *rows])
        check_same(load_table(str(path), "train", require_answers=True), rows)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.lists(st.tuples(TEXT, TEXT, TEXT, TEXT), min_size=1, max_size=5, unique_by=lambda row: row[0]))
def test_jsonl_round_trip(tmp_path: Path, rows: list[tuple[str, str, str, str]]) -> None:
    names = ("id", "context", "question", "answer")
    lines = [json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) for row in rows]
    check_same(load_table(write(tmp_path / "rows.jsonl", "\n".join(lines)), "train", require_answers=True), rows)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.lists(st.tuples(TEXT, TEXT, TEXT, TEXT), min_size=1, max_size=5, unique_by=lambda row: row[0]), st.booleans())
def test_parquet_round_trip(tmp_path: Path, rows: list[tuple[str, str, str, str]], several: bool) -> None:
    names = ("id", "context", "question", "answers" if several else "answer")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    if several:
        columns["answers"] = [[answer] for answer in columns["answers"]]
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "rows.parquet")
    check_same(load_table(str(tmp_path / "rows.parquet"), "train", require_answers=True), rows)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(TEXT, TEXT, TEXT, TEXT), min_size=1, max_size=5, unique_by=lambda row: row[0]),
    st.booleans(),
    st.booleans(),
)
def test_json_round_trip(tmp_path: Path, rows: list[tuple[str, str, str, str]], squad: bool, escaped: bool) -> None:
    document: object = [dict(zip(("id", "context", "question", "answer"), row, strict=True)) for row in rows]
    if squad:
        paragraphs = [
            {"context": context, "qas": [{"id": name, "question": question, "answers": [{"text": answer}]}]}
            for name, context, question, answer in rows
        ]
        document = {"data": [{"paragraphs": paragraphs}]}
    path = write(tmp_path / "rows.json", json.dumps(document, ensure_ascii=escaped))
    check_same(load_table(path, "train", require_answers=True), rows)


def check_same(table: datasets.Dataset, rows: list[tuple[str, str, str, str]]) -> None:
    assert table["id"][:] == [row[0] for row in rows]  # untouched: answers are matched by it
    for index, name in ((1, "context"), (2, "question")):
        assert table[name][:] == [seen(row[index]) for row in rows]
    assert table["answers"][:] == [[seen(row[3])] for row in rows]

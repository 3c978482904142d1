"""Tables with a fault in what they state, written in each format; what a reader is to say of the fault."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import pyarrow
import pyarrow.parquet

Row = dict[str, Any]
DEEP = 100_000


@dataclass(frozen=True)
class Fault:
    """A fault in the rows.

    Args:
        make: Gives the faulty rows, and the words that the refusal is to have.
        formats: Those that can state it.
    """

    make: Callable[[list[Row], Random], tuple[list[Row], tuple[str, ...]]]
    formats: tuple[str, ...] = (".csv", ".tsv", ".jsonl", ".json", ".parquet")


def _set(name: str, *values: Any, words: tuple[str, ...] = ()) -> Callable:
    def make(rows: list[Row], choose: Random) -> tuple[list[Row], tuple[str, ...]]:
        place = choose.randrange(len(rows))
        rows[place][name] = choose.choice(values)
        return rows, (*words, f"row {place + 1}") if words else ()

    return make


def _without(rows: list[Row], choose: Random) -> tuple[list[Row], tuple[str, ...]]:
    name = choose.choice(("id", "context", "question"))
    return [{key: row[key] for key in row if key != name} for row in rows], (name,)


def _renamed(rows: list[Row], choose: Random) -> tuple[list[Row], tuple[str, ...]]:
    name = choose.choice(("id", "context", "question"))
    other = choose.choice((name.upper(), f" {name}", f"{name}\u200b", "본문", ""))
    return [{other if key == name else key: row[key] for key in row} for row in rows], (name,)


def _repeated(rows: list[Row], choose: Random) -> tuple[list[Row], tuple[str, ...]]:
    first, second = sorted(choose.sample(range(len(rows)), 2))
    rows[second]["id"] = rows[first]["id"]
    return rows, (rows[first]["id"], f"row {second + 1}")


def _added(rows: list[Row], choose: Random) -> tuple[list[Row], tuple[str, ...]]:
    columns = {f"column {number}": "x" * number for number in range(choose.choice((1, 300)))}
    return [row | columns for row in rows], ()


ROWS = {
    "column dropped": Fault(_without),
    "column renamed": Fault(_renamed),
    "columns added": Fault(_added),
    "id repeated": Fault(_repeated),
    "id blank": Fault(_set("id", "", " ", "\u200b", words=("id",))),
    "question blank": Fault(_set("question", "", "\u3164", "\x00", words=("question",))),
    "huge context": Fault(_set("context", "가" * 300_000, "a" * 500_000, '"' * 200_000, "\n" * 150_000 + "끝")),
    "huge id": Fault(_set("id", "9" * 100_000, "x" * 200_000)),
    "hostile text": Fault(_set("question", '=cmd|"/C calc"!A0', "\x1b[2J", "{context}", "%s%n", "\\u0000", "'; --")),
    "no text": Fault(_set("question", 1.5, True, ["a"], {"a": 1}, words=("question",)), (".jsonl", ".json")),
    "null": Fault(_set("context", None, words=("context",)), (".jsonl", ".json", ".parquet")),
    "numbers": Fault(_set("id", 10**400, -1, 0), (".jsonl", ".json")),
    "half a pair": Fault(_set("question", "\ud800", "a\udfff", words=("question",)), (".jsonl", ".json")),
    "odd answers": Fault(
        _set("answer", [], {}, {"text": 3}, {"text": [None]}, [[]], {"text": ["a"], "answer_start": "x"}),
        (".jsonl", ".json"),
    ),
}


def write(rows: Sequence[Row], suffix: str) -> bytes:
    """The bytes of a table in a format."""
    if suffix in (".csv", ".tsv"):
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(rows[0]), delimiter="\t" if suffix == ".tsv" else ",", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue().encode()
    if suffix == ".parquet":
        file = io.BytesIO()
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        pyarrow.parquet.write_table(pyarrow.table(columns), file)
        return file.getvalue()
    halves = any(ord("\ud800") <= ord(letter) <= ord("\udfff") for row in rows for letter in str(row.get("question")))
    lines = [json.dumps(row, ensure_ascii=halves) for row in rows]
    return ("\n".join(lines) + "\n" if suffix == ".jsonl" else f"[{', '.join(lines)}]").encode()


def korquad(rows: Sequence[Row]) -> dict[str, Any]:
    """The rows as a KorQuAD document."""
    paragraphs = []
    for context in dict.fromkeys(row["context"] for row in rows):
        qas = [
            {"id": row["id"], "question": row["question"], "answers": [{"text": row["answer"], "answer_start": 0}]}
            for row in rows
            if row["context"] == context
        ]
        paragraphs.append({"context": context, "qas": qas})
    return {"version": "KorQuAD_v1.0_dev", "data": [{"title": "t", "paragraphs": paragraphs}]}


def damaged_document(document: dict[str, Any], kind: int, choose: Random) -> bytes:
    """A KorQuAD document with one of twelve faults in its structure."""
    paragraph = document["data"][0]["paragraphs"][0]
    qa = paragraph["qas"][0]
    if kind == 0:
        del document["data"]
    elif kind == 1:
        document["data"] = choose.choice(({}, None, "x", [[]], 3))
    elif kind == 2:
        del paragraph[choose.choice(("context", "qas"))]
    elif kind == 3:
        paragraph["qas"] = choose.choice((None, {"a": 1}, "text", [None], [[]]))
    elif kind == 4:
        del qa[choose.choice(("id", "question", "answers"))]
    elif kind == 5:
        qa["answers"] = choose.choice(([], None, "text", [None], [{}], [{"text": None}], {"text": "x"}, 3))
    elif kind == 6:
        qa["answers"][0]["answer_start"] = choose.choice((-5, 10**30, "x", None, 1e999))
    elif kind == 7:
        paragraph["context"] = choose.choice((None, 3, [], {}, ""))
    elif kind == 8:
        return b"[" * DEEP + b"]" * DEEP
    elif kind == 9:
        return (
            json.dumps(document).replace('"qas"', '"a": ' + '{"a":' * DEEP + "1" + "}" * DEEP + ', "qas"', 1).encode()
        )
    elif kind == 10:
        return json.dumps(document).replace('"question"', '"id": "again", "question"', 1).encode()
    else:
        return (
            json.dumps(document)
            .replace('"answer_start": 0', choose.choice(("NaN", '"answer_start": 0,', "'x'")))
            .encode()
        )
    return json.dumps(document, ensure_ascii=False).encode()

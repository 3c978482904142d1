"""Gold answers from every form they come in."""

import json
import unicodedata
from pathlib import Path

import pytest

from kqa_lightning.ensemble.gold import read_gold
from kqa_lightning.errors import KQAError


def write(folder: Path, name: str, content: str) -> str:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return str(path)


def korquad(*questions: dict) -> str:
    return json.dumps({"data": [{"paragraphs": [{"context": "…", "qas": list(questions)}]}]})


def test_tables_as_text(tmp_path: Path) -> None:
    expected = {"001": ("NA",), "2": ("14일, 다섯",)}
    assert read_gold(write(tmp_path, "a.csv", 'id,context,answer\n001,긴 글,NA\n2,글,"14일, 다섯"\n')) == expected
    assert read_gold(write(tmp_path, "a.tsv", "\ufeffid\tanswer\n001\tNA\n2\t14일, 다섯\n")) == expected


def test_json_lines(tmp_path: Path) -> None:
    rows = [
        {"id": "1", "answer": "가"},
        {"id": 2, "answers": ["나", unicodedata.normalize("NFD", "다")]},
        {"id": "3", "answers": {"text": ["라"], "answer_start": [0]}},
    ]
    source = write(tmp_path, "a.jsonl", "\n\n".join(json.dumps(row) for row in rows))
    assert read_gold(source) == {"1": ("가",), "2": ("나", "다"), "3": ("라",)}


def test_korquad_file(korquad_path: Path) -> None:
    gold = read_gold(str(korquad_path))
    assert len(gold) == 5774
    assert gold["6548850-0-0"] == ("1989년 2월 15일",)


def test_bundled_sample() -> None:
    gold = read_gold("sample")
    assert len(gold) >= 240 and all(answers and all(answers) for answers in gold.values())


def test_questions_without_gold_are_listed(tmp_path: Path) -> None:
    source = write(tmp_path, "a.csv", "id,answer\n1,가\n2, \n3,다\n")
    assert read_gold(source, ["1", "3"]) == {"1": ("가",), "3": ("다",)}
    with pytest.raises(KQAError, match=r"no gold answer for the ids 2, 4$"):
        read_gold(source, ["1", "2", "3", "4"])
    empty = write(tmp_path, "a.json", korquad({"id": "1", "answers": []}))
    with pytest.raises(KQAError, match=r"no gold answer for the ids 1$"):
        read_gold(empty, ["1"])


def test_an_answer_that_is_missing_is_no_gold(tmp_path: Path) -> None:
    source = write(tmp_path, "a.jsonl", '{"id": "1", "answer": null}\n{"id": "2", "answer": 14}\n')
    assert read_gold(source) == {"2": ("14",)}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "id,context\n1,글\n", "no column 'answer' or 'answers'; found: 'id', 'context'"),
        ("a.csv", "answer\n가\n", "no column 'id'; found: 'answer'"),
        ("a.csv", "id,answer\n", "there are no rows"),
        ("a.csv", "id,answer\n1,가\n1,나\n", r"duplicate id: row 2 \(1 of row 1\)"),
        ("a.csv", "id,answer\n1,가\n ,나\n", "blank id: row 2"),
        ("a.csv", "id,answer\n1,가\n2,14일, 5\n", r"row 2 \(line 3: 3 fields instead of 2\)"),
        ("a.jsonl", '{"id": "1", "answer": "가"}\n{"id": "1", "answer": "나"}\n', "duplicate id: row 2"),
        ("a.jsonl", '{"id": "1", "answer": "가"}\n{"id": "2"\n', r"broken JSON: row 2 \(line 2"),
        ("a.jsonl", '{"id": "1", "candidates": []}\n', "no column 'answer' or 'answers'; found: 'id', 'candidates'"),
        ("a.jsonl", '{"id": "1", "answers": [["가"]]}\n', r"answer is no text: row 1 \(list\)"),
        ("a.jsonl", "[]\n", "no JSON object: row 1"),
        ("a.jsonl", "", "is empty"),
        ("a.json", "{", "broken JSON"),
        ("a.json", '{"data": 3}', "neither KorQuAD"),
        ("a.json", "[]", "there are no rows"),
        ("a.json", korquad(*[{"id": "1", "answers": []}] * 2), r"duplicate id: row 2 \(1 of row 1\)"),
        ("a.txt", "id,answer\n1,가\n", "unknown extension '.txt'"),
    ],
)
def test_bad_gold(name: str, content: str, message: str, tmp_path: Path) -> None:
    source = write(tmp_path, name, content)
    with pytest.raises(KQAError, match=message) as caught:
        read_gold(source)
    assert str(caught.value).startswith(f"--gold {source}") and "\n" not in str(caught.value)


def test_missing_gold(tmp_path: Path) -> None:
    with pytest.raises(KQAError, match="there is no such file"):
        read_gold(str(tmp_path / "none.csv"))

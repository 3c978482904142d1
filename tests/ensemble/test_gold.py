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


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "id,context\n1,글\n", "missing or repeated: answer; found: id, context"),
        ("a.csv", "id,answer\n1,가\n1,나\n", r"repeated ids: 1 \(line 2, line 3\)"),
        ("a.jsonl", '{"id": "1", "answer": "가"}\n{"id": "1", "answer": "나"}\n', r"1 \(line 1, line 2\)"),
        ("a.jsonl", '{"id": "1", "answer": "가"}\n{"id": "2"\n', "line 2: not well-formed JSON"),
        ("a.jsonl", '{"id": "1", "candidates": []}\n', 'line 1: needs {"id"'),
        ("a.jsonl", '{"id": "1", "answer": null}\n', "line 1: needs"),
        ("a.jsonl", "[]\n", "line 1: needs"),
        ("a.jsonl", "", "there are no rows"),
        ("a.json", "{", "line 1: not well-formed JSON"),
        ("a.json", '{"data": 3}', "not in KorQuAD's form"),
        ("a.json", "[]", "not in KorQuAD's form"),
        ("a.json", korquad({"id": "1", "answers": [{"text": 3}]}), "not in KorQuAD's form"),
        ("a.json", korquad(*[{"id": "1", "answers": []}] * 2), r"1 \(question 1, question 2\)"),
    ],
)
def test_bad_gold(name: str, content: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(KQAError, match=message) as caught:
        read_gold(write(tmp_path, name, content))
    assert "\n" not in str(caught.value)


def test_missing_gold(tmp_path: Path) -> None:
    with pytest.raises(KQAError, match="there is no such file"):
        read_gold(str(tmp_path / "none.csv"))

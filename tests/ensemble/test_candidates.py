"""The pool: which candidate stands where."""

import json
from pathlib import Path

import pytest
from pools import pool_of

from kqa_lightning.ensemble import reading
from kqa_lightning.ensemble.candidates import read_pool
from kqa_lightning.errors import KQAError


def write(path: Path, rows: dict[str, list[str]]) -> Path:
    lines = [
        json.dumps({"id": name, "candidates": [{"answer": one, "logprob_sum": -len(one)} for one in answers]})
        for name, answers in rows.items()
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_questions_are_those_of_the_first_file_whatever_the_order(tmp_path: Path) -> None:
    first = write(tmp_path / "a.jsonl", {"2": ["a", "bb"], "1": ["c"]})
    second = write(tmp_path / "b.jsonl", {"1": ["d", "e", "ff"], "2": ["g"]})
    pool = read_pool({"a": first, "b": second})
    assert (pool.models, pool.questions) == (("a", "b"), ("2", "1"))
    rows = zip(pool.question, pool.model, pool.rank, pool.answers, pool.logprob_sum, strict=True)
    assert [(int(q), int(m), int(r), answer, score) for q, m, r, answer, score in rows] == [
        (0, 0, 0, "a", -1),
        (0, 0, 1, "bb", -2),
        (0, 1, 0, "g", -1),
        (1, 0, 0, "c", -1),
        (1, 1, 0, "d", -1),
        (1, 1, 1, "e", -1),
        (1, 1, 2, "ff", -2),
    ]
    assert pool.first_answers() == {"a": {"2": "a", "1": "c"}, "b": {"2": "g", "1": "d"}}


def test_the_first_candidate_is_the_models_answer_whatever_its_score() -> None:
    pool = pool_of({"a": [[("가", -5.0), ("나", -1.0)]], "b": [[("다", -1.0)]]})
    assert pool.first_answers() == {"a": {"0": "가"}, "b": {"0": "다"}}


def test_files_that_answer_different_questions(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.jsonl", {"1": ["a"], "2": ["b"]}), tmp_path / "b.csv"
    second.write_text("id,answer\n2,b\n3,c\n", encoding="utf-8")
    with pytest.raises(KQAError) as caught:
        read_pool({"a": first, "b": second})
    assert str(caught.value) == (
        f"{first} and {second} answer different questions; only in {first}: 1; only in {second}: 3"
    )


def test_long_files_are_read_beside_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = {name: write(tmp_path / f"{name}.jsonl", {"1": [name, "나"], "2": ["다"]}) for name in ("a", "b", "c")}
    wanted = read_pool(paths)
    monkeypatch.setattr(reading, "_LONG", 0)
    found = read_pool(paths)
    assert (found.models, found.questions, found.answers) == (wanted.models, wanted.questions, wanted.answers)
    assert read_pool(paths, own=True).answers == ["a", "b", "c", "다", "다", "다"]
    paths["b"].write_text("{}", encoding="utf-8")
    with pytest.raises(KQAError, match=r"b\.jsonl"):
        read_pool(paths)
    paths["b"].unlink()
    with pytest.raises(KQAError, match=r"b\.jsonl: there is no such file"):
        read_pool(paths)

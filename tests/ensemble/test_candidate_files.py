"""Candidates as predict writes them, and as CSV."""

import gzip
import json
import math
import unicodedata
from pathlib import Path

import pytest

from kqa_lightning.data.cleaning import clean
from kqa_lightning.ensemble.candidate_files import read_candidates
from kqa_lightning.errors import KQAError


def line(name: object, *candidates: object) -> str:
    return json.dumps({"id": name, "candidates": list(candidates)}, ensure_ascii=False)


def candidate(answer: object, total: object = -0.5, mean: object = -0.25) -> dict:
    return {"answer": answer, "raw": answer, "logprob_sum": total, "logprob_mean": mean}


def test_every_candidate_with_its_scores(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    decomposed = unicodedata.normalize("NFD", "한국")
    lines = [
        line("001", candidate("14일, 다섯"), candidate("", -3, -1.5)),
        "",
        line("2\u2028", candidate(decomposed, None, None)),
    ]
    path.write_text("\ufeff" + "\r\n".join(lines) + "\n", encoding="utf-8", newline="")
    found = read_candidates(path)
    assert (found.ids, found.counts) == (["001", "2\u2028"], [2, 1])
    assert found.answers == ["14일, 다섯", "", "한국"]
    assert found.logprob_sum[:2] == [-0.5, -3.0] and math.isnan(found.logprob_sum[2])
    assert found.logprob_mean[:2] == [-0.25, -1.5] and math.isnan(found.logprob_mean[2])


def test_a_candidate_may_have_no_scores_or_be_impossible(tmp_path: Path) -> None:
    """Minus infinity, and what stands for it in other files, is the least there is, and not unknown."""
    path = tmp_path / "a.jsonl"
    impossible = '{"answer": "나", "logprob_sum": -Infinity, "logprob_mean": -3.4028234663852886e+38}'
    path.write_text(
        f'{{"id": "1", "candidates": [{{"answer": "가"}}, {impossible}, {{"answer": "", "logprob_sum": NaN}}]}}\n'
    )
    found = read_candidates(path)
    assert found.answers == ["가", "나", ""]
    for scores in (found.logprob_sum, found.logprob_mean):
        assert [math.isnan(score) for score in scores] == [True, False, True]
        assert scores[1] == -1e4


def test_a_csv_is_one_candidate_and_not_the_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,answer\n1,가\n2,\n", encoding="utf-8")
    (tmp_path / "a.jsonl").write_text(line("1", candidate("나")) + "\n", encoding="utf-8")
    found = read_candidates(tmp_path / "a.csv")
    assert (found.ids, found.counts, found.answers) == (["1", "2"], [1, 1], ["가", ""])
    assert all(map(math.isnan, found.logprob_sum + found.logprob_mean))


def test_lines_of_answers_are_a_table_as_others_are(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"id": 1, "answer": '"candidates": 14일'}, {"id": "2", "answer": None}]
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    found = read_candidates(path)
    assert (found.ids, found.counts, found.answers) == (["1", "2"], [1, 1], ['"candidates": 14일', ""])
    assert all(map(math.isnan, found.logprob_sum + found.logprob_mean))


def test_of_own_answers_the_others_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        line("1", candidate("가", -0.5), candidate("나")) + "\n" + line("2", candidate("다")), encoding="utf-8"
    )
    found = read_candidates(path, own=True)
    assert (found.ids, found.counts, found.answers) == (["1", "2"], [1, 1], ["가", "다"])
    assert found.logprob_sum == [-0.5, -0.5]


TRICKY = [
    "한글 abc",
    "\u200b가",
    "a\x00b\nc",
    unicodedata.normalize("NFD", "한국"),
    "\u3000\xa0a",
    '"\\',
    "\b\f",
    "İß😀",
]


@pytest.mark.parametrize("escaped", [True, False])
def test_every_answer_is_cleaned_however_its_line_looks(escaped: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"id": str(place), "candidates": [candidate(one), candidate("가")]} for place, one in enumerate(TRICKY)]
    path.write_text("\n".join(json.dumps(row, ensure_ascii=escaped) for row in rows), encoding="utf-8", newline="")
    assert read_candidates(path).answers == [text for one in TRICKY for text in (clean(one)[0], "가")]


GOOD = line("1", candidate("가"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("id,answer\n1,가\n", r"broken JSON \(.*\): row 1 \(line 1\)"),
        (f"{GOOD}\n[]\n", r"no JSON object: row 2 \(line 2\)"),
        (f"{GOOD}\n{GOOD}\n", r"duplicate id: row 2 \(1 of row 1\)"),
        (f"{GOOD}\n" + line(" ", candidate("나")), "blank id: row 2"),
        (line(1, candidate("가")), r"needs an id that is a text: row 1 \(line 1\)"),
        ('{"candidates": [{"answer": "가"}]}', r"needs an id that is a text: row 1 \(line 1\)"),
        ('{"id": "1", "answer": "가"}\n' + GOOD, r"needs 'candidates', a list of one or more.*: row 1 \(line 1\)"),
        ('{"id": "1", "candidate": [{"answer": "가"}]}', "has no column 'answer'; found: 'id', 'candidate'"),
        (line("1"), "needs 'candidates'"),
        (line("1", "가"), "each candidate needs an 'answer' that is a text"),
        (line("1", candidate(None)), "each candidate needs an 'answer'"),
        (line("1", candidate("가", "-1")), "logprob_sum is no number"),
        (line("1", candidate("가", -1, True)), "logprob_mean is no number"),
        (line("1", candidate("가", 0.5)), "logprob_sum is above 0"),
        (line("1", candidate("가", 10**400)), "logprob_sum is beyond all bounds"),
        ('{"id": "1", "candidates": [{"answer": "\\uD83D"}]}', "half of a surrogate pair"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_bad_files_name_file_and_line(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(KQAError, match=message) as caught:
        read_candidates(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join([GOOD, "[]", "", GOOD, "[]"]), encoding="utf-8")
    with pytest.raises(KQAError) as caught:
        read_candidates(path)
    assert str(caught.value) == (
        f"{path}: no JSON object: rows 2 (line 2), 4 (line 5); duplicate id: row 3 (1 of row 1)"
    )


def test_packed_and_cleaned(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(line("1", candidate("\u200b"), candidate("가\u200b나")).encode()))
    assert read_candidates(path).answers == ["", "가나"]


def test_a_whole_pair_is_no_half(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"id": "1", "candidates": [{"answer": "😀"}]}), encoding="utf-8")
    assert read_candidates(path).answers == ["😀"]

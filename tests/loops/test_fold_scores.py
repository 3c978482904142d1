"""What a fold scores, and what is no fold's file."""

import json
from pathlib import Path

import datasets
import pytest

from kqa_lightning.errors import KQAError
from kqa_lightning.loops.fold_scores import read_candidates, score_fold


def write_fold(path: Path, answers: dict[str, str]) -> Path:
    lines = ({"id": name, "candidates": [{"answer": answer}]} for name, answer in answers.items())
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_an_article_is_counted_once_however_it_is_set(tmp_path: Path) -> None:
    rows = {"id": ["1", "2", "3"], "context": ["A사는 크다.", " Ａ사는\n크다. ", "b"], "answers": [["가"]] * 3}
    score = score_fold(
        write_fold(tmp_path / "fold.jsonl", dict.fromkeys("123", "가")), datasets.Dataset.from_dict(rows)
    )
    assert (score.articles, score.questions, score.char_f1) == (2, 3, 1.0)


@pytest.mark.parametrize(
    "line",
    [
        '{"id": "2"',
        '"text"',
        '["id", "candidates"]',
        '{"id": "2"}',
        '{"id": 2, "candidates": [{"answer": "가"}]}',
        '{"id": "2", "candidates": []}',
        '{"id": "2", "candidates": "가"}',
        '{"id": "2", "candidates": ["가"]}',
        '{"id": "2", "candidates": [{}]}',
        '{"id": "2", "candidates": [{"answer": null}]}',
        '{"id": "2", "candidates": [{"answer": "가", "logprob_sum": "much"}]}',
        '{"id": "1", "candidates": [{"answer": "twice"}]}',
    ],
)
def test_a_damaged_line_is_named_with_the_remedy(tmp_path: Path, line: str) -> None:
    path = write_fold(tmp_path / "fold.jsonl", {"1": "가"})
    path.write_text(path.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    with pytest.raises(KQAError, match=rf"^{path}.*row 2.*; remove {path}, and the fold is answered again$"):
        read_candidates(path)


def test_what_is_no_text_is_named_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "fold.jsonl"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(KQAError, match=r"neither UTF-8 nor cp949; .*; remove .*, and the fold is answered again"):
        read_candidates(path)


def test_lines_stay_as_they_stand(tmp_path: Path) -> None:
    candidates = [{"answer": "한\u2028글", "raw": " 한", "logprob_sum": -1.5, "logprob_mean": None}]
    path = tmp_path / "fold.jsonl"
    path.write_text(json.dumps({"id": "1", "candidates": candidates}, ensure_ascii=False) + "\n", encoding="utf-8")
    assert read_candidates(path) == {"1": candidates}

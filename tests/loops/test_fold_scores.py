"""What a fold scores, and what is no fold's file."""

import json
from pathlib import Path

import datasets

from kqa_lightning.loops.fold_scores import score_fold


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

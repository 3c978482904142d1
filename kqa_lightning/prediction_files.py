"""Writing answers: a CSV (id, answer) for people and scorers, and JSON lines with every candidate for the ensemble."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kqa_lightning.files import written_whole

TABLE = "predictions.csv"
LINES = "predictions.jsonl"


def write_answers(target: Path, answers: Mapping[str, str]) -> None:
    """Write a CSV (id, answer), whole or not at all.

    Args:
        target: The file; what stood there stays where writing fails.
        answers: {id: answer}, in the order to write.

    Raises:
        OSError: the file cannot be written.
    """
    # Everything is quoted: before Python 3.13 a lone carriage return would be written bare, which no reader accepts.
    with written_whole(target) as scratch, scratch.open("w", encoding="utf-8", newline="") as file:
        file.write("id,answer\n")
        csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(answers.items())


def write_candidates(target: Path, candidates: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Write a line ``{"id", "candidates"}`` for each question, whole or not at all.

    Args:
        target: The file; what stood there stays where writing fails.
        candidates: {id: candidates, the model's own answer first}, in the order to write.

    Raises:
        OSError: the file cannot be written.
    """
    with written_whole(target) as scratch, scratch.open("w", encoding="utf-8", newline="") as file:
        for question, found in candidates.items():
            file.write(json.dumps({"id": question, "candidates": list(found)}, ensure_ascii=False) + "\n")

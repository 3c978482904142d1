"""Gold answers to score predictions with, from a table, a KorQuAD file or the bundled sample."""

import io
import json
from collections.abc import Callable, Iterable, Iterator
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from kqa_lightning.ensemble.tables import check_ids, first_few, nfc, read_table, read_text
from kqa_lightning.errors import KQAError


def read_gold(source: str, questions: Iterable[str] = ()) -> dict[str, tuple[str, ...]]:
    """The gold answers of a table: {id: answers}, in the table's order.

    Args:
        source: a CSV or TSV with the columns id and answer; a JSONL with ``id`` and ``answer`` or ``answers``
            in each line; a KorQuAD/SQuAD ``.json``; or ``sample``, the bundled test split.
        questions: the ids that must have a gold answer.

    Raises:
        KQAError: the file is missing or malformed, or some of the questions have no gold answer in it.
    """
    if source == "sample":
        with as_file(files("kqa_lightning.assets") / "sample" / "test.csv") as path:
            gold = _read(path)
    else:
        gold = _read(Path(source))
    missing = [question for question in questions if question not in gold]
    if missing:
        raise KQAError(f"--gold {source}: no gold answer for the ids {first_few(missing)}")
    return gold


_Row = tuple[str, str, list[str]]  # place in the file, id, gold answers


def _read(path: Path) -> dict[str, tuple[str, ...]]:
    """Gold answers by id; a question whose answers are all blank has none and is left out."""
    readers: dict[str, Callable[[Path], Iterator[_Row]]] = {".json": _korquad_rows, ".jsonl": _jsonl_rows}
    rows = list(readers.get(path.suffix.lower(), _table_rows)(path))
    check_ids(path, [(place, question) for place, question, _ in rows])
    gold = {question: tuple(nfc(answer) for answer in answers if answer.strip()) for _, question, answers in rows}
    return {question: answers for question, answers in gold.items() if answers}


def _table_rows(path: Path) -> Iterator[_Row]:
    for row in read_table(path, ("id", "answer")):
        yield "", row["id"], [row["answer"]]  # read_table has checked the ids and knows their lines


def _jsonl_rows(path: Path) -> Iterator[_Row]:
    for number, line in enumerate(io.StringIO(read_text(path)), start=1):
        if line.strip():
            row = _parsed(path, line.strip(), first_line=number)
            try:
                answers = row["answers"] if "answers" in row else [row["answer"]]
                answers = answers["text"] if isinstance(answers, dict) else answers
                yield f"line {number}", str(row["id"]), [_text(answer) for answer in answers]
            except (KeyError, TypeError):
                raise KQAError(f'{path}, line {number}: needs {{"id": …, "answer": …}} or "answers": […]') from None


def _korquad_rows(path: Path) -> Iterator[_Row]:
    table = _parsed(path, read_text(path))
    try:
        questions = [qa for article in table["data"] for part in article["paragraphs"] for qa in part["qas"]]
        for number, qa in enumerate(questions, start=1):
            yield f"question {number}", str(qa["id"]), [_text(answer["text"]) for answer in qa["answers"]]
    except (KeyError, TypeError):
        raise KQAError(f"{path}: not in KorQuAD's form (data, paragraphs, qas, each with id and answers)") from None


def _parsed(path: Path, text: str, first_line: int = 1) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise KQAError(f"{path}, line {first_line + error.lineno - 1}: not well-formed JSON ({error.msg})") from None
    except RecursionError:
        raise KQAError(f"{path}: the JSON is nested too deeply") from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"an answer is text, not {value!r}")
    return value

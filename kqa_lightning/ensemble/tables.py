"""Ids and answers of a table, by the rules of every other table here; without torch."""

import unicodedata
from collections.abc import Iterable
from pathlib import Path

from kqa_lightning.data.cleaning import clean
from kqa_lightning.data.problems import Problems
from kqa_lightning.data.readers import read_file
from kqa_lightning.errors import KQAError


def read_answers(path: Path) -> dict[str, str]:
    """The answers of a table with the columns id and answer: {id: answer}, in its order.

    Ids are text as it stands; answers are cleaned as articles are (composed, and without characters that nobody
    sees). An empty answer is an abstention.

    Args:
        path: a CSV, TSV, JSONL or Parquet file, packed or not.

    Raises:
        KQAError: the file is missing or malformed, lacks a column or rows, or has blank or duplicate ids.
    """
    problems = Problems(str(path))
    table = read_file(path, problems)
    missing = [name for name in ("id", "answer") if name not in table.columns]
    if missing and table.columns:
        found = first_few(map(repr, table.columns))
        raise KQAError(f"{path} has no column {' and no column '.join(map(repr, missing))}; found: {found}")
    ids = Ids(problems)
    answers: dict[str, str] = {}
    for number, record in table.rows:
        name, answer = (cell_text(record.get(key), key, number, problems) for key in ("id", "answer"))
        if ids.add(name, number):
            answers[name or ""] = clean(answer or "")[0]
    problems.raise_any()
    if not answers:
        raise KQAError(f"{path}: there are no rows in it")
    return answers


class Ids:
    """The ids of a table: each row has one, and no two the same.

    Args:
        problems: takes the rows that have none, or that of an earlier row.
    """

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._rows: dict[str, int] = {}

    def add(self, name: str | None, row: int) -> bool:
        """Note the id of a row; whether it is one, and a new one."""
        if name is None or not name.strip():
            self._problems.add("blank id", row)
            return False
        if (first := self._rows.setdefault(name, row)) != row:
            self._problems.add("duplicate id", row, f"{first_few([name])} of row {first}")
            return False
        return True


def cell_text(value: object, name: str, row: int, problems: Problems) -> str | None:
    """A cell as text, None where there is none; what is neither text nor a number is noted."""
    if value is None or value != value:  # NaN is the missing number of a Parquet table
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        problems.add(f"{name} is no text", row, type(value).__name__)
        return None
    return str(value)


def nfc(text: str) -> str:
    """Hangul composed, the form that answers are compared in; never NFKC, which rewrites characters."""
    return unicodedata.normalize("NFC", text)


def first_few(names: Iterable[object], limit: int = 5) -> str:
    """The first names of a list in one line, and how many there are where there are more.

    >>> first_few(["a", "b", "c"], limit=2)
    'a, b, … (3 in all)'
    """
    shown = [" ".join(str(name).split())[:60] for name in names]
    return ", ".join(shown[:limit]) + (f", … ({len(shown)} in all)" if len(shown) > limit else "")

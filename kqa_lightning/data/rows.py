"""Raw rows turned into checked ones: every fault is noted, and none is guessed away."""

from collections.abc import Iterator, Mapping
from typing import Any

import datasets

from kqa_lightning.data.cleaning import clean
from kqa_lightning.data.problems import Problems

FEATURES = datasets.Features(
    {
        "id": datasets.Value("string"),
        "context": datasets.Value("string"),
        "question": datasets.Value("string"),
        "answers": datasets.List(datasets.Value("string")),
        "answer_starts": datasets.List(datasets.Value("int32")),
        "removed": datasets.Value("int32"),
    }
)
NAMES = ("id", "context", "question", "answer")
UNKNOWN_START = -1


class RowChecker:
    """Gathers the checked rows of one table, column by column.

    Args:
        names: our column names (id, context, question, answer) to the table's.
        require_answers: whether a row without a gold answer is an error.
        problems: where faults are noted.
    """

    def __init__(self, names: Mapping[str, str], require_answers: bool, problems: Problems) -> None:
        self.columns: dict[str, list[Any]] = {name: [] for name in FEATURES}
        self._names = names
        self._require_answers = require_answers
        self._problems = problems
        self._first_rows: dict[str, int] = {}
        self._removed = 0

    def add(self, number: int, record: Mapping[str, Any]) -> None:
        """Check one row, counted from 1."""
        self._removed = 0
        fields = {name: record.get(column) for name, column in self._names.items()}
        row_id = self._text(fields["id"], "id", number)
        if row_id.strip() and (first := self._first_rows.setdefault(row_id, number)) != number:
            self._problems.add("duplicate id", number, f"{row_id!r} of row {first}")
        answers, starts = self._answers(fields.get("answer"), number)
        context = self._cleaned(fields["context"], "context", number)
        self.columns["id"].append(row_id)
        self.columns["context"].append(context)
        self.columns["question"].append(self._cleaned(fields["question"], "question", number))
        self.columns["answers"].append(answers)
        self.columns["answer_starts"].append(
            [_start(raw, fields["context"], context, answer) for raw, answer in zip(starts, answers, strict=True)]
        )
        self.columns["removed"].append(self._removed)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The checked rows."""
        for values in zip(*self.columns.values(), strict=True):
            yield dict(zip(self.columns, values, strict=True))

    def _text(self, value: Any, name: str, row: int) -> str:
        """Return ``value`` as text; what is blank or no text is noted."""
        if _is_missing(value):
            value = ""
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            self._problems.add(f"{name} is no text", row, type(value).__name__)
            return ""
        text = str(value)
        if any("\ud800" <= character <= "\udfff" for character in text):
            self._problems.add(f"half a surrogate pair in {name}", row)
            return ""
        if not text.strip():
            self._problems.add(f"blank {name}", row)
        return text

    def _cleaned(self, value: Any, name: str, row: int) -> str:
        text = value
        if isinstance(value, str):
            text, removed = clean(value)
            self._removed += removed
        return self._text(text, name, row)

    def _answers(self, value: Any, row: int) -> tuple[list[str], list[Any]]:
        """Return the gold answers of a cell (a text, a list of texts, SQuAD's ``{"text": […]}``) and their places."""
        starts: Any = None
        if isinstance(value, Mapping):
            value, starts = value.get("text"), value.get("answer_start")
        values = value if isinstance(value, list) else [value]
        if not isinstance(starts, list) or len(starts) != len(values):
            starts = [None] * len(values)
        if not self._require_answers:
            kept = [(one, start) for one, start in zip(values, starts, strict=True) if not _is_missing(one)]
            values, starts = [one for one, _ in kept], [start for _, start in kept]
        elif not values:
            self._problems.add("missing answer", row)
        return [self._cleaned(one, "answer", row) for one in values], starts


def _is_missing(value: Any) -> bool:
    # NaN, which alone differs from itself, is the missing number of a Parquet table.
    return value is None or value != value or (isinstance(value, str) and not value.strip())


def _start(raw: Any, raw_context: Any, context: str, answer: str) -> int:
    """The place in the cleaned context of an answer that stood at ``raw`` in the raw one."""
    try:
        start = len(clean(raw_context[: int(raw)])[0])
    except (TypeError, ValueError):
        return UNKNOWN_START
    return start if context.startswith(answer, start) else UNKNOWN_START

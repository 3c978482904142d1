"""Raw rows turned into checked ones: every fault is noted, and none is guessed away."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import datasets

from kqa_lightning.data.cleaning import clean, is_blank
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


class _Cleaned(NamedTuple):
    text: str
    removed: int


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

    def add(self, number: int, record: Mapping[str, Any]) -> None:
        """Check one row, counted from 1."""
        fields = {name: record.get(column) for name, column in self._names.items()}
        row_id = self._text(fields["id"], "id", number)
        if not is_blank(row_id) and (first := self._first_rows.setdefault(row_id, number)) != number:
            self._problems.add("duplicate id", number, f"{row_id!r} of row {first}")
        raw_answers, starts = self._answers(fields.get("answer"), number)
        answers = [self._cleaned(one, "answer", number) for one in raw_answers]
        context = self._cleaned(fields["context"], "context", number)
        question = self._cleaned(fields["question"], "question", number)
        self.columns["id"].append(row_id)
        self.columns["context"].append(context.text)
        self.columns["question"].append(question.text)
        self.columns["answers"].append([one.text for one in answers])
        self.columns["answer_starts"].append(
            [_start(raw, fields["context"], context.text, one.text) for raw, one in zip(starts, answers, strict=True)]
        )
        self.columns["removed"].append(sum(one.removed for one in (context, question, *answers)))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The checked rows."""
        for values in zip(*self.columns.values(), strict=True):
            yield dict(zip(self.columns, values, strict=True))

    def _text(self, value: Any, name: str, row: int) -> str:
        """Return ``value`` as text; what is blank or no text is noted."""
        if _is_missing(value):
            value = ""
        if isinstance(value, bool) or not isinstance(value, str | int):
            is_error = isinstance(value, Exception)  # what a cell of a Parquet file could not be read for
            self._problems.add(f"{name} is no text", row, str(value) if is_error else type(value).__name__)
            return ""
        text = str(value)
        try:
            text.encode()
        except UnicodeEncodeError:
            self._problems.add(f"half a surrogate pair in {name}", row)
            return ""
        if is_blank(text):
            self._problems.add(f"blank {name}", row)
        return text

    def _cleaned(self, value: Any, name: str, row: int) -> _Cleaned:
        text, removed = clean(value) if isinstance(value, str) else (value, 0)
        return _Cleaned(self._text(text, name, row), removed)

    def _answers(self, value: Any, row: int) -> tuple[list[Any], list[Any]]:
        """Return the gold answers of a cell (text, list of texts, SQuAD's ``{"text": […]}``), and where they stand."""
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
        return values, starts


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, str) and is_blank(value))


def _start(raw: Any, raw_context: Any, context: str, answer: str) -> int:
    """The place in the cleaned context of an answer that stood at ``raw`` in the raw one."""
    try:
        place = int(raw)
    except (TypeError, ValueError, OverflowError):  # nothing, no number, infinite
        return UNKNOWN_START
    if place < 0 or not isinstance(raw_context, str):
        return UNKNOWN_START
    start = len(clean(raw_context[:place])[0])
    return start if context.startswith(answer, start) else UNKNOWN_START

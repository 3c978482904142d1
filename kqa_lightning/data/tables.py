"""Any supported table as one checked ``datasets.Dataset``: id, context, question, answers."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import datasets

from kqa_lightning.assets import SAMPLE, sample_table
from kqa_lightning.data.hub import ask_hub_once
from kqa_lightning.data.problems import Problems
from kqa_lightning.data.readers import READERS, RawTable, read_file
from kqa_lightning.errors import KQAError
from kqa_lightning.files import user_path

Part = Literal["train", "val", "test", "predict"]
PARTS: tuple[Part, ...] = ("train", "val", "test", "predict")

FEATURES = datasets.Features(
    {
        "id": datasets.Value("string"),
        "context": datasets.Value("string"),
        "question": datasets.Value("string"),
        "answers": datasets.List(datasets.Value("string")),
    }
)
NAMES = ("id", "context", "question", "answer")
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(:[\w.-]+)?")
HUB_SPLITS: dict[str, tuple[str, ...]] = {
    "train": ("train",),
    "val": ("validation", "val", "dev"),
    "test": ("test",),
    "predict": ("test",),
}


def load_table(
    source: str, part: Part, columns: Mapping[str, str] | None = None, require_answers: bool = False
) -> datasets.Dataset:
    """Read a table of questions and check every row of it.

    Args:
        source: a CSV, TSV, JSONL, Parquet or KorQuAD/SQuAD JSON file, a hub data set (``owner/name`` or
            ``owner/name:split``), or ``sample`` for the bundled data.
        part: which part is read; it chooses the split of a hub data set and names the flag in messages.
        columns: our column names (id, context, question, answer) to the table's, where they differ.
        require_answers: whether a row without a gold answer is an error.

    Returns:
        Rows in the order of the source: id, context and question as strings, answers as a list of
        strings, empty where there are none. Text is in Unicode's composed form (NFC); ids are untouched.

    Raises:
        KQAError: one line with every faulty row, or with why the source cannot be read.
    """
    problems = Problems(f"--data.{part}_path {source}")
    if source == SAMPLE:
        if columns:
            raise KQAError("--data.columns renames the columns of a table of your own; the sample has ours")
        return check(read_file(sample_table(part), problems), None, require_answers, problems)
    path = user_path(source)
    if not path.is_file() and HUB_ID.fullmatch(source) and path.suffix.lower() not in READERS:
        return check(read_hub(source, part, problems), columns, require_answers, problems)
    return check(read_file(path, problems), columns, require_answers, problems)


def read_hub(source: str, part: Part, problems: Problems) -> RawTable:
    """Read the split of a hub data set that belongs to ``part``, or the one named after a colon."""
    name, _, wanted = source.partition(":")
    try:
        ask_hub_once(name, "dataset")
        splits = datasets.load_dataset(name)
    except Exception as error:  # whatever the hub, the network or the data set's files came up with
        reason = str(error).strip().partition("\n")[0]
        raise KQAError(
            f"{problems.source}: there is no such file, and as a hub data set it cannot be loaded"
            f" ({type(error).__name__}: {reason}); give a file to work offline"
        ) from error
    split = next((split for split in ((wanted,) if wanted else HUB_SPLITS[part]) if split in splits), None)
    if split is None:
        raise KQAError(f"{problems.source} has no split for this; found: {', '.join(splits)}; name one as {name}:SPLIT")
    rows = splits[split]
    return RawTable(list(rows.column_names), list(enumerate(rows, start=1)))


def check(
    table: RawTable, columns: Mapping[str, str] | None, require_answers: bool, problems: Problems
) -> datasets.Dataset:
    """Turn raw rows into checked ones; every fault of every row ends up in one error."""
    if not table.columns:
        problems.raise_any()
        raise KQAError(f"{problems.source} is empty: it has no columns")
    names = find_columns(table.columns, columns, require_answers, problems.source)
    if not table.rows:
        problems.raise_any()
        raise KQAError(f"{problems.source} is empty: it has a header and no rows")
    result: dict[str, list[Any]] = {name: [] for name in FEATURES}
    seen: dict[str, int] = {}
    for number, record in table.rows:
        fields = {name: record.get(column) for name, column in names.items()}
        row_id = _text(fields["id"], "id", number, problems)
        if row_id.strip() and (first := seen.setdefault(row_id, number)) != number:
            problems.add("duplicate id", number, f"{row_id!r} of row {first}")
        result["id"].append(row_id)
        for name in ("context", "question"):
            result[name].append(_nfc(_text(fields[name], name, number, problems)))
        result["answers"].append(_answers(fields.get("answer"), require_answers, number, problems))
    problems.raise_any()
    return datasets.Dataset.from_dict(result, features=FEATURES)


def find_columns(
    found: Sequence[str], columns: Mapping[str, str] | None, require_answers: bool, source: str
) -> dict[str, str]:
    """Map our column names to the table's.

    Raises:
        KQAError: where a column is missing; the message names those found and the flag that renames.
    """
    columns = columns or {}
    if unknown := [name for name in columns if name not in NAMES]:
        raise KQAError(f"--data.columns maps {', '.join(NAMES)} to the table's names; it has no {unknown[0]!r} there")
    names: dict[str, str] = {}
    for name in NAMES:
        candidates = (columns[name],) if name in columns else (name, "answers") if name == "answer" else (name,)
        column = next((candidate for candidate in candidates if candidate in found), None)
        if column is not None:
            names[name] = column
        elif name != "answer" or require_answers or name in columns:
            raise KQAError(
                f"{source} has no column {candidates[0]!r}; found: {', '.join(map(repr, found))};"
                f' if it has another name there, pass --data.columns \'{{"{name}": "NAME"}}\''
            )
    return names


def _text(value: Any, name: str, row: int, problems: Problems) -> str:
    """Return ``value`` as text; what is blank or no text is noted."""
    if _is_missing(value):
        value = ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        problems.add(f"{name} is no text", row, type(value).__name__)
        return ""
    text = str(value)
    if not text.strip():
        problems.add(f"blank {name}", row)
    elif fault := _unusable(text):
        problems.add(f"{fault} in {name}", row)
        return ""
    return text


def _answers(value: Any, required: bool, row: int, problems: Problems) -> list[str]:
    """Return the gold answers of a cell: a text, a list of texts, or SQuAD's ``{"text": [...]}``."""
    if isinstance(value, Mapping):
        value = value.get("text")
    values = value if isinstance(value, list) else [value]
    if not required:
        values = [one for one in values if not _is_missing(one)]
    elif not values:
        problems.add("missing answer", row)
    return [_nfc(_text(one, "answer", row, problems)) for one in values]


def _is_missing(value: Any) -> bool:
    # NaN, which alone differs from itself, is the missing number of a Parquet table.
    return value is None or value != value or (isinstance(value, str) and not value.strip())


def _unusable(text: str) -> str | None:
    if "\0" in text:
        return "NUL character"
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "half a surrogate pair"
    return None


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)

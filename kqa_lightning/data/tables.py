"""Any supported table as one checked ``datasets.Dataset``: id, context, question, answers."""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import datasets

from kqa_lightning.assets import SAMPLE, sample_table
from kqa_lightning.data.cache import cached
from kqa_lightning.data.decoding import extension
from kqa_lightning.data.hub import split_files
from kqa_lightning.data.problems import Problems
from kqa_lightning.data.raw_table import RawTable
from kqa_lightning.data.readers import FORMATS, Content, open_file
from kqa_lightning.data.rows import FEATURES, NAMES, RowChecker
from kqa_lightning.errors import KQAError
from kqa_lightning.files import user_path

Part = Literal["train", "val", "test", "predict"]
PARTS: tuple[Part, ...] = ("train", "val", "test", "predict")

log = logging.getLogger(__name__)

CACHED_FROM = 2**20  # characters; what is smaller is read in no time
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
        strings, empty where there are none, and answer_starts, the character of the context at which each answer
        stands, -1 where the table does not say. Text is composed (NFC) and without characters that no
        reader sees, which are counted and reported; ids are untouched.

    Raises:
        KQAError: one line with every faulty row, or with why the source cannot be read.
    """
    problems = Problems(f"--data.{part}_path {source}")
    columns = columns or {}
    if source == SAMPLE and columns:
        raise KQAError("--data.columns renames the columns of a table of your own; the sample has ours")
    contents = open_source(source, part, problems)
    # The extension, since the same characters are another table as .csv than as .tsv.
    decides = [piece for content in contents for piece in (content.extension, content.data)]
    decides += [repr(sorted(columns.items())), repr(require_answers)]
    table = cached(
        lambda: check(parse(contents, problems), columns, require_answers, problems),
        FEATURES,
        (lambda: decides) if sum(len(content.data) for content in contents) > CACHED_FROM else None,
    )
    report_removed(table, problems.source)
    return table


def report_removed(table: datasets.Dataset, source: str) -> None:
    """Say, where any were, how many characters were taken out."""
    removed = [count for count in table["removed"] if count]
    if removed:
        log.warning(
            "%s: %d zero-width and control characters were taken out of %d rows", source, sum(removed), len(removed)
        )


def open_source(source: str, part: Part, problems: Problems) -> list[Content]:
    """Open the file, or the files of the hub data set's split, that ``source`` names."""
    path = sample_table(part) if source == SAMPLE else user_path(source)
    if path.is_file() or not HUB_ID.fullmatch(source) or extension(path)[0] in FORMATS:
        return [open_file(path, problems)]
    return [
        open_file(path, Problems(f"{problems.source} ({path.name})")) for path in find_split(source, part, problems)
    ]


def find_split(source: str, part: Part, problems: Problems) -> list[Path]:
    """Return the files of the split of a hub data set that belongs to ``part``, or of the one named after a colon."""
    name, _, wanted = source.partition(":")
    try:
        splits = split_files(name, list(FORMATS))
    except Exception as error:  # whatever the hub, the network or the data set's settings came up with
        reason = str(error).strip().partition("\n")[0]
        raise KQAError(
            f"{problems.source}: there is no such file, and as a hub data set it cannot be loaded"
            f" ({type(error).__name__}: {reason}); give a file to work offline"
        ) from error
    split = next((split for split in ((wanted,) if wanted else HUB_SPLITS[part]) if split in splits), None)
    if split is None:
        raise KQAError(f"{problems.source} has no split for this; found: {', '.join(splits)}; name one as {name}:SPLIT")
    return splits[split]


def parse(contents: Sequence[Content], problems: Problems) -> RawTable:
    """Parse the files of one table; its rows are counted through all of them."""
    if len(contents) == 1:
        return contents[0].parse(problems)
    names: dict[str, None] = {}
    rows: list[Mapping[str, Any]] = []
    for content in contents:
        own = Problems(content.source)
        table = content.parse(own)
        own.raise_any()
        names |= dict.fromkeys(table.columns)
        rows += [record for _, record in table.rows]
    return RawTable(list(names), list(enumerate(rows, start=1)))


def check(table: RawTable, columns: Mapping[str, str], require_answers: bool, problems: Problems) -> RowChecker:
    """Turn raw rows into checked ones; every fault of every row ends up in one error."""
    if not table.columns:
        problems.raise_any()
        raise KQAError(f"{problems.source} is empty: it has no columns")
    names = find_columns(table.columns, columns, require_answers, problems.source)
    if not table.rows:
        problems.raise_any()
        raise KQAError(f"{problems.source} is empty: it has a header and no rows")
    rows = RowChecker(names, require_answers, problems)
    for number, record in table.rows:
        rows.add(number, record)
    problems.raise_any()
    return rows


def find_columns(
    found: Sequence[str], columns: Mapping[str, str], require_answers: bool, source: str
) -> dict[str, str]:
    """Map our column names to the table's.

    Raises:
        KQAError: where a column is missing, two could be meant, or one is to be two; the message names those found
            and the flag that renames.
    """
    if unknown := [name for name in columns if name not in NAMES]:
        raise KQAError(f"--data.columns maps {', '.join(NAMES)} to the table's names; it has no {unknown[0]!r} there")
    names: dict[str, str] = {}
    missing: dict[str, str] = {}
    for name in NAMES:
        candidates = (columns[name],) if name in columns else (name, "answers") if name == "answer" else (name,)
        given = [candidate for candidate in candidates if candidate in found]
        if len(given) > 1:
            raise KQAError(
                f"{source} has both a column 'answer' and a column 'answers'; choose one by"
                f""" --data.columns '{{"answer": "answers"}}' or '{{"answer": "answer"}}'"""
            )
        if given:
            names[name] = given[0]
        elif name != "answer" or require_answers or name in columns:
            missing[name] = candidates[0]
    if missing:
        raise KQAError(
            f"{source} has no column {' and no column '.join(map(repr, missing.values()))};"
            f" found: {', '.join(map(repr, found))}; if it has another name there, pass"
            f" --data.columns '{json.dumps(dict.fromkeys(missing, 'NAME'))}'"
        )
    for name, column in names.items():
        if same := [other for other in names if other != name and names[other] == column]:
            raise KQAError(
                f"{source}: --data.columns makes column {column!r} both {name} and {same[0]}; give each its own column"
            )
    return names

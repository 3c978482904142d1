"""CSV and TSV: the standard library's parser, strict, which goes on after a broken row."""

import csv
import io
import logging
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from kqa_lightning.data.problems import Problems, list_rows
from kqa_lightning.data.raw_table import Format, RawTable
from kqa_lightning.errors import KQAError

log = logging.getLogger(__name__)

# Delimiters as prose has none: a comma is followed by a space there, or stands between two digits.
_BARE = {",": re.compile(r"(?<!\d),(?! )|(?<=\d),(?![ \d])"), "\t": re.compile("\t")}


def separated(delimiter: str) -> Format:
    """The format of tables whose fields are separated by ``delimiter`` (a comma or a tab)."""
    return Format(partial(_parse, delimiter), partial(_row_at_end, delimiter))


def _parse(delimiter: str, text: str, problems: Problems) -> RawTable:
    lines = list(io.StringIO(text, newline=""))
    header: list[str] = []
    rows: list[tuple[int, Mapping[str, Any]]] = []
    swallowing: dict[int, str] = {}
    number = 0
    for first, past, fields in _records(lines, delimiter):
        if fields == []:  # a line without a single character is no row
            continue
        if not header:
            header = _header(fields, problems)
            continue
        number += 1
        if fields is None:
            fault = "quote that is not closed, or text after a closing quote"
            problems.add(fault, number, f"from line {first + 1}")
        elif len(fields) != len(header):
            problems.add("ragged row", number, f"line {first + 1}: {len(fields)} fields instead of {len(header)}")
        else:
            rows.append((number, dict(zip(header, fields, strict=True))))
            if past - first > 1 and _look_like_rows(lines[first:past], delimiter, len(header)):
                swallowing[number] = f"lines {first + 1} to {past}"
    if swallowing:
        log.warning(
            "%s: a quoted field holds line breaks between what looks like rows of their own: %s;"
            " if a quote is missing there, close it",
            *(problems.source, list_rows(swallowing)),
        )
    return RawTable(header, rows)


def _records(lines: Sequence[str], delimiter: str) -> Iterator[tuple[int, int, list[str] | None]]:
    """Yield each record's first line, the line after its last, and its fields; None where its quotes are wrong.

    Reading goes on in the line after the one in which a broken record began, so that later faults are found too.
    """
    start = 0
    while start < len(lines):
        first = start
        reader = csv.reader(map(lines.__getitem__, range(start, len(lines))), delimiter=delimiter, strict=True)
        try:
            with _long_fields():
                for fields in reader:
                    past = start + reader.line_num
                    yield first, past, fields
                    first = past
            return
        except csv.Error:
            start = first + 1
            yield first, start, None


def _header(fields: list[str] | None, problems: Problems) -> list[str]:
    if fields is None:
        raise KQAError(
            f"{problems.source}: a quote in the header (line 1) is not closed, or text follows a closing one"
        )
    if len(fields) == 1 and (sign := next((sign for sign in ",;\t|" if sign in fields[0]), None)):
        raise KQAError(
            f"{problems.source}: the header {fields[0]!r} separates its columns by {sign!r}; a .csv separates them by"
            " commas, a .tsv by tabs"
        )
    if twice := sorted({name for name in fields if fields.count(name) > 1}):
        raise KQAError(f"{problems.source}: column {twice[0]!r} occurs more than once in the header")
    return fields


def _look_like_rows(lines: Sequence[str], delimiter: str, columns: int) -> bool:
    """Whether every line of one record has as many delimiters as a row: an open quote may have joined them."""
    return columns > 1 and all(len(_BARE[delimiter].findall(line)) == columns - 1 for line in lines)


def _row_at_end(delimiter: str, text: str) -> int:
    """The row in which ``text`` ends, 0 in the header; the character after it is another one of that row."""
    with _long_fields():
        return sum(1 for fields in csv.reader(io.StringIO(f"{text}x", newline=""), delimiter=delimiter) if fields) - 1


@contextmanager
def _long_fields() -> Iterator[None]:
    """The default refuses articles of more than 131,072 characters."""
    limit = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(limit)

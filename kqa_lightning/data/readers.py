"""One reader a file format: from a path to columns and numbered rows of plain Python values.

The readers guess no types: what stands in a file as ``NA``, ``null`` or ``007`` stays those characters.
Rows are counted from 1, the header of a CSV file not included.
"""

import csv
import io
import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kqa_lightning.data.problems import Problems
from kqa_lightning.errors import KQAError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RawTable:
    """What a file holds: its column names and its rows, each with the number a user would count."""

    columns: list[str]
    rows: list[tuple[int, Mapping[str, Any]]]


def read_file(path: Path, problems: Problems) -> RawTable:
    """Read ``path`` by its extension; what is wrong with single rows goes to ``problems``.

    Raises:
        KQAError: where nothing can be read at all: no such file, unknown extension, undecodable bytes.
    """
    if path.is_dir():
        raise KQAError(f"{problems.source} is a folder; give one file ({', '.join(READERS)})")
    if not path.exists():
        raise KQAError(f"{problems.source}: there is no such file")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise KQAError(f"{problems.source}: unknown extension {path.suffix!r}; known: {', '.join(READERS)}")
    try:
        return reader(path, problems)
    except OSError as error:
        raise KQAError(f"{problems.source} cannot be read: {error.strerror or error}") from error


def decode(path: Path, problems: Problems) -> str:
    """Return the file's text: UTF-8 with or without byte-order mark, else cp949, which is reported."""
    data = path.read_bytes()
    if not data.strip():
        raise KQAError(f"{problems.source} is empty")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        try:
            text = data.decode("cp949")
        except UnicodeDecodeError:
            line = data.count(b"\n", 0, error.start) + 1
            raise KQAError(
                f"{problems.source}: byte 0x{data[error.start]:02x} at offset {error.start} (line {line}) is"
                " neither UTF-8 nor cp949; save the file as UTF-8"
            ) from error
        log.warning("%s is not UTF-8 and was read as cp949", problems.source)
    if (nul := text.find("\0")) >= 0:
        line = text.count("\n", 0, nul) + 1
        raise KQAError(f"{problems.source}: NUL byte in line {line}; is this a text file saved as UTF-8?")
    return text


def _read_separated(delimiter: str) -> Callable[[Path, Problems], RawTable]:
    def read(path: Path, problems: Problems) -> RawTable:
        text = decode(path, problems)
        # The default refuses articles of more than 131,072 characters.
        limit = csv.field_size_limit(sys.maxsize)
        try:
            return _parse_separated(text, delimiter, problems)
        finally:
            csv.field_size_limit(limit)

    return read


def _parse_separated(text: str, delimiter: str, problems: Problems) -> RawTable:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    rows: list[tuple[int, Mapping[str, Any]]] = []
    number, line = 0, 1
    try:
        for fields in reader:
            if fields and not header:
                header = _unique(fields, problems)
            elif fields:  # a line without a single character is no row
                number += 1
                if len(fields) == len(header):
                    rows.append((number, dict(zip(header, fields, strict=True))))
                else:
                    fault = f"{len(fields)} fields instead of {len(header)}"
                    problems.add("ragged row", number, f"line {line}: {fault}")
            line = reader.line_num + 1
    except csv.Error:
        problems.add("quote that is not closed, or text after a closing quote", number + 1, f"from line {line}")
    return RawTable(header, rows)


def _unique(header: list[str], problems: Problems) -> list[str]:
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise KQAError(f"{problems.source}: column {twice[0]!r} occurs more than once in the header")
    return header


def _read_jsonl(path: Path, problems: Problems) -> RawTable:
    rows: list[tuple[int, Mapping[str, Any]]] = []
    # Not splitlines(): U+2028 and its like may stand inside a JSON string.
    lines = enumerate(decode(path, problems).split("\n"), start=1)
    for number, (line_number, line) in enumerate(((n, line) for n, line in lines if line.strip()), start=1):
        try:
            record = parse_json(line)
        except ValueError as error:
            problems.add("broken JSON", number, f"line {line_number}: {error}")
            continue
        if isinstance(record, dict):
            rows.append((number, record))
        else:
            problems.add("no JSON object", number, f"line {line_number}")
    return RawTable(_columns(rows), rows)


def _read_json(path: Path, problems: Problems) -> RawTable:
    text = decode(path, problems)
    try:
        document = parse_json(text)
    except ValueError as error:
        hint = "; a file with one object a line is to be named .jsonl" if "Extra data" in str(error) else ""
        raise KQAError(f"{problems.source}: broken JSON: {error}{hint}") from error
    if isinstance(document, list):
        records = document
    else:
        try:
            records = list(squad_records(document))
        except (KeyError, TypeError, AttributeError) as error:
            raise KQAError(
                f"{problems.source} is neither KorQuAD/SQuAD JSON (data, paragraphs, context, qas) nor a list"
                f" of objects: {type(error).__name__} {error}"
            ) from error
    rows: list[tuple[int, Mapping[str, Any]]] = []
    for number, record in enumerate(records, start=1):
        if isinstance(record, dict):
            rows.append((number, record))
        else:
            problems.add("no JSON object", number)
    return RawTable(_columns(rows), rows)


def squad_records(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield one record a question of a KorQuAD/SQuAD document, all its gold answers kept."""
    for article in document["data"]:
        for paragraph in article["paragraphs"]:
            context = paragraph["context"]
            for qa in paragraph["qas"]:
                record = {"id": qa.get("id"), "context": context, "question": qa.get("question")}
                if "answers" in qa:
                    record["answers"] = [answer["text"] for answer in qa["answers"]]
                yield record


def parse_json(text: str) -> Any:
    """Parse JSON with every number kept as the characters that stand there."""
    try:
        return json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _read_parquet(path: Path, problems: Problems) -> RawTable:
    import pyarrow.parquet  # type: ignore[import-untyped]

    try:
        table = pyarrow.parquet.read_table(path)
    except pyarrow.lib.ArrowException as error:
        raise KQAError(f"{problems.source} is no Parquet file: {str(error).splitlines()[0]}") from error
    return RawTable(list(table.column_names), list(enumerate(table.to_pylist(), start=1)))


def _columns(rows: list[tuple[int, Mapping[str, Any]]]) -> list[str]:
    return list(dict.fromkeys(name for _, record in rows for name in record))


READERS: dict[str, Callable[[Path, Problems], RawTable]] = {
    ".csv": _read_separated(","),
    ".tsv": _read_separated("\t"),
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
    ".json": _read_json,
}

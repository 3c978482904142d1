"""One reader a file format: from a path to columns and numbered rows of plain Python values.

The readers guess no types: what stands in a file as ``NA``, ``null`` or ``007`` stays those characters.
Rows are counted from 1, the header of a CSV file not included.
"""

import csv
import io
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from kqa_lightning.data.decoding import decode, extension, read_bytes
from kqa_lightning.data.problems import Problems
from kqa_lightning.errors import KQAError

# Every question of a KorQuAD/SQuAD file or a list of objects has one.
_QUESTION = re.compile(r'"question"\s*:')


@dataclass(frozen=True)
class RawTable:
    """What a file holds: its column names and its rows, each with the number a user would count."""

    columns: list[str]
    rows: list[tuple[int, Mapping[str, Any]]]


@dataclass(frozen=True)
class Format:
    """How the content of a file becomes a table.

    Args:
        parse: from the text to the table; from the bytes where ``count_rows`` is None.
        count_rows: the number of the row in which a text ends.
    """

    parse: Callable[[Any, Problems], RawTable]
    count_rows: Callable[[str], int] | None = None


@dataclass(frozen=True)
class Content:
    """What a file holds, unpacked and decoded, and not parsed yet.

    Args:
        source: how the file is named in messages.
        extension: the one that tells the format.
        data: text, or bytes where the format is a binary one.
    """

    source: str
    extension: str
    data: str | bytes

    @property
    def format(self) -> Format:
        """How ``data`` becomes a table."""
        return FORMATS[self.extension]


def open_file(path: Path, problems: Problems) -> Content:
    """Read ``path``, whose extension tells the format.

    Raises:
        KQAError: no such file, unknown extension, damaged archive, undecodable bytes.
    """
    if path.is_dir():
        raise KQAError(f"{problems.source} is a folder; give one file ({', '.join(FORMATS)})")
    if not path.exists():
        raise KQAError(f"{problems.source}: there is no such file")
    name = extension(path)[0]
    if name not in FORMATS:
        raise KQAError(
            f"{problems.source}: unknown extension {name!r}; known: {', '.join(FORMATS)},"
            " and these compressed, as in .csv.gz"
        )
    data = read_bytes(path, problems)
    count_rows = FORMATS[name].count_rows
    return Content(problems.source, name, decode(data, problems, count_rows) if count_rows else data)


def read_file(path: Path, problems: Problems) -> RawTable:
    """Read and parse ``path``; what is wrong with single rows goes to ``problems``.

    Raises:
        KQAError: where nothing can be read at all.
    """
    content = open_file(path, problems)
    return content.format.parse(content.data, problems)


def _separated(delimiter: str) -> Format:
    return Format(partial(_parse_separated, delimiter), partial(_row_at_end, delimiter))


def _parse_separated(delimiter: str, text: str, problems: Problems) -> RawTable:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    limit = csv.field_size_limit(sys.maxsize)  # the default refuses articles of more than 131,072 characters
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
    finally:
        csv.field_size_limit(limit)
    return RawTable(header, rows)


def _row_at_end(delimiter: str, text: str) -> int:
    """The row in which ``text`` ends, 0 in the header; the character after it is another one of that row."""
    limit = csv.field_size_limit(sys.maxsize)
    try:
        return sum(1 for fields in csv.reader(io.StringIO(f"{text}x", newline=""), delimiter=delimiter) if fields) - 1
    finally:
        csv.field_size_limit(limit)


def _unique(header: list[str], problems: Problems) -> list[str]:
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise KQAError(f"{problems.source}: column {twice[0]!r} occurs more than once in the header")
    return header


def _parse_jsonl(text: str, problems: Problems) -> RawTable:
    rows: list[tuple[int, Mapping[str, Any]]] = []
    # Not splitlines(): U+2028 and its like may stand inside a JSON string.
    lines = enumerate(text.split("\n"), start=1)
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


def _parse_json(text: str, problems: Problems) -> RawTable:
    try:
        document = parse_json(text)
    except ValueError as error:
        if "Extra data" in str(error):  # one object a line, as the hub's .json files often are
            return _parse_jsonl(text, problems)
        raise KQAError(f"{problems.source}: broken JSON: {error}") from error
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
                    record["answers"] = {
                        "text": [answer["text"] for answer in qa["answers"]],
                        "answer_start": [answer.get("answer_start") for answer in qa["answers"]],
                    }
                yield record


def parse_json(text: str) -> Any:
    """Parse JSON with every number kept as the characters that stand there."""
    try:
        return json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _parse_parquet(data: bytes, problems: Problems) -> RawTable:
    import pyarrow.parquet  # type: ignore[import-untyped]

    try:
        table = pyarrow.parquet.read_table(io.BytesIO(data))
    except pyarrow.lib.ArrowException as error:
        raise KQAError(f"{problems.source} is no Parquet file: {str(error).splitlines()[0]}") from error
    return RawTable(list(table.column_names), list(enumerate(table.to_pylist(), start=1)))


def _columns(rows: list[tuple[int, Mapping[str, Any]]]) -> list[str]:
    return list(dict.fromkeys(name for _, record in rows for name in record))


def _line_at_end(text: str) -> int:
    return sum(1 for line in f"{text}x".split("\n") if line.strip())


def _question_at_end(text: str) -> int:
    return len(_QUESTION.findall(text))


FORMATS = {
    ".csv": _separated(","),
    ".tsv": _separated("\t"),
    ".jsonl": Format(_parse_jsonl, _line_at_end),
    ".parquet": Format(_parse_parquet),
    ".json": Format(_parse_json, _question_at_end),
}

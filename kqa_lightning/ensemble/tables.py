"""Reading tables as plain text, without torch or datasets; every error names file and line."""

import csv
import io
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from kqa_lightning.errors import KQAError


def read_text(path: Path) -> str:
    """A UTF-8 file as text, without a byte-order mark and with its line ends as they are."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise KQAError(f"{path}: there is no such file") from None
    except OSError as error:
        raise KQAError(f"{path}: cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise KQAError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The named columns of a CSV file (TSV by its suffix), as text: one dict a row.

    The first column named is the id: each row has one, and no two the same. The others are made NFC.

    Raises:
        KQAError: the file is missing or malformed, lacks a column, has no row, or blank or repeated ids.
    """
    lines = _records(path, "\t" if path.suffix.lower() == ".tsv" else ",")
    header = [name.strip() for name in next(lines, (0, []))[1]]
    missing = [column for column in columns if header.count(column) != 1]
    if missing:
        raise KQAError(
            f"{path}: needs the columns {', '.join(columns)}, each once; missing or repeated: "
            f"{', '.join(missing)}; found: {first_few(header) or 'none, the file is empty'}"
        )
    places = {column: header.index(column) for column in columns}
    rows, ids = [], []
    for line, record in lines:
        if len(record) != len(header):
            raise KQAError(
                f"{path}, line {line}: {len(record)} fields where the header has {len(header)}; "
                "a field with a comma, quote or line break in it stands in double quotes"
            )
        row = {column: nfc(record[place]) for column, place in places.items()}
        row[columns[0]] = record[places[columns[0]]]  # an id goes out as it came in
        rows.append(row)
        ids.append((f"line {line}", row[columns[0]]))
    check_ids(path, ids)
    return rows


def check_ids(path: Path, ids: Sequence[tuple[str, str]]) -> None:
    """Refuse a table without rows, and blank or repeated ids; ids are (place in the file, id)."""
    if not ids:
        raise KQAError(f"{path}: there are no rows in it")
    blank = [place for place, name in ids if not name.strip()]
    if blank:
        raise KQAError(f"{path}: blank ids in {first_few(blank)}")
    places: dict[str, list[str]] = {}
    for place, name in ids:
        places.setdefault(name, []).append(place)
    repeated = [f"{name} ({first_few(found)})" for name, found in places.items() if len(found) > 1]
    if repeated:
        raise KQAError(f"{path}: repeated ids: {first_few(repeated)}")


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


def _records(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(line the record starts in, its fields), without empty lines."""
    # newline="": as csv asks for, and str.splitlines would break a line at U+2028 too.
    reader = csv.reader(io.StringIO(read_text(path), newline=""), delimiter=delimiter, strict=True)
    start = 1
    try:
        for record in reader:
            if record:
                yield start, record
            start = reader.line_num + 1
    except csv.Error as error:
        raise KQAError(f"{path}, line {start}: not well-formed ({error})") from error

"""Parquet: numbers and dates as the text that a reader would write, and no column touched that nobody asks for."""

import io
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any

import pyarrow  # type: ignore[import-untyped]
import pyarrow.compute  # type: ignore[import-untyped]
import pyarrow.parquet  # type: ignore[import-untyped]

from kqa_lightning.data.problems import Problems
from kqa_lightning.data.raw_table import RawTable
from kqa_lightning.errors import KQAError


class _Row(Mapping[str, Any]):
    """A row whose cells are looked up in its table's columns."""

    def __init__(self, names: list[str], column: Callable[[str], list[Any]], place: int) -> None:
        self._names = names
        self._column = column
        self._place = place

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(name)
        return self._column(name)[self._place]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def parse_parquet(data: bytes, problems: Problems) -> RawTable:
    """Make a table of the bytes of a Parquet file.

    Raises:
        KQAError: where they are none, or two columns have one name.
    """
    try:
        table = pyarrow.parquet.read_table(io.BytesIO(data))
    except (pyarrow.lib.ArrowException, OSError) as error:
        raise KQAError(
            f"{problems.source} is no Parquet file that can be read: {str(error).splitlines()[0]}"
        ) from error
    names = list(table.column_names)
    # Made when a first row asks for it: a column of vectors or of broken dates is no concern of ours.
    column = cache(lambda name: _values(table.column(name)))
    return RawTable(names, [(place + 1, _Row(names, column, place)) for place in range(len(table))])


def _values(column: pyarrow.ChunkedArray) -> list[Any]:
    """The cells of a column; in place of one that cannot be read, the error, which is no text and reported as such."""
    if pyarrow.types.is_floating(column.type):
        # As text by Arrow, which knows that a 32-bit 3.14 is no 3.140000104904175, and writes 2020.0, an integer in
        # a column with gaps, as 2020. Not a number is the gap itself.
        gaps = pyarrow.compute.is_nan(column)
        column = pyarrow.compute.if_else(gaps, None, column).cast(pyarrow.string())
    try:
        return [_plain(value) for value in column.to_pylist()]
    except (pyarrow.lib.ArrowException, ValueError, OverflowError):
        return [_value(cell) for cell in column]


def _value(cell: pyarrow.Scalar) -> Any:
    try:
        return _plain(cell.as_py())
    except (pyarrow.lib.ArrowException, ValueError, OverflowError) as error:
        return error


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value:f}"
    # By its exact type: a point in time is a date as well, and its text a matter of taste.
    return value.isoformat() if type(value) is date else value

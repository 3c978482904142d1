"""What every reader makes of a file: columns and numbered rows of plain Python values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kqa_lightning.data.problems import Problems


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

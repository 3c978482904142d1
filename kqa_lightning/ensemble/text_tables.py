"""Text tables whose columns line up on a terminal, Korean names in them or not."""

import unicodedata
from collections.abc import Sequence


def format_table(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Rows of cells as lines of aligned columns, two spaces apart.

    Args:
        rows: the cells; a short row has empty ones at its end.
        left: how many columns, from the first, are text and start at their left edge; the others are numbers.

    >>> print(format_table([["", "F1"], ["젬마", "90.25"], ["nous", "8.10"]]))
             F1
    젬마  90.25
    nous   8.10
    """
    count = max(map(len, rows))
    table = [[*row, *[""] * (count - len(row))] for row in rows]
    widths = [max(map(terminal_columns, column)) for column in zip(*table, strict=True)]
    lines = []
    for row in table:
        cells = []
        for place, (cell, width) in enumerate(zip(row, widths, strict=True)):
            padding = " " * (width - terminal_columns(cell))
            cells.append(cell + padding if place < left else padding + cell)
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def terminal_columns(text: str) -> int:
    """The columns a text takes on a terminal: Hangul syllables and wide signs two, combining marks none."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )

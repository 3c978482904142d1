"""What is wrong with the rows of a table, gathered so that one message reports it all."""

from collections import defaultdict

from kqa_lightning.errors import KQAError

SHOWN = 20


class Problems:
    """The row errors of one source, by kind.

    Args:
        source: how the source is named in messages, with its flag where it is known.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self._rows: dict[str, dict[int, str]] = defaultdict(dict)

    def add(self, kind: str, row: int, detail: str = "") -> None:
        """Note that ``row`` (counted from 1) shows ``kind``; a row counts once for each kind."""
        self._rows[kind].setdefault(row, detail)

    def raise_any(self) -> None:
        """Raise all that was gathered.

        Raises:
            KQAError: one line with, for every kind, the first 20 rows and the count; nothing where no row
                is wrong.
        """
        if not self._rows:
            return
        kinds = "; ".join(f"{kind}: {list_rows(rows)}" for kind, rows in self._rows.items())
        raise KQAError(f"{self.source}: {kinds}")


def list_rows(rows: dict[int, str]) -> str:
    """Name the first 20 rows, each with its detail, and say how many there are."""
    shown = [f"{row} ({detail})" if detail else str(row) for row, detail in list(rows.items())[:SHOWN]]
    more = f" and more, {len(rows)} in all" if len(rows) > SHOWN else ""
    return f"row {shown[0]}" if len(rows) == 1 else f"rows {', '.join(shown)}{more}"

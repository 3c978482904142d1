"""The lines of the doctor's report."""

from dataclasses import dataclass

_GIB = 2**30


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Args:
        name: What was looked at.
        text: What was found.
        stops: Whether a run would fail because of it.
    """

    name: str
    text: str
    stops: bool = False


def gib(size: int) -> str:
    """Bytes, as a person reads them."""
    return f"{size / _GIB:.1f} GiB" if size >= _GIB / 10 else f"{size / 2**20:.1f} MiB"

"""What the faults came to, as the table of docs/reliability.md."""

import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

BEGIN, END = "<!-- make faults: begin -->", "<!-- make faults: end -->"
LIBRARIES = ("torch", "lightning", "transformers", "peft", "bitsandbytes", "datasets")


@dataclass
class Tally:
    """What one test, or several, came to.

    Args:
        kind: what was attacked.
        points: faults: kills, full disks, damaged files.
        runs: commands started on them.
        refused: runs that ended with one line saying why.
        went_on: runs that did their work, from the start or from where it was left.
        equal: results that are bit for bit those of an undisturbed run.
        lost: results that are not, rows that are missing, files that were overwritten.
        tracebacks: runs that showed one.
    """

    kind: str
    points: int = 0
    runs: int = 0
    refused: int = 0
    went_on: int = 0
    equal: int = 0
    lost: int = 0
    tracebacks: int = 0


COUNTS = [field.name for field in fields(Tally) if field.name != "kind"]
TITLES = ("what", "faults", "runs", "refused in one line", "done", "bit-equal", "lost", "tracebacks")


def sums(tallies: Iterable[Tally]) -> list[Tally]:
    """One tally a kind."""
    found: dict[str, Tally] = {}
    for tally in tallies:
        total = found.setdefault(tally.kind, Tally(tally.kind))
        for name in COUNTS:
            setattr(total, name, getattr(total, name) + getattr(tally, name))
    return sorted(found.values(), key=lambda tally: tally.kind)


def format_table(tallies: Sequence[Tally]) -> str:
    """Markdown: a line a kind, then when and with what it was run."""
    lines = [f"| {' | '.join(TITLES)} |", "| --- |" + " ---: |" * len(COUNTS)]
    for tally in sums(tallies):
        lines.append(f"| {tally.kind} | " + " | ".join(str(getattr(tally, name)) for name in COUNTS) + " |")
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    return "\n".join([*lines, "", f"{day}, Python {platform.python_version()}, {versions}, CPU."])


def write_table(document: Path, table: str) -> None:
    """Put the table between the marks of the document."""
    text = document.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    document.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}", encoding="utf-8")

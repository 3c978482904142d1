"""What a command on damaged input may do: its work, or one line that says why not, with everything left as it was."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from fault_table import Tally
from killed_commands import TRACEBACK
from small_runs import contents


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("error: ")]


def attempt(
    work: Callable[[], int], capture: pytest.CaptureFixture[str], tally: Tally, folder: Path, names: Sequence[str]
) -> Outcome:
    """Do the work of a command on damaged input; of a refusal make sure that it is one line and changed nothing.

    Args:
        work: Runs it; its exit status.
        capture: What it prints.
        tally: Where it is counted.
        folder: What a refusal is to leave as it is.
        names: Words of which a refusal has one: the file, by its name or by the name of its option.
    """
    before = contents(folder)
    capture.readouterr()
    tally.runs += 1
    try:
        status = work()
    except BaseException:
        tally.tracebacks += 1
        raise
    output = capture.readouterr()
    outcome = Outcome(status, output.out, output.err)
    if TRACEBACK in outcome.err + outcome.out:
        tally.tracebacks += 1
        raise AssertionError(outcome)
    if status == 0:
        tally.went_on += 1
        assert not outcome.errors
        return outcome
    changed = contents(folder) != before
    tally.lost += changed
    tally.refused += 1
    assert (status, len(outcome.errors)) == (2, 1), outcome
    assert any(name in outcome.errors[0] for name in names), outcome
    assert len(outcome.errors[0]) < 8000, "a message that nobody reads"
    assert not changed, [name for name in before if contents(folder).get(name) != before[name]]
    return outcome

"""An error of all processes of a run that one of them started: it is said once, and ends them."""

from small_runs import SmallRuns
from test_processes import POISONED, launched


def test_gradients_that_are_no_number_are_said_once(runs: SmallRuns) -> None:
    _, errors = launched(runs, "fit", "in-both-launched", *POISONED, status=2)
    assert len([line for line in errors.splitlines() if line.startswith("error: ")]) == 1

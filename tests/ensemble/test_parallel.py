"""Work that is divided among processes is that of one, its faults included."""

import os
import signal
import sys
import time

import pytest

from kqa_lightning.ensemble.parallel import spread
from kqa_lightning.errors import KQAError


def square(number: int) -> tuple[int, int]:
    """A number's square, and who computed it."""
    return number * number, os.getpid()


def refuse(number: int) -> int:
    """Refuse what is above 1, the greatest at once."""
    if number > 1:
        time.sleep(0.3 * (4 - number))
        raise KQAError(f"no {number}, 그런 수는 없다")
    return number


def die_elsewhere(home: int) -> int:
    """Killed in any process but the one given, as by a system that is out of memory."""
    if os.getpid() != home:
        os.kill(os.getpid(), signal.SIGKILL)
    return home


def test_results_come_in_order_from_other_processes() -> None:
    joblib = pytest.importorskip("joblib")
    found = spread(square, range(5))
    assert [number for number, _ in found] == [0, 1, 4, 9, 16]
    processes = {process for _, process in found}
    if joblib.cpu_count() > 1:
        assert os.getpid() not in processes and len(processes) <= joblib.cpu_count()


def test_one_part_or_no_joblib_needs_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    assert spread(square, []) == []
    assert spread(square, [3]) == [(9, os.getpid())]
    monkeypatch.setitem(sys.modules, "joblib", None)
    assert spread(square, [3, 4]) == [(9, os.getpid()), (16, os.getpid())]


@pytest.mark.parametrize("parts", [[2], [1, 2], [2, 3, 4], [1, 2, 4]])
def test_the_error_is_that_of_the_first_part(parts: list[int]) -> None:
    with pytest.raises(KQAError, match=r"^no 2, 그런 수는 없다$"):
        spread(refuse, parts)


def test_what_a_killed_process_was_to_do_is_done_here() -> None:
    home = os.getpid()
    assert spread(die_elsewhere, [home] * 3) == [home] * 3

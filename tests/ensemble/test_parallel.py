"""Work that is divided among processes is that of one, its faults included."""

import os
import sys

import pytest

from kqa_lightning.ensemble.parallel import spread
from kqa_lightning.errors import KQAError


def square(number: int) -> tuple[int, int]:
    """A number's square, and who computed it."""
    return number * number, os.getpid()


def refuse(number: int) -> int:
    """Nothing but an error."""
    if number > 1:
        raise KQAError(f"no {number}, 그런 수는 없다")
    return number


def test_results_come_in_order_from_other_processes() -> None:
    joblib = pytest.importorskip("joblib")
    found = spread(square, range(5))
    assert [number for number, _ in found] == [0, 1, 4, 9, 16]
    if joblib.cpu_count() > 1:
        assert os.getpid() not in {process for _, process in found}


def test_one_part_or_no_joblib_needs_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    assert spread(square, []) == []
    assert spread(square, [3]) == [(9, os.getpid())]
    monkeypatch.setitem(sys.modules, "joblib", None)
    assert spread(square, [3, 4]) == [(9, os.getpid()), (16, os.getpid())]


def test_an_error_is_the_same() -> None:
    for parts in ([2], [1, 2]):
        with pytest.raises(KQAError, match=r"^no 2, 그런 수는 없다$"):
            spread(refuse, parts)

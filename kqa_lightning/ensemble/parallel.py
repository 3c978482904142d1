"""Long work on many texts, divided among the processor's cores."""

from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from kqa_lightning.errors import KQAError

Part = TypeVar("Part")
Result = TypeVar("Result")


def spread(work: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
    """The results of work on each of the parts, in their order.

    In processes, since threads would wait for one another in Python, and as many as there are cores and parts. In this
    one alone where joblib is not installed, which comes with scikit-learn, where there is a single part, and where a
    process is ended from outside, as for want of memory. They take a second to start, so the work should take several.

    Args:
        work: a function of a module, as other processes are to find it.
        parts: what it is called with.

    Raises:
        KQAError: what the work raises on the first part that has something wrong with it.
    """
    if len(parts) > 1:
        try:
            return _in_processes(work, parts)
        except (ImportError, BrokenProcessPool):
            pass
    return list(map(work, parts))


def in_parts(items: Sequence[Part], size: int) -> list[Sequence[Part]]:
    """Items as parts of at most so many."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def _in_processes(work: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
    from joblib import Parallel, cpu_count, delayed

    found = Parallel(n_jobs=min(cpu_count(), len(parts)))(delayed(_outcome)(work, part) for part in parts)
    # The first part's error, whichever was found first: how many cores there are is not to matter.
    for outcome in found:
        if isinstance(outcome, KQAError):
            raise outcome
    return list(found)


def _outcome(work: Callable[[Part], Result], part: Part) -> Result | KQAError:
    try:
        return work(part)
    except KQAError as error:
        return error

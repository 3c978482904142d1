"""Long work on many texts, divided among the processor's cores."""

from collections.abc import Callable, Sequence
from typing import TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")


def spread(work: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
    """The results of work on each of the parts, in their order.

    In processes of their own where joblib is installed, which comes with scikit-learn, and there is more than one
    part: a second passes before they have begun.

    Args:
        work: a function of a module, as other processes are to find it.
        parts: what it is called with.

    Raises:
        Exception: whatever the work raises.
    """
    if len(parts) < 2:
        return list(map(work, parts))
    try:
        from joblib import Parallel, delayed
    except ImportError:
        return list(map(work, parts))
    return list(Parallel(n_jobs=-1)(delayed(work)(part) for part in parts))

"""What a run says to the person before it."""

import sys

from lightning.pytorch.utilities import rank_zero_only


@rank_zero_only
def say(text: str) -> None:
    """Print one line on stderr, from one process alone: stdout is for results."""
    print(text, file=sys.stderr, flush=True)


def is_another() -> bool:
    """Whether this is one of several processes, and not the first, which does the talking."""
    return rank() != 0


def rank() -> int:
    """The number of this process among those of the run, from 0."""
    return getattr(rank_zero_only, "rank", None) or 0  # an attribute that Lightning puts on the function

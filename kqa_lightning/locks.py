"""Locks on files and folders that end with the process that holds them, however it ends."""

import time

try:
    import fcntl
except ImportError:  # Windows has no such locks, and two commands that write to one place are not noticed there
    fcntl = None  # type: ignore[assignment]

PATIENCE, _LOOK_EVERY = 10.0, 0.2  # seconds


def try_lock(descriptor: int) -> bool:
    """Lock an open file or folder; whether no other holder is in the way.

    A file system without locks is in nobody's way.
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def lock_soon(descriptor: int) -> bool:
    """The same, with some seconds of patience: so long a loader's process may hold what was locked by one killed."""
    until = time.monotonic() + PATIENCE
    while not try_lock(descriptor):
        if time.monotonic() > until:
            return False
        time.sleep(_LOOK_EVERY)
    return True

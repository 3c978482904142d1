"""On a CPU, memory that is freed stays with the process, to be taken again.

glibc gives a large block back to the system when it is freed (``free``: mmapped blocks, and the top of the heap above
``M_TRIM_THRESHOLD``). A training step frees some hundred of them, and the next has to get them page by page: each is
cleared by the kernel and comes into a cache that does not have it. That took a sixth of a step.
"""

import ctypes
import os

# malloc.h
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_MOST = 2**31 - 1  # bytes, of an int
_GROWTH = 64 * 2**20  # bytes by which the heap grows
_USERS_OWN = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_")


def keep_freed_memory() -> bool:
    """Have glibc keep what is freed, for the rest of the process.

    Returns:
        Whether it does: not where another C library is used, nor where the environment sets glibc's thresholds.
    """
    if any(name in os.environ for name in _USERS_OWN) or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not there on macOS and musl; Windows has no library without a name
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _MOST), (_M_TOP_PAD, _GROWTH))
    return all(mallopt(option, value) == 1 for option, value in settings)

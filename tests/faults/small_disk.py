"""A disk of a few megabytes: a tmpfs where mounting is allowed, which takes root."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class SmallDisk:
    """A mounted file system whose size changes.

    Args:
        place: An empty folder.
        kilobytes: Its size.
    """

    def __init__(self, place: Path, kilobytes: int) -> None:
        self.place = place
        _call("mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", str(place))

    def grow(self) -> None:
        """Make room."""
        _call("mount", "-o", "remount,size=256m", str(self.place))


@contextmanager
def small_disk(place: Path, kilobytes: int) -> Iterator[SmallDisk | None]:
    """A small disk at ``place``; None where this user may not mount one."""
    place.mkdir(parents=True)
    try:
        disk = SmallDisk(place, kilobytes)
    except (OSError, subprocess.CalledProcessError):
        yield None
        return
    try:
        yield disk
    finally:
        _call("umount", "--lazy", str(place))


def _call(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)

"""Writing files and folders so that a reader never meets half of one."""

import glob
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LONGEST_LABEL = 200  # bytes


def user_path(name: str | Path) -> Path:
    """``name`` with ``~`` as the home folder, and as it stands where it names no user's."""
    try:
        return Path(name).expanduser()
    except RuntimeError:
        return Path(name)


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """Give a path beside ``target`` to write; when that went well it is flushed to disk and becomes ``target``.

    What stood at ``target`` stands there until then, and stays where writing fails.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = _scratch(target)
    try:
        yield scratch
        _flush(scratch)
        scratch.replace(target)
        _flush(target.parent)
    except OSError as error:
        if error.filename is None:  # a disk that is full says so in a write, which knows no name
            error.filename = str(target)
        raise
    finally:
        scratch.unlink(missing_ok=True)


@contextmanager
def folder_written_whole(target: Path) -> Iterator[Path]:
    """The same for a folder of files; an earlier one is gone only once the new one is complete."""
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch, earlier = _scratch(target), target.with_name(f".{target.name}.earlier")
    try:
        yield scratch
        for file in scratch.iterdir():
            _flush(file)
        shutil.rmtree(earlier, ignore_errors=True)
        if target.exists():
            target.rename(earlier)
        scratch.rename(target)
        _flush(target.parent)
        shutil.rmtree(earlier, ignore_errors=True)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def remove_leftovers(folder: Path, *names: str) -> None:
    """Remove what those left that were killed while they wrote files or folders of these names.

    Only the one that alone may write them now is to call this: another's unfinished file looks the same.

    Args:
        folder: Where they were to be; it need not exist.
        names: Of what was written; none for whatever it was.
    """
    for name in (glob.escape(_label(name)) for name in names) if names else ("*",):
        for scratch in folder.glob(f".{name}.[0-9]*.tmp"):
            _remove(scratch)
        for earlier in folder.glob(f".{name}.earlier"):
            if (folder / earlier.name.removeprefix(".").removesuffix(".earlier")).exists():
                _remove(earlier)


def _remove(path: Path) -> None:
    """Remove a file or a folder, or as much of it as may be removed."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(OSError):
        path.unlink()


def _scratch(target: Path) -> Path:
    return target.with_name(f".{_label(target.name)}.{os.getpid()}.tmp")


def _label(name: str) -> str:
    """A name short enough to have something put around it: a file system takes some 255 bytes and no more."""
    encoded = os.fsencode(name)
    return name if len(encoded) <= _LONGEST_LABEL else hashlib.sha256(encoded).hexdigest()


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, have reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

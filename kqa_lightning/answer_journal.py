"""The journal of ``predict``: answers on disk as they come, so that a run that is stopped loses none of them.

A file of JSON lines: first what decides the answers, ``{"settings": {name: value}}``, then a line for each group of
questions that were answered together, ``{"answers": {id: candidates}, "budget": {name: tokens}}``, each with a
checksum. A line is whole once its line feed is there; a group whose line is not, or is damaged, is answered again.
"""

import glob
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kqa_lightning.errors import KQAError
from kqa_lightning.locks import lock_soon, try_lock

Answers = Mapping[str, Sequence[Mapping[str, Any]]]  # {id: candidates}
_CHECKSUM = "crc32"
_DIFFERENCES_SHOWN = 4


@dataclass(frozen=True)
class Group:
    """Questions that were answered together.

    Args:
        answers: {id: candidates}, in their order.
        budget: Most tokens that were computed at once when the group was done, by name. Where a GPU's memory did not
            do they are fewer for the groups that follow, and with the parts the last digits of the scores change.
    """

    answers: Answers
    budget: Mapping[str, int]

    @property
    def ids(self) -> tuple[str, ...]:
        """Of its questions, in their order."""
        return tuple(self.answers)


@dataclass(frozen=True)
class JournalContent:
    """What is whole in a journal.

    Args:
        settings: What decides its answers, by name.
        groups: Groups of questions that were answered together.
        size: Bytes up to the end of the last whole line; what follows was cut off.
    """

    settings: dict[str, str]
    groups: list[Group]
    size: int


def journal_path(table: Path, rank: int) -> Path:
    """Where the process of a rank keeps its answers until ``table``, the CSV, is written."""
    return table.with_name(f"{table.stem}.rank{rank}.journal")


def find_journals(table: Path) -> list[Path]:
    """The journals of all ranks that are there, of however many processes an earlier run had."""
    return sorted(table.parent.glob(f"{glob.escape(table.stem)}.rank*.journal"))


def read_journal(path: Path) -> JournalContent | None:
    """Read all lines up to the first that is not whole; None where not even the first line is.

    Raises:
        KQAError: the file cannot be read, or was not written by ``predict``.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise KQAError(f"{path} cannot be read ({error.strerror}); remove it, and all is answered again") from error
    lines = data.split(b"\n")[:-1]  # what follows the last line feed was cut off
    if not lines:
        return None
    first = _content(lines[0])
    if first is None or not isinstance(first.get("settings"), dict):
        raise KQAError(f"{path} is no journal of predict; remove it, or name another place: --prediction_writer.path")
    size, groups = len(lines[0]) + 1, []
    for line in lines[1:]:
        content = _content(line)
        if content is None or content.keys() != {"answers", "budget"}:
            break  # a machine that lost its power can leave blocks of zeros, and lines after them
        size += len(line) + 1
        groups.append(Group(**content))
    return JournalContent(first["settings"], groups, size)


def read_journals(paths: Iterable[Path], settings: Mapping[str, str]) -> list[Group]:
    """The groups that were answered with these settings.

    Args:
        paths: Journals, of which one may have been cut off in its first line.
        settings: What decides the answers now.

    Raises:
        KQAError: as `read_journal`; or answers that were given with other settings, naming those that differ.
    """
    groups: list[Group] = []
    for path in paths:
        content = read_journal(path)
        if content is not None and content.groups:  # without answers there is nothing to go on with, or to lose
            _compare(path, content, settings)
            groups += content.groups
    return groups


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Keep predict from writing to a journal that is there.

    Raises:
        KQAError: one is writing to it now.
    """
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:  # it is gone, because predict has just finished; or it is not ours, and may be read only
        yield
        return
    try:
        if not lock_soon(descriptor):
            raise KQAError(
                f"{path}: a predict is writing its answers to it; wait for that, or end it, or name another place:"
                " --trainer.default_root_dir"
            )
        yield
    finally:
        os.close(descriptor)


class AnswerJournal:
    """A journal to write to: begun where there is none, else gone on with after its last whole line.

    Args:
        path: The file.
        settings: What decides the answers; those of a journal that is there are equal, as `read_journals` makes sure.

    Raises:
        KQAError: the file cannot be written, or another process writes to it.
    """

    def __init__(self, path: Path, settings: Mapping[str, str]) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            raise self._failure(error) from error
        try:
            if not try_lock(self._file):
                raise KQAError(
                    f"{path}: another predict is writing to it; wait for that one, or end it, or name another place:"
                    " --prediction_writer.path"
                )
            content = read_journal(path)
            whole = content.size if content is not None and content.groups else 0
            os.ftruncate(self._file, whole)
            if not whole:
                self._write({"settings": dict(settings)})
        except OSError as error:
            self.close()
            raise self._failure(error) from error
        except KQAError:
            self.close()
            raise

    def append(self, group: Group) -> None:
        """Add the answers to a group of questions; they are on the disk when this returns.

        Raises:
            KQAError: they cannot be written.
        """
        self._write({"answers": group.answers, "budget": group.budget})

    def close(self) -> None:
        """Let the file go; another process may write to it then."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def _write(self, content: Mapping[str, Any]) -> None:
        line = {**content, _CHECKSUM: _checksum(content)}
        rest = memoryview((json.dumps(line, ensure_ascii=False) + "\n").encode())
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fsync(self._file)
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> KQAError:
        return KQAError(
            f"{self.path} cannot be written ({error.strerror}); make room or name another place with"
            " --prediction_writer.path, and the same command goes on with the answers that the journal holds"
        )


def _compare(path: Path, content: JournalContent, settings: Mapping[str, str]) -> None:
    before = content.settings
    changed = [name for name in {**before, **settings} if before.get(name) != settings.get(name)]
    if not changed:
        return
    details = [f"{name} was {before.get(name)} and is {settings.get(name)}" for name in changed[:_DIFFERENCES_SHOWN]]
    if len(changed) > _DIFFERENCES_SHOWN:
        details.append(f"{len(changed) - _DIFFERENCES_SHOWN} more")
    count = sum(len(group.answers) for group in content.groups)
    raise KQAError(
        f"{path} holds {count} answers that were given with other settings:"
        f" {'; '.join(details)}; give those again to go on, or remove the file to answer all anew"
    )


def _content(line: bytes) -> dict[str, Any] | None:
    """What a line holds beside its checksum; None where it is damaged, as that tells."""
    try:
        content = json.loads(line)
        return content if content.pop(_CHECKSUM) == _checksum(content) else None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _checksum(content: Mapping[str, Any]) -> int:
    """CRC-32 of what a line holds, as JSON writes it."""
    return zlib.crc32(json.dumps(content, ensure_ascii=False).encode())

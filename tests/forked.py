"""Commands in processes of their own, forked from one that has imported the libraries."""

import multiprocessing
import os
import resource
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from kqa_lightning.__main__ import main

_FILES = 2  # stdout and stderr


class Forked:
    """A command; what a test does with a `subprocess.Popen` it does with this.

    Args:
        arguments: The command and its options.
        environment: Variables in addition to this process's.
        file_limit: Bytes that a file may have; None for no limit.
    """

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str] | None = None, file_limit: int | None = None
    ) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["kqa_lightning.cli"])
        self._said = tempfile.TemporaryDirectory()
        self._files = [Path(self._said.name, str(number)) for number in range(_FILES)]
        everything = {**os.environ, **(environment or {})}
        self._process = context.Process(target=_run, args=(tuple(arguments), everything, self._files, file_limit))
        self._process.start()

    @property
    def returncode(self) -> int | None:
        """Its exit status, minus the signal where that ended it; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The same."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal to it, unless it has ended."""
        if self.returncode is None:
            assert self._process.pid is not None
            os.kill(self._process.pid, number)

    def kill(self) -> None:
        """End it without its knowing."""
        self._process.kill()

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, once it has one.

        Raises:
            subprocess.TimeoutExpired: it had none in that many seconds.
        """
        self._process.join(timeout)
        if self._process.exitcode is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired("a forked command", timeout)
        return self._process.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it said on stdout and on stderr, once it has ended."""
        self.wait(timeout)
        output, errors = (path.read_text(encoding="utf-8") for path in self._files)
        return output, errors


def fork_ranks(count: int, arguments: Sequence[str]) -> list[Forked]:
    """One command in several processes that know of each other what torchrun would have told them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "test", "GROUP_RANK": "0"}
    sizes = {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
    return [Forked(arguments, {**shared, **sizes, "RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in range(count)]


def _run(
    arguments: tuple[str, ...], environment: dict[str, str], files: Sequence[Path], file_limit: int | None
) -> None:
    for descriptor, path in enumerate(files, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    if file_limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
    sys.argv = ["kqa_lightning", *arguments]
    sys.exit(main(list(arguments)))

"""Ways to do the same work, each in a child process of its own that does a piece of it when it is told to."""

import contextlib
import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from kqa_lightning.errors import KQAError


@dataclass(frozen=True)
class Piece:
    """What a repetition did.

    Attributes:
        answers: answers learned from or given.
        seconds: wall time.
    """

    answers: int
    seconds: float


@dataclass(frozen=True)
class Failure:
    """Why a child ends before it was told to."""

    reason: str


class WayFailed(KQAError):
    """A child ended before it was told to."""


class Worker:
    """A child process that answers each message with one.

    Memory and threads are its own, so that its peak is that of its way alone, and what one way leaves in a cache
    is none of another's business.

    Args:
        name: of the way, for messages.
        target: run in the child with a connection and ``arguments``; sends "ready" once it is warm.
        arguments: what the child needs; pickled.
        log: file that takes what the child prints.
    """

    def __init__(self, name: str, target: Callable[..., None], arguments: tuple[Any, ...], log: Path) -> None:
        self.name = name
        self._log = log
        context = multiprocessing.get_context("spawn")  # a fork would share the parent's memory and threads
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_redirected, args=(log, target, theirs, *arguments), daemon=True)
        self._process.start()
        theirs.close()

    def receive(self) -> Any:
        """The child's next message.

        Raises:
            WayFailed: the child has ended, with what it printed last.
        """
        try:
            message = self._connection.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            message = Failure(f"it ended with status {self._process.exitcode}")
        if not isinstance(message, Failure):
            return message
        tail = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
        raise WayFailed("\n".join([f"the way {self.name} failed: {message.reason}", *tail]))

    def ask(self, message: Any) -> Any:
        """Send a message and wait for the answer."""
        with contextlib.suppress(BrokenPipeError):  # what the child sent before it ended says more
            self._connection.send(message)
        return self.receive()

    def end(self) -> None:
        """End the child, whatever it does."""
        self._process.kill()
        self._process.join()
        self._connection.close()


def _redirected(log: Path, target: Callable[..., None], connection: Connection, *arguments: Any) -> None:
    """Run ``target`` with stdout and stderr, those of libraries included, in a file."""
    with log.open("w", encoding="utf-8") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
        run(target, connection, *arguments)


def run(target: Callable[..., None], connection: Connection, *arguments: Any) -> None:
    """Run ``target``, and send why where it fails."""
    try:
        target(connection, *arguments)
    except Exception as error:
        traceback.print_exc()
        sys.stderr.flush()
        with contextlib.suppress(OSError):  # the parent may have closed it
            connection.send(Failure(f"{type(error).__name__}: {error}"))
    finally:
        connection.close()


def peak_mib() -> int:
    """The most memory this process had, in MiB: on a GPU if there is one, else in all."""
    import torch

    from callbacks.throughput import peak_memory

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return round(peak_memory(device) / 2**20)

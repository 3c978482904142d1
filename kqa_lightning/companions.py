"""How a run of several processes on one machine ends: together, with one message and one exit status.

The first process starts the others, which Lightning's launcher does, and its status is the one that a shell sees. It
and each of the others hold a connection: an error in another process is told by the first, a signal to one stops all,
and none is left over when the first is killed. Processes that torchrun or SLURM starts are theirs to end.
"""

import contextlib
import os
import secrets
import signal
import sys
import threading
import time
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from typing import NoReturn

_WHERE = "KQA_FIRST_PROCESS"  # environment variable: port and key of the first process
_HOST = "127.0.0.1"
_STOPS = {130: signal.SIGINT, 143: signal.SIGTERM}
# Seconds that the first process has to end on its own, for the same reason as the other: it says it better then.
_PATIENCE = 5.0
_STOP_PATIENCE = 15.0
_LAST_PATIENCE = 60.0
_heard: list[int] = []  # signals that came to another process


class _Companions:
    """In the first process: its connections to those that it starts, each with a thread that waits for its word."""

    def __init__(self) -> None:
        key = secrets.token_hex(16)
        self._listener = Listener((_HOST, 0), authkey=key.encode())
        os.environ[_WHERE] = f"{self._listener.address[1]} {key}"
        self._connections: list[Connection] = []
        threading.Thread(target=self._accept, daemon=True, name="companions").start()

    def tell(self, number: int) -> None:
        """Pass a signal on."""
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.send(number)

    def _accept(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
            except (AuthenticationError, EOFError, OSError):  # of a stranger
                continue
            self._connections.append(connection)
            threading.Thread(target=self._wait_for_word, args=(connection,), daemon=True).start()

    def _wait_for_word(self, connection: Connection) -> None:
        rank = None  # of one that ends before it has said it
        try:
            rank = connection.recv()
            status, text = connection.recv()
        except (EOFError, OSError):
            status, text = 1, f"error: process {rank} was killed" if rank else "error: another process was killed"
            patience = 1.0
        else:
            text = text.replace("error: ", f"error: process {rank}: ", 1)
            patience = _STOP_PATIENCE if status in _STOPS else _PATIENCE
        if status == 0:
            return
        _heard.append(_STOPS.get(status, 0))
        time.sleep(patience)
        _end(status, text)


class Companion:
    """In another process: its connection to the first.

    Args:
        where: The environment variable that the first process has set.
    """

    def __init__(self, where: str) -> None:
        port, key = where.split()
        try:
            self._connection = Client((_HOST, int(port)), authkey=key.encode())
        except OSError:  # the first process is gone already, and nobody is left to work with
            os._exit(1)
        self._connection.send(int(os.environ["LOCAL_RANK"]))
        threading.Thread(target=self._listen, daemon=True, name="companion").start()

    def end(self, status: int, text: str) -> None:
        """Tell the first process how this one ends. Where it ends badly, wait for the first: that ends it."""
        with contextlib.suppress(OSError):
            self._connection.send((status, text))
        if status:
            time.sleep(_LAST_PATIENCE)

    def _listen(self) -> None:
        try:
            while True:
                _heard.append(self._connection.recv())
        except (EOFError, OSError):  # the first process is gone
            os._exit(1)


_others: list[_Companions] = []  # one, in a first process


def expect_companions() -> None:
    """Make ready for other processes that this one is about to start."""
    if not _others:
        _others.append(_Companions())


def tell_companions(number: int) -> None:
    """In a first process, pass a signal on to all others."""
    for others in _others:
        others.tell(number)


def heard() -> int:
    """The signal that came to another process of the run, if this one is to know; 0 for none."""
    return max(_heard, default=0)


def companion() -> Companion | None:
    """This process's connection to the first; None where it is the first, or was started by somebody else."""
    where = os.environ.get(_WHERE)
    # Whatever else the first process starts has its rank.
    return Companion(where) if where is not None and os.environ.get("LOCAL_RANK", "0") != "0" else None


def hear_companions() -> None:
    """In a first process that has lost one of the others: let this one's word, or its death, end the process first."""
    if _others:
        time.sleep(_PATIENCE)


def _end(status: int, text: str) -> NoReturn:
    """End this process, whatever its main thread waits for."""
    print(text, file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(status)

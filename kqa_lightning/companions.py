"""How a run of several processes on one machine ends: together, with one message and one exit status.

The first process starts the others, which Lightning's launcher does, and its status is the one that a shell sees. It
and each of the others hold a connection: an error in another process is told by the first, a signal to one stops all,
and none is left over when the first is killed. One that ends or hangs before it has a connection ends the run too.
Processes that torchrun or SLURM starts are theirs to end.
"""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from multiprocessing.connection import Client, Connection, Listener
from typing import NoReturn, Protocol, runtime_checkable

_WHERE = "KQA_FIRST_PROCESS"  # environment variable: port and key of the first process
_HOST = "127.0.0.1"
_STOPS = {130: signal.SIGINT, 143: signal.SIGTERM}
# Seconds that the first process has to end on its own, for the same reason as the other: it says it better then.
_PATIENCE = 5.0
_STOP_PATIENCE = 15.0
_LAST_PATIENCE = 60.0
_KILLED_PATIENCE = 1.0
# Seconds that another process has for its imports, which the first has done in the same way, and a call has to speak.
_START_PATIENCE = 300.0
_LOOK_EVERY = 0.2
_GREETING_SIZE = 128  # bytes
_heard: list[int] = []  # signals that came to another process


@runtime_checkable
class Launcher(Protocol):
    """What starts the other processes, as Lightning's launcher of scripts does.

    Args:
        num_processes: Processes on this machine, the first among them.
        procs: Those that it has started, by rank from 1.
    """

    num_processes: int
    procs: list[subprocess.Popen]


class _Companions:
    """In the first process: its connections to those that it starts, each with a thread that waits for its word.

    Args:
        launcher: Starts them, once.
    """

    def __init__(self, launcher: Launcher) -> None:
        self._key = secrets.token_hex(16)
        self._listener = Listener((_HOST, 0))
        os.environ[_WHERE] = f"{self._listener.address[1]} {self._key}"
        self._connections: dict[int, Connection] = {}  # by rank
        for work, arguments in ((self._accept, ()), (self._wait_for_all, (launcher,))):
            threading.Thread(target=work, args=arguments, daemon=True, name="companions").start()

    def tell(self, number: int) -> None:
        """Pass a signal on."""
        for connection in list(self._connections.values()):
            with contextlib.suppress(OSError):
                connection.send_bytes(str(number).encode())

    def _accept(self) -> None:
        while True:
            with contextlib.suppress(OSError):  # of a stranger
                connection = self._listener.accept()
                threading.Thread(target=self._wait_for_word, args=(connection,), daemon=True).start()

    def _wait_for_all(self, launcher: Launcher) -> None:
        """End the run where one that was started ends, or says nothing for long, before it has a connection."""
        while len(launcher.procs) < launcher.num_processes - 1:
            time.sleep(_LOOK_EVERY)
        began, others = time.monotonic(), dict(enumerate(launcher.procs, 1))
        # Lightning watches them too, and when one ends kills all, this process too, without a word.
        launcher.procs.clear()
        while absent := {rank: process for rank, process in others.items() if rank not in self._connections}:
            ended = {rank: status for rank, process in absent.items() if (status := process.poll()) is not None}
            late = time.monotonic() - began > _START_PATIENCE
            if ended or late:
                for process in absent.values():
                    process.kill()
                rank, status = next(iter(ended.items()), (min(absent), None))
                what = f"ended with status {status}" if ended else f"has said nothing for {_START_PATIENCE:g} seconds"
                _end(1, f"error: process {rank} {what}, before the work began")
            time.sleep(_LOOK_EVERY)

    def _wait_for_word(self, connection: Connection) -> None:
        try:
            rank = self._rank(connection)
        except (EOFError, OSError, ValueError):
            connection.close()
            return
        self._connections[rank] = connection
        try:
            status, text = json.loads(connection.recv_bytes())
        except (EOFError, OSError):
            status, text, patience = 1, f"error: process {rank} was killed", _KILLED_PATIENCE
        else:
            text = text.replace("error: ", f"error: process {rank}: ", 1)
            patience = _STOP_PATIENCE if status in _STOPS else _PATIENCE
        if status == 0:
            return
        _heard.append(_STOPS.get(status, 0))
        time.sleep(patience)
        _end(status, text)

    def _rank(self, connection: Connection) -> int:
        """The rank that a caller has, by the first thing that it says.

        Raises:
            ValueError: it is a stranger.
        """
        if not connection.poll(_START_PATIENCE):
            raise ValueError("a caller that says nothing")
        key, rank = connection.recv_bytes(_GREETING_SIZE).decode().split()
        if not secrets.compare_digest(key.encode(), self._key.encode()):
            raise ValueError("a caller that does not know the key")
        return int(rank)


class Companion:
    """In another process: its connection to the first.

    Args:
        where: The environment variable that the first process has set.
    """

    def __init__(self, where: str) -> None:
        port, key = where.split()
        try:
            self._connection = Client((_HOST, int(port)))
            self._connection.send_bytes(f"{key} {os.environ['LOCAL_RANK']}".encode())
        except OSError:  # the first process is gone already, and nobody is left to work with
            os._exit(1)
        threading.Thread(target=self._listen, daemon=True, name="companion").start()

    def end(self, status: int, text: str) -> None:
        """Tell the first process how this one ends. Where it ends badly, wait for the first: that ends it."""
        with contextlib.suppress(OSError):
            self._connection.send_bytes(json.dumps([status, text]).encode())
        if status:
            time.sleep(_LAST_PATIENCE)

    def _listen(self) -> None:
        try:
            while True:
                _heard.append(int(self._connection.recv_bytes()))
        except (EOFError, OSError, ValueError):  # the first process is gone
            os._exit(1)


_others: list[_Companions] = []  # one, in a first process


def expect_companions(launcher: Launcher) -> None:
    """Make ready for other processes, which ``launcher`` is about to start."""
    if not _others:
        _others.append(_Companions(launcher))


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

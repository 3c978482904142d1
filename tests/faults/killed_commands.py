"""Commands as processes, killed at moments that a seed chooses."""

import contextlib
import multiprocessing
import os
import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kqa_lightning.__main__ import main

_WRITING = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "shutil.rmtree")
TRACEBACK = "Traceback (most recent call last)"


@dataclass(frozen=True)
class Setup:
    """How a command is run.

    Args:
        log: File of its output.
        folder: Where it writes; its operations there are counted.
        die_at: The operation on files before which it kills itself; 0 for none.
        file_limit: Bytes that a file may have; None for no limit.
    """

    log: Path
    folder: Path
    die_at: int = 0
    file_limit: int | None = None


class Command:
    """A command in a process of its own, which has not to import the libraries first."""

    def __init__(self, arguments: Sequence[str], setup: Setup) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["kqa_lightning.cli"])
        self.setup = setup
        self.cpu = 0.0
        self.process = context.Process(target=_run, args=(tuple(arguments), setup))
        self.process.start()

    def used_cpu(self) -> float:
        """Seconds of a core that it has used, whatever else the machine does."""
        with contextlib.suppress(OSError, IndexError):
            stat = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            self.cpu = max(self.cpu, (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK"))
        return self.cpu

    def wait_for(self, seconds: float) -> bool:
        """Until it has used so much of a core; whether it still runs then."""
        while self.process.is_alive() and self.used_cpu() < seconds:
            time.sleep(0.002)
        return self.process.is_alive()

    def send(self, number: int) -> None:
        """Send a signal, if there is still something to send it to."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid or 0, number)

    def end(self) -> int:
        """Its exit status, minus the signal where that ended it."""
        while self.process.is_alive():
            self.used_cpu()
            self.process.join(0.01)
        self.process.join()
        status = self.process.exitcode
        assert status is not None
        return status

    def output(self) -> str:
        """What it said, on both streams."""
        return self.setup.log.read_text(encoding="utf-8", errors="replace")

    def operations(self) -> int:
        """Operations on files, of a command that came to its end."""
        return int(self.setup.log.with_suffix(".operations").read_text(encoding="utf-8"))


def _run(arguments: tuple[str, ...], setup: Setup) -> None:
    descriptor = os.open(setup.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    if setup.file_limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (setup.file_limit, setup.file_limit))
    count, inside = 0, str(setup.folder)

    def note(event: str, details: tuple) -> None:
        nonlocal count
        writes = event in _WRITING or (event == "open" and details[2] & (os.O_WRONLY | os.O_RDWR))
        if writes and str(details[0]).startswith(inside):
            count += 1
            if count == setup.die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(note)
    try:
        status = main(list(arguments))
    except BaseException:
        traceback.print_exc()  # what Python itself would show
        status = 1
    if setup.file_limit is None:
        setup.log.with_suffix(".operations").write_text(str(count), encoding="utf-8")
    sys.stdout.flush()
    sys.exit(status)


# --- ways to be stopped ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Undisturbed:
    """What a run takes that nothing stops: seconds of a core, and operations on files."""

    cpu: float
    operations: int


WAYS = ("SIGKILL", "at a file", "SIGTERM", "SIGINT", "SIGINT twice", "SIGTERM, SIGKILL", "SIGKILL", "at a file")
_ALLOWED = {"SIGTERM": (143, -15), "SIGINT": (130,), "SIGINT twice": (130,), "SIGTERM, SIGKILL": (-9, 143, -15)}


def stop(arguments: Sequence[str], log: Path, folder: Path, whole: Undisturbed, seed: str, way: str) -> Command | None:
    """Start a command and stop it at a random moment of its work; None where it was done before that.

    Raises:
        AssertionError: it ended otherwise than a stop makes it end.
    """
    choose = random.Random(seed)
    die_at = choose.randint(1, whole.operations) if way == "at a file" else 0
    command = Command(arguments, Setup(log, folder, die_at))
    if not die_at and command.wait_for(choose.uniform(0, whole.cpu)):
        for number in {"SIGINT twice": (2, 2), "SIGTERM, SIGKILL": (15, 9), "SIGTERM": (15,), "SIGINT": (2,)}.get(
            way, (9,)
        ):
            command.send(number)
            time.sleep(choose.uniform(0, 0.05))
    status = command.end()
    if status == 0:
        return None
    assert status in _ALLOWED.get(way, (-9,)), f"{seed}, {way}: {status}\n{command.output()}"
    return command

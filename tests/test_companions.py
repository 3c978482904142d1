"""The processes of a command find one another, and none waits for one that never comes."""

import subprocess
import sys
import textwrap
from multiprocessing.connection import Client

import pytest
from small_runs import ROOT

# A first process that starts another, which does as it is told; its own work is to wait.
FIRST = """
import os, subprocess, sys, time
from types import SimpleNamespace
from kqa_lightning import companions
companions._START_PATIENCE, companions._PATIENCE, companions._KILLED_PATIENCE = float(sys.argv[2]), 0, 0
launcher = SimpleNamespace(num_processes=2, procs=[])
companions.expect_companions(launcher)
print(os.environ["KQA_FIRST_PROCESS"], flush=True)
code = "import os, sys, time; from kqa_lightning.companions import companion; " + sys.argv[1]
launcher.procs.append(subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"LOCAL_RANK": "1"}))
child = launcher.procs[0]
try:
    time.sleep(60)
finally:
    child.kill()
"""


def first(what_the_other_does: str, patience: float = 40) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(FIRST), what_the_other_does, str(patience)],
        stdin=subprocess.PIPE,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("what", "status", "line"),
    [
        ("os._exit(7)", 1, "error: process 1 ended with status 7, before the work began"),
        ("os.kill(os.getpid(), 9)", 1, "error: process 1 ended with status -9, before the work began"),
        ("time.sleep(50)", 1, "error: process 1 has said nothing for 1.5 seconds, before the work began"),
        ("companion(); os.kill(os.getpid(), 9)", 1, "error: process 1 was killed"),
        ("companion().end(2, 'error: the disk is full')", 2, "error: process 1: the disk is full"),
    ],
    ids=["ended before", "killed before", "silent", "killed after", "an error"],
)
def test_one_that_is_lost_ends_the_run_with_one_line(what: str, status: int, line: str) -> None:
    process = first(what, 1.5 if "nothing" in line else 40)
    _, errors = process.communicate(timeout=50)
    assert (process.returncode, errors) == (status, f"{line}\n")


def test_strangers_keep_nobody_from_the_run() -> None:
    """One that is silent, one that guesses the key, and one that sends what cannot be read; then the one expected."""
    process = first("sys.stdin.readline(); companion().end(2, 'error: the disk is full')")
    assert process.stdout is not None
    port, key = process.stdout.readline().split()
    silent, guess, noise = (Client(("127.0.0.1", int(port))) for _ in range(3))
    guess.send_bytes(b"0" * len(key) + b" 1")
    noise.send_bytes(b"\xff\xfe" * 40)
    for stranger in (guess, noise):
        with pytest.raises((EOFError, OSError)):  # turned away
            stranger.recv_bytes()
    _, errors = process.communicate("now\n", timeout=50)
    assert (process.returncode, errors) == (2, "error: process 1: the disk is full\n")
    silent.close()

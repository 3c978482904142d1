"""fit in several processes, of which one or all are stopped, by a shell, by torchrun and by chance."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from fault_table import Tally
from killed_commands import TRACEBACK
from small_runs import ROOT, SmallRuns
from test_killed_fit import products

KIND = "fit in two processes: kills, signals, torchrun"
OPTIONS = (
    *("--trainer.max_epochs", "4", "--trainer.strategy", "ddp", "--ckpt_path", "last"),
    *("--model.quantization", "nf4"),
)
TWO = ("--trainer.devices", "2")
EACH = ("--checkpoint.every_n_train_steps", "1")
PATHS = [str(Path(__file__).parents[1] / "callbacks"), *sys.path]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(PATHS), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
# By rank and way; 12 steps in all, with a validation after every third. The status is that of the first process.
STOPS = [
    (1, 1, "SIGTERM", (143,)),
    (2, 0, "SIGTERM", (143,)),
    (3, 0, "SIGTERM to all", (143,)),
    (5, 1, "SIGINT", (130,)),
    (6, 0, "SIGINT to all", (130,)),
    (8, 1, "killed", (1,)),
    (10, 0, "killed", (-signal.SIGKILL,)),
]
IN_FP32 = ("--model.quantization", "none", "--trainer.max_epochs", "2")
STOPS_IN_FP32 = [(2, 1, "SIGTERM", (143,)), (5, 0, "killed", (-signal.SIGKILL,))]


def trouble(rank: int, step: int, what: str, once: Path | None = None) -> str:
    settings = f"{{rank: {rank}, step: {step}, what: {what}, once: {once or 'null'}}}"
    return f"--trainer.callbacks+={{class_path: troubled.Trouble, init_args: {settings}}}"


def ended(process: subprocess.Popen, tally: Tally) -> tuple[int, str]:
    """Status and stderr of a process, and of all that it started: none of them hangs or is left over."""
    tally.runs += 1
    try:
        _, errors = process.communicate(timeout=900)
    finally:
        process.kill()
    return process.returncode, errors


def compare(folder: Path, expected: dict[str, object], tally: Tally) -> None:
    found = products(folder)
    tally.went_on += 1
    tally.equal += found == expected
    tally.lost += found != expected
    assert {name for name in expected if found[name] != expected[name]} == set()


def to_the_end(runs: SmallRuns, run: str, *options: str) -> dict[str, object]:
    """What a run that nothing disturbs writes."""
    process = runs.process("fit", run, *OPTIONS, *TWO, *options, env=ENVIRONMENT)
    _, errors = process.communicate(timeout=900)
    assert process.returncode == 0, errors
    return products(runs.folder / run)


@pytest.fixture(scope="module")
def undisturbed(runs: SmallRuns) -> dict[str, object]:
    return to_the_end(runs, "two")


def test_stopped_in_every_way_and_gone_on(runs: SmallRuns, undisturbed: dict[str, object], tally: Tally) -> None:
    stop_and_go_on(runs, "chain", STOPS, tally)
    compare(runs.folder / "chain", undisturbed, tally)


def test_stopped_and_gone_on_in_fp32(runs: SmallRuns, tally: Tally) -> None:
    expected = to_the_end(runs, "two-fp32", *IN_FP32)
    stop_and_go_on(runs, "chain-fp32", STOPS_IN_FP32, tally, *IN_FP32)
    compare(runs.folder / "chain-fp32", expected, tally)


def stop_and_go_on(runs: SmallRuns, run: str, stops: Sequence[tuple], tally: Tally, *more: str) -> None:
    """Every signal alone writes a checkpoint, since none is due; a kill goes back to the validation before it."""
    folder = runs.folder / run
    for step, rank, what, statuses in stops:
        options = (*OPTIONS, *TWO, *more, trouble(rank, step, what))
        process = runs.process("fit", run, *options, env=ENVIRONMENT, start_new_session=True)
        status, errors = ended(process, tally)
        tally.points += 1
        tally.tracebacks += TRACEBACK in errors
        assert status in statuses, f"{what} in {rank}: {errors}"
        assert TRACEBACK not in errors
        if what.startswith("SIG"):
            assert torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["global_step"] == step
        elif rank == 1:
            assert "error: process 1 was killed" in errors
    status, errors = ended(runs.process("fit", run, *OPTIONS, *TWO, *more, env=ENVIRONMENT), tally)
    assert status == 0, errors


# --- torchrun ------------------------------------------------------------------------------------------------------


def torchrun(runs: SmallRuns, run: str, launch: tuple[str, ...], *options: str, **more: str) -> subprocess.Popen:
    arguments = runs.arguments("fit", run, *OPTIONS, *options)
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", *launch, "-m", "kqa_lightning", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        cwd=ROOT,
        env=ENVIRONMENT | more,
    )


def test_two_nodes_give_what_two_processes_give(runs: SmallRuns, undisturbed: dict[str, object], tally: Tally) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = ("--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-id", "two")
    launch = ("--nnodes", "2", "--nproc-per-node", "1", *place)
    nodes = [torchrun(runs, "nodes", launch, "--trainer.num_nodes", "2", "--trainer.devices", "1") for _ in range(2)]
    for status, errors in [ended(node, tally) for node in nodes]:
        assert status == 0, errors
    compare(runs.folder / "nodes", undisturbed, tally)


def test_an_elastic_restart_goes_on(runs: SmallRuns, undisturbed: dict[str, object], tally: Tally) -> None:
    once = runs.folder / "killed-once"
    launch = ("--standalone", "--nproc-per-node", "2", "--max-restarts", "1")
    options = (*TWO, *EACH, trouble(1, 5, "killed", once))
    # As docs/clusters.md says: else the processes of the second attempt look for one another where the first was.
    process = torchrun(runs, "elastic", launch, *options, TORCH_DISABLE_SHARE_RDZV_TCP_STORE="1")
    status, errors = ended(process, tally)
    tally.points += 1
    tally.tracebacks += TRACEBACK in errors
    assert status == 0, errors
    assert once.exists()
    assert "last.ckpt, step 4" in errors  # the fifth was written by nobody: both are to be there for that
    compare(runs.folder / "elastic", undisturbed, tally)

"""Two processes give what one gives, and end as one."""

import os
import sys
from pathlib import Path

import pytest
import torch
from curves import scalars
from forked import fork_ranks
from safetensors.torch import load_file
from small_runs import SmallRuns, read_rows, refusal, write_rows

TWO = ("--trainer.strategy", "ddp", "--trainer.devices", "2")
# What one process takes in a step as two do; they draw dropout each for itself.
LIKE_TWO = ("--trainer.accumulate_grad_batches", "2")
EXACT = ("--model.lora.dropout", "0")
CALLBACKS = str(Path(__file__).parent / "callbacks")
ADAPTER = "adapter/adapter_model.safetensors"
POISONED = (
    *("--finite_guard.max_skipped_steps", "0", "--checkpoint.every_n_train_steps", "1"),
    "--trainer.callbacks+={class_path: poison.Poison, init_args: {steps: [2]}}",
)


def launched(runs: SmallRuns, command: str, run: str, *options: str, status: int = 0) -> tuple[str, str]:
    """Run a command that starts a second process itself; stdout and stderr of both."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([CALLBACKS, *sys.path]), "OMP_NUM_THREADS": "1"}
    process = runs.process(command, run, *options, *TWO, env=environment)
    try:
        output, errors = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == status, errors
    assert "Traceback" not in errors
    return output, errors


def forked(runs: SmallRuns, command: str, run: str, *options: str, status: int = 0) -> tuple[str, str]:
    """Run a command in two processes that were started for it, as torchrun does; stdout and stderr of both."""
    processes = fork_ranks(2, runs.arguments(command, run, *options, *TWO))
    try:
        said = [process.communicate(timeout=300) for process in processes]
    finally:
        for process in processes:
            process.kill()
    output, errors = map("".join, zip(*said, strict=True))
    assert [process.returncode for process in processes] == [status] * 2, errors
    assert "Traceback" not in errors
    return output, errors


def difference(one: Path, other: Path) -> float:
    """The largest relative one of two files of adapters, tensor by tensor."""
    first, second = load_file(one), load_file(other)
    assert list(first) == list(second)
    return max(float((first[name] - second[name]).norm() / first[name].norm()) for name in first)


@pytest.fixture(scope="module")
def odd(runs: SmallRuns) -> Path:
    """A training table of five articles: of two processes, one has nothing in the last step of an epoch."""
    rows = read_rows(runs.tables["train"])
    kept = list(dict.fromkeys(row["context"] for row in rows))[:5]
    return write_rows(runs.folder / "odd.csv", [row for row in rows if row["context"] in kept])


def test_a_fit_learns_and_scores_what_one_process_does(runs: SmallRuns, odd: Path) -> None:
    options = (
        *EXACT,
        *("--data.train_path", str(odd), "--data.val_path", str(runs.tables["train"]), "--trainer.max_epochs", "2"),
        # Of the six articles of the validation each is a batch, and the answers end amid the fourth.
        *("--data.evaluation_tokens_per_batch", "1", "--answer_evaluation.max_questions", "14"),
    )
    assert runs("fit", "fit-one", *options, *LIKE_TWO) == 0
    output, errors = launched(runs, "fit", "fit-two", *options)
    one, two = runs.folder / "fit-one", runs.folder / "fit-two"
    assert difference(one / ADAPTER, two / ADAPTER) < 1e-4
    first, second = (torch.load(folder / "checkpoints/last.ckpt", weights_only=True) for folder in (one, two))
    assert first["global_step"] == second["global_step"] == 6
    assert len(second["other_random_states"]) == 1
    for name in ("val/char_f1", "val/exact_match", "val/loss"):
        assert scalars(two, name) == [(step, pytest.approx(value, rel=1e-4)) for step, value in scalars(one, name)]
    losses = dict(scalars(one, "train/loss"))  # drawn at each micro-batch
    assert [value for _, value in scalars(two, "train/loss")] == pytest.approx(list(losses.values()), rel=1e-4)
    assert output.count("val/char_f1") == 2
    assert errors.count("best val/char_f1") == 1


@pytest.mark.parametrize(("command", "part"), [("test", "test"), ("validate", "val")])
def test_a_part_with_fewer_batches_than_processes_is_scored(
    runs: SmallRuns, fitted: Path, command: str, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    best = ("--ckpt_path", str(fitted / "checkpoints/best.ckpt"))
    assert runs(command, f"{command}-one", *best) == 0
    alone = [line for line in capsys.readouterr().out.splitlines() if line.startswith(f"{part}/")]
    output, _ = forked(runs, command, f"{command}-two", *best)
    assert [line for line in output.splitlines() if line.startswith(f"{part}/")] == alone
    assert len(alone) == 1


def test_crossfit_answers_every_question_as_one_process_does(
    runs: SmallRuns, odd: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = (*EXACT, "--data.train_path", str(odd), "--crossfit.folds", "2")
    assert runs("crossfit", "crossfit-one", *options, *LIKE_TWO) == 0
    output, errors = forked(runs, "crossfit", "crossfit-two", *options)
    one, two = runs.folder / "crossfit-one/oof", runs.folder / "crossfit-two/oof"
    for file in ("predictions.csv", "scores.json"):
        assert (one / file).read_bytes() == (two / file).read_bytes()
    assert [row["id"] for row in read_rows(two / "predictions.csv")] == [row["id"] for row in read_rows(odd)]
    for fold in ("fold-1", "fold-2"):
        assert difference(one / fold / ADAPTER, two / fold / ADAPTER) < 1e-4
    assert output.count("char F1") == 1
    assert errors.count("each answered by a model that has not read its article") == 1

    again = (*options, "--trainer.strategy", "ddp", "--ckpt_path", "last")
    message = refusal(capsys, *runs.arguments("crossfit", "crossfit-two", *again))
    assert "processes was 2 and is None" in message


def trouble(rank: int, step: int, what: str, validating: bool = False, once: Path | None = None) -> str:
    settings = f"{{rank: {rank}, step: {step}, what: {what}, validating: {validating}, once: {once or 'null'}}}"
    return f"--trainer.callbacks+={{class_path: troubled.Trouble, init_args: {settings}}}"


def test_an_error_of_one_process_is_said_once_and_ends_both(runs: SmallRuns) -> None:
    """The first waits for the gradients of the second, whose disk is full."""
    options = ("--checkpoint.every_n_train_steps", "1", trouble(1, 1, "error"))
    _, errors = launched(runs, "fit", "in-the-second", *options, status=2)
    (line,) = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert line == "error: process 1: the disk of this process is full"


def test_gradients_that_are_no_number_name_the_rows_of_both(runs: SmallRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(CALLBACKS)
    _, errors = forked(runs, "fit", "in-both", *POISONED, status=2)
    line = next(line for line in errors.splitlines() if line.startswith("error: "))
    articles = {row["id"]: row["context"] for row in read_rows(runs.tables["train"])}
    named = {articles[name] for name in articles if name in line}
    assert len(named) == 2
    assert torch.load(runs.folder / "in-both/checkpoints/last.ckpt", weights_only=True)["global_step"] == 1


def test_two_signals_to_one_amid_a_validation_stop_both(
    runs: SmallRuns, odd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are more batches to validate than those in which the signals come."""
    monkeypatch.syspath_prepend(CALLBACKS)
    validation = ("--data.val_path", str(runs.tables["train"]), "--data.evaluation_tokens_per_batch", "1")
    options = ("--data.train_path", str(odd), *validation, "--trainer.val_check_interval", "2")
    _, errors = forked(runs, "fit", "amid-validation", *options, trouble(1, 2, "SIGTERM", True), status=143)
    assert "stopped" in errors
    checkpoints = runs.folder / "amid-validation/checkpoints"
    last = torch.load(checkpoints / "last.ckpt", weights_only=True)
    assert (last["global_step"], last["validation_due"]) == (2, True)
    assert not (checkpoints / "best.ckpt").exists()


@pytest.mark.parametrize("validating", [False, True])
def test_a_signal_to_one_ends_both_with_a_validation(
    runs: SmallRuns, odd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, validating: bool
) -> None:
    """Whether it comes amid a validation or before one that nobody had thought of."""
    monkeypatch.syspath_prepend(CALLBACKS)
    validation = ("--data.val_path", str(runs.tables["train"]), "--data.evaluation_tokens_per_batch", "1")
    options = ("--data.train_path", str(odd), *validation, "--trainer.val_check_interval", "2")
    step, name = (2, "finished") if validating else (1, "early")
    signalled = trouble(1, step, "SIGTERM", validating, tmp_path / "once")
    _, errors = forked(runs, "fit", name, *options, signalled, status=143)
    assert ("validating what was trained" in errors) is not validating
    folder = runs.folder / name
    last, best = (torch.load(folder / f"checkpoints/{one}.ckpt", weights_only=True) for one in ("last", "best"))
    assert (last["global_step"], best["global_step"], last["validation_due"]) == (step, step, False)
    assert (folder / "adapter/adapter_model.safetensors").is_file()

"""The bar counts answers, shows how fast they come and what they score."""

import re
from pathlib import Path

import pytest
from small_runs import SmallRuns, read_rows, write_rows
from stopping import Killed

from callbacks.running_score import RunningScore
from kqa_lightning.__main__ import main
from kqa_lightning.metrics.functional import char_f1

GROUPS = ("--data.evaluation_tokens_per_batch", "500")  # an article a group


def bars(runs: SmallRuns, capsys: pytest.CaptureFixture[str], command: str, run: str, *options: str) -> list[str]:
    """What the bar showed, one state after the other."""
    arguments = runs.arguments(command, run, *GROUPS, *options)
    place = arguments.index("--trainer.enable_progress_bar")
    del arguments[place : place + 2]
    capsys.readouterr()
    assert main(arguments) == 0
    return re.split(r"[\r\n]+", capsys.readouterr().out)


def last(states: list[str]) -> re.Match[str]:
    pattern = r"\| (\d+)/(\d+) \[[\d:]+<([\d:]+),\s+[\d.]+ answers/s(?:, char_f1=([\d.]+))?\]"
    found = [match for state in states if (match := re.search(pattern, state))]
    assert found, states
    return found[-1]


@pytest.mark.parametrize(("command", "part"), [("validate", "val"), ("test", "test"), ("predict", "test")])
def test_all_answers_are_counted_and_scored(
    runs: SmallRuns, capsys: pytest.CaptureFixture[str], command: str, part: str, tmp_path: Path
) -> None:
    rows = read_rows(runs.tables[part])
    states = bars(runs, capsys, command, str(tmp_path / command), "--data.predict_path", str(runs.tables[part]))
    done, total, _, score = last(states).groups()
    assert (int(done), int(total)) == (len(rows), len(rows))
    assert runs("predict", str(tmp_path / "again"), *GROUPS, "--data.predict_path", str(runs.tables[part])) == 0
    answers = {row["id"]: row["answer"] for row in read_rows(tmp_path / "again" / "predictions.csv")}
    expected = sum(char_f1(answers[row["id"]], row["answer"]) for row in rows) / len(rows)
    assert float(score) == pytest.approx(expected, abs=1e-4)
    assert len({state.partition("[")[0] for state in states if "answers/s" in state}) > 1  # it moved on the way


def test_without_gold_answers_there_is_no_score(
    runs: SmallRuns, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = [{name: row[name] for name in ("id", "context", "question")} for row in read_rows(runs.tables["test"])]
    table = write_rows(tmp_path / "asked.csv", rows)
    assert last(bars(runs, capsys, "predict", str(tmp_path / "a"), "--data.predict_path", str(table)))[4] is None


def test_answers_of_a_stopped_run_count_as_done(
    runs: SmallRuns, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    stop = "--trainer.callbacks+={class_path: stopping.StopAnswering, init_args: {group: 1}}"
    with pytest.raises(Killed):
        runs("predict", str(tmp_path), *GROUPS, stop)
    states = bars(runs, capsys, "predict", str(tmp_path))
    counts = [int(match[1]) for state in states if (match := re.search(r"\| (\d+)/\d+ \[", state))]
    first = sum(
        row["context"] == read_rows(runs.tables["test"])[0]["context"] for row in read_rows(runs.tables["test"])
    )
    assert first in counts
    assert last(states)[1] == last(states)[2]


def test_a_validation_in_fit_counts_batches(
    runs: SmallRuns, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    states = bars(runs, capsys, "fit", str(tmp_path), "--trainer.max_steps", "1")
    assert any("Validation DataLoader 0" in state and "it/s" in state for state in states)
    assert not any("answers/s" in state for state in states)


def test_a_fit_that_goes_on_in_mid_epoch_shows_epoch_and_total(
    runs: SmallRuns, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    begun = bars(runs, capsys, "fit", str(tmp_path), "--trainer.max_epochs", "1", "--trainer.max_steps", "2")
    assert any(re.match(r"Epoch 0: .*\| 2/6 \[", state) for state in begun), begun
    options = ("--trainer.max_epochs", "2", "--trainer.max_steps", "8", "--ckpt_path", "last")
    states = bars(runs, capsys, "fit", str(tmp_path), *options)
    found = [match.groups() for state in states if (match := re.match(r"Epoch (\d): .*\| ([1-9])/6 \[", state))]
    assert list(dict.fromkeys(found)) == [*(("0", number) for number in "23456"), ("1", "1"), ("1", "2")]
    assert not any(re.search(r"[1-9]/\?", state) for state in states)  # of an unknown total


def test_answers_without_gold_are_counted_and_not_scored() -> None:
    score = RunningScore()
    assert score.char_f1 is None
    score.add(["은행", "3%", "가"], [["국민은행"], [], ["나", "가"]])
    assert score.answered == 3
    assert score.char_f1 == pytest.approx((2 / 3 + 1) / 2)

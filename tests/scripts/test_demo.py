"""The demo: its road on a few questions, and what it reports of given answers."""

import json
import shutil
import sys
from pathlib import Path

import demo
import pytest
from script_options import run_script
from small_runs import SmallRuns, read_rows, write_rows

from kqa_lightning.assets import sample_table
from kqa_lightning.metrics.functional import char_f1
from kqa_lightning.prediction_files import write_candidates

WRONG = "모르겠다"


def write_answers(output: Path) -> dict[str, list[float]]:
    """Answers of which each tuned model has its own share right; the F1 of each of them, by model."""
    gold = read_rows(sample_table("test"))
    scores: dict[str, list[float]] = {}
    for number, name in enumerate(demo.FAMILIES):
        for state, right in (("base", 10), ("tuned", 2 + number)):
            rows = [
                {"id": row["id"], "answer": row["answer"] if (index + number) % right == 0 else WRONG}
                for index, row in enumerate(gold)
            ]
            (output / name / state).mkdir(parents=True)
            write_rows(output / name / state / "predictions.csv", rows)
            scores[f"{name}/{state}"] = [
                char_f1(row["answer"], real["answer"]) for row, real in zip(rows, gold, strict=True)
            ]
    return scores


def test_the_report_holds_the_scores_of_the_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    by_model = write_answers(tmp_path)
    demo.report(tmp_path)
    scores = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert set(scores) == {"models", "ensemble", "oracle"}
    questions = len(read_rows(sample_table("test")))
    for name in demo.FAMILIES:
        for state in ("base", "tuned"):
            assert scores["models"][name][state] == pytest.approx(100 * sum(by_model[f"{name}/{state}"]) / questions)
    assert set(scores["ensemble"]) == {"vote_priority", "vote_f1_sum", "f1_sum"}
    best = [max(by_model[f"{name}/tuned"][row] for name in demo.FAMILIES) for row in range(questions)]
    assert scores["oracle"] == pytest.approx(100 * sum(best) / questions)
    assert (tmp_path / "scores.png").read_bytes().startswith(b"\x89PNG")
    table = capsys.readouterr().out
    unseen = demo.unseen_questions()
    for name in demo.FAMILIES:
        line = next(line for line in table.splitlines() if line.startswith(name))
        values = by_model[f"{name}/tuned"]
        parts = [
            [
                value
                for value, row in zip(values, read_rows(sample_table("test")), strict=True)
                if unseen[row["id"]] == on
            ]
            for on in (False, True)
        ]
        expected = [by_model[f"{name}/base"], values, *parts]
        assert line.split()[1:] == [f"{100 * sum(part) / len(part):.2f}" for part in expected]


def test_the_report_holds_the_rules_that_learned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_answers(tmp_path)
    for rule, name in zip(demo.LEARNED_RULES, ("eeve", "nous"), strict=True):
        shutil.copy(tmp_path / name / "tuned" / "predictions.csv", demo.submission(tmp_path, rule))
    demo.report(tmp_path, demo.LEARNED_RULES)
    scores = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert scores["ensemble"]["weighted"] == scores["models"]["eeve"]["tuned"]
    assert scores["ensemble"]["stacking"] == scores["models"]["nous"]["tuned"]
    lines = {line.split()[0]: line.split()[-3:] for line in capsys.readouterr().out.splitlines()[3:]}
    assert lines["stacking"] == lines["nous"]


def test_at_least_a_quarter_of_the_questions_use_unseen_patterns() -> None:
    unseen = demo.unseen_questions()
    assert list(unseen) == [row["id"] for row in read_rows(sample_table("test"))]
    assert sum(unseen.values()) >= len(unseen) / 4


def test_the_submission_is_the_f1_sum_of_the_tuned_models(tmp_path: Path) -> None:
    write_answers(tmp_path)
    demo.combine(tmp_path)
    rows = {
        name: [row["answer"] for row in read_rows(tmp_path / name / "tuned" / "predictions.csv")]
        for name in demo.FAMILIES
    }
    submitted = read_rows(tmp_path / "submission.csv")
    assert [row["id"] for row in submitted] == [row["id"] for row in read_rows(sample_table("test"))]
    for row, answers in zip(submitted, zip(*rows.values(), strict=True), strict=True):
        sums = [sum(char_f1(one, other) for other in answers) for one in answers]
        assert row["answer"] == answers[sums.index(max(sums))]


def test_a_family_goes_its_road(runs: SmallRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands of the demo as they are, on small tables instead of the sample."""
    real, commands = demo.step, []

    def small_step(command: str, *options: str) -> None:
        commands.append(command)
        tables = [word for part, path in runs.tables.items() for word in (f"--data.{part}_path", str(path))]
        real(command, *options, *tables, "--model.max_new_tokens", "4")

    monkeypatch.setattr(demo, "step", small_step)
    demo.run_family("nous", tmp_path, seed=3)
    assert commands == ["predict", "fit", "predict"]
    ids = [row["id"] for row in read_rows(runs.tables["test"])]
    for state in ("base", "tuned"):
        assert [row["id"] for row in read_rows(tmp_path / "nous" / state / "predictions.csv")] == ids
    settings = (tmp_path / "nous" / "tuned" / "fit.yaml").read_text(encoding="utf-8")
    assert "seed_everything: 3" in settings


def test_what_is_learned_out_of_fold_decides_a_second_submission(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One model is always right and the others, who agree with each other, never: only learning tells."""
    for number, name in enumerate(demo.FAMILIES):
        for part, place in (("test", "tuned"), ("train", "folds/oof")):
            rows = read_rows(sample_table(part))
            answers = {
                row["id"]: [{"answer": row["answer"] if number == 1 else WRONG, "logprob_sum": -1.0 - number}]
                for row in rows
            }
            (tmp_path / name / place).mkdir(parents=True)
            write_candidates(tmp_path / name / place / "predictions.jsonl", answers)
    demo.combine_learned(tmp_path)
    assert "stacking" in capsys.readouterr().out
    gold = {row["id"]: row["answer"] for row in read_rows(sample_table("test"))}
    assert {row["id"]: row["answer"] for row in read_rows(tmp_path / "submission-stacking.csv")} == gold
    assert (tmp_path / "submission-weighted.csv").exists()
    assert (tmp_path / "report.html").exists()


def test_a_wrong_seed_is_refused_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_script(demo.main, ["--output", str(tmp_path / "demo"), "--seed", "-1"]) == 2
    assert capsys.readouterr().err == "error: --seed -1: at least 0 is needed\n"
    assert not (tmp_path / "demo").exists()


def test_programs_of_this_environment_are_named_so_that_a_shell_finds_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(Path.cwd() / ".venv/bin/python"))
    assert demo.beside_python("tensorboard") == Path(".venv/bin/tensorboard")
    monkeypatch.setattr(sys, "executable", "/elsewhere/bin/python")
    assert demo.beside_python("tensorboard") == Path("/elsewhere/bin/tensorboard")


def test_a_family_is_answered_out_of_fold(runs: SmallRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = demo.step

    def small_step(command: str, *options: str) -> None:
        tables = [word for part, path in runs.tables.items() for word in (f"--data.{part}_path", str(path))]
        real(command, *options, *tables, "--model.max_new_tokens", "4")

    monkeypatch.setattr(demo, "step", small_step)
    monkeypatch.setattr(demo, "FOLDS", 2)
    demo.run_folds("nous", tmp_path, seed=3)
    rows = read_rows(tmp_path / "nous" / "folds" / "oof" / "predictions.csv")
    assert [row["id"] for row in rows] == [row["id"] for row in read_rows(runs.tables["train"])]

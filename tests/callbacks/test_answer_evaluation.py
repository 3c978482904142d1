"""Scores of generated answers, against the written predictions scored on their own, and the table of examples."""

import re
from pathlib import Path

import pytest
from curves import events, scalars, texts
from small_runs import SmallRuns, read_rows, write_rows

from callbacks.answer_evaluation import _as_cell
from kqa_lightning.__main__ import main
from kqa_lightning.metrics.functional import char_f1, exact_match


def printed(text: str, name: str) -> float:
    found = re.search(rf"{name} (\d\.\d+)", text)
    assert found, text
    return float(found[1])


@pytest.fixture(scope="module")
def answered(runs: SmallRuns) -> list[dict[str, str]]:
    """The questions of val.csv with the answers of the base model."""
    options = ("--data.predict_path", str(runs.tables["val"]))
    assert runs("predict", "zero-shot", *options) == 0
    return read_rows(runs.folder / "zero-shot" / "predictions.csv")


@pytest.mark.parametrize(("command", "part"), [("validate", "val"), ("test", "test")])
def test_scores_are_those_of_the_predictions(
    runs: SmallRuns,
    answered: list[dict[str, str]],
    command: str,
    part: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Gold answers that some of the answers equal, so that the score is no constant.
    rows = read_rows(runs.tables["val"])
    answers = {row["id"]: row["answer"] for row in answered}
    for number, row in enumerate(rows):
        row["answer"] = (answers[row["id"]] if number % 2 else answers[row["id"]][:2] + "가나다").strip() or "없음"
    gold = write_rows(tmp_path / "gold.csv", rows)
    capsys.readouterr()
    assert runs(command, str(tmp_path / command), f"--data.{part}_path", str(gold)) == 0
    output = capsys.readouterr().out
    for name, score in (("char_f1", char_f1), ("exact_match", exact_match)):
        expected = sum(score(answers[row["id"]], row["answer"]) for row in rows) / len(rows)
        assert printed(output, f"{part}/{name}") == pytest.approx(expected, abs=5e-5)


def test_max_questions_scores_the_first_ones_in_fit_and_all_in_validate(
    runs: SmallRuns, answered: list[dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = read_rows(runs.tables["val"])
    answers = {row["id"]: row["answer"] for row in answered}
    for number, row in enumerate(rows):
        row["answer"] = (answers[row["id"]].strip() or "없음") if number < 3 else "그 밖의 것"
    gold = write_rows(tmp_path / "gold.csv", rows)
    options = ("--data.val_path", str(gold), "--answer_evaluation.max_questions", "3")
    right = [exact_match(answers[row["id"]], row["answer"]) for row in rows]
    assert runs("fit", str(tmp_path / "first"), *options, "--model.learning_rate", "0") == 0
    assert scalars(tmp_path / "first", "val/exact_match")[-1][1] == pytest.approx(sum(right[:3]) / 3, abs=5e-5)
    capsys.readouterr()
    assert runs("validate", str(tmp_path / "all"), *options) == 0
    assert printed(capsys.readouterr().out, "val/exact_match") == pytest.approx(sum(right) / len(rows), abs=5e-5)


def test_a_test_draws_its_curves(runs: SmallRuns, tmp_path: Path) -> None:
    assert runs("test", str(tmp_path)) == 0
    assert {"test/char_f1", "test/exact_match"} <= set(events(tmp_path).Tags()["scalars"])
    assert texts(tmp_path, "test/examples")


def test_curves_have_every_name(fitted: Path) -> None:
    names = {"train/loss", "val/loss", "val/char_f1", "val/exact_match"}
    tags = set(events(fitted).Tags()["scalars"])
    assert names <= tags
    assert any(tag.startswith("lr-") for tag in tags)
    assert [step for step, _ in scalars(fitted, "train/loss")] == list(range(12))


def test_examples_are_shown_at_every_validation(runs: SmallRuns, fitted: Path) -> None:
    shown = texts(fitted, "val/examples")
    assert sorted(shown) == [step for step, _ in scalars(fitted, "val/char_f1")]
    questions = {row["question"]: row["answer"] for row in read_rows(runs.tables["val"])}
    for table in shown.values():
        lines = table.splitlines()
        assert lines[0] == "| question | answer | gold |"
        assert len(lines) == 2 + min(8, len(questions))
        for line in lines[2:]:
            question, _, gold = (cell.strip() for cell in line.strip("|").split(" | "))
            assert questions[question] == gold


def test_a_cell_stays_one_cell_of_plain_text() -> None:
    assert _as_cell("가 | <b>나</b>\n**다** `라` a_b_c") == (
        "가 &#124; &lt;b>나&lt;/b> &#42;&#42;다&#42;&#42; &#96;라&#96; a&#95;b&#95;c"
    )


@pytest.mark.parametrize(
    ("flag", "value"), [("--answer_evaluation.num_examples", "-1"), ("--answer_evaluation.max_questions", "0")]
)
def test_settings_are_checked(flag: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--config", "tiny-nous.yaml", f"{flag}={value}"]) == 2
    assert f"{flag} {value}" in capsys.readouterr().err

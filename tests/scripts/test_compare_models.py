"""The script that draws the chart, as a user runs it."""

import json
import subprocess
from pathlib import Path

import compare_models
import pytest
from small_runs import call_script, run_script, write_texts

FILES = {
    "base.csv": "id,answer\n1,25명\n2,14\n",
    "a.csv": "id,answer\n1,25명\n2,4일\n",
    "b.csv": "id,answer\n2,14일\n1,1710명\n",
    "fewer.csv": "id,answer\n1,25명\n",
    "gold.csv": "id,answer\n1,25명\n2,14일\n",
    "short.csv": "id,answer\n1,25명\n",
}
BEFORE, AFTER = ("--before", "가=base.csv"), ("--after", "가=a.csv", "--after", "나=b.csv")
GOLD, OUTPUT = ("--gold", "gold.csv"), ("--output", "chart.png")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_texts(tmp_path, FILES)


def compare(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_script("compare_models.py", folder, *arguments)


def test_picture_and_numbers(folder: Path) -> None:
    done = compare(folder, *GOLD, *BEFORE, *AFTER, *OUTPUT)
    assert done.returncode == 0 and "error" not in done.stderr
    # By hand: base 1, 4/5; a 1, 4/5; b 1/4, 1. Two models always tie, and the first is written.
    assert done.stdout.splitlines() == [
        "chart.png: 2 questions; dashed: best of one answer a model (100.0)",
        "",
        "character F1                before  fine-tuned",
        "가                           90.00       90.00",
        "나                                       62.50",
        "vote_priority                            90.00",
        "vote_f1_sum                              90.00",
        "f1_sum                                   90.00",
        "best of one answer a model              100.00",
    ]
    assert (folder / "chart.png").read_bytes().startswith(b"\x89PNG")
    assert {entry.name for entry in folder.iterdir()} == {*FILES, "chart.png"}


@pytest.mark.parametrize("arguments", [BEFORE, AFTER[:2]], ids=["before", "after"])
def test_one_model_is_no_ensemble(folder: Path, arguments: tuple[str, ...]) -> None:
    done = compare(folder, *GOLD, *arguments, "--output", "chart.svg")
    assert done.returncode == 0 and "best" not in done.stdout and "f1_sum" not in done.stdout
    assert "<svg" in (folder / "chart.svg").read_text(encoding="utf-8")


def test_candidates_and_learned_strategies(folder: Path) -> None:
    (folder / "a.jsonl").write_text(
        "".join(
            json.dumps({"id": name, "candidates": [{"answer": first}, {"answer": "14일"}]}) + "\n"
            for name, first in (("1", "25명"), ("2", "4일"))
        )
    )
    (folder / "stacked.csv").write_text("id,answer\n2,14일\n1,25명\n", encoding="utf-8")
    after = ("--after", "가=a.jsonl", "나=b.csv", "--ensemble", "stacking=stacked.csv")
    done = compare(folder, *GOLD, *BEFORE, *after, *OUTPUT)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()[3:]]
    assert lines[0] == ["가", "90.00", "90.00"]
    assert ["f1_sum", "90.00"] in lines and ["stacking", "100.00"] in lines


WRONG = {
    "no gold": ((*BEFORE, *OUTPUT), "--gold TABLE, the gold answers, is missing"),
    "no output": ((*BEFORE, *GOLD), "--output FILE, the picture to write, is missing"),
    "no model": ((*GOLD, *OUTPUT), "nothing to draw: --before NAME=FILE … and --after NAME=FILE …"),
    "an ensemble of nothing": ((*GOLD, *OUTPUT, *BEFORE, "--ensemble", "x=a.csv"), "--ensemble NAME=FILE … is drawn"),
    "no name": ((*GOLD, *OUTPUT, "--before", "base.csv"), "--before 'base.csv': prediction files are given as NAME"),
    "ensemble by the name of a rule": (
        (*GOLD, *OUTPUT, *AFTER, "--ensemble", "f1_sum=base.csv"),
        "--ensemble f1_sum=base.csv: f1_sum is drawn already; give the submission another name",
    ),
    "ensemble by the name of a model": (
        (*GOLD, *OUTPUT, *AFTER, "--ensemble", "나=base.csv"),
        "--ensemble 나=base.csv: 나 is drawn already",
    ),
    "before and after alike": (
        (*GOLD, *OUTPUT, *AFTER, "--before", "옛=a.csv"),
        "that is the file of --before 옛=a.csv",
    ),
    "name twice": ((*GOLD, *OUTPUT, *AFTER, "나=a.csv"), "--after '나=a.csv': the name '나' is given twice"),
    "missing file": ((*GOLD, *OUTPUT, "--after", "a=none.csv"), "none.csv: there is no such file"),
    "different ids": ((*GOLD, *OUTPUT, *BEFORE, "--after", "가=fewer.csv"), "base.csv and fewer.csv answer different"),
    "gold without ids": ((*BEFORE, *OUTPUT, "--gold", "short.csv"), "--gold short.csv: no gold answer for the ids 2"),
    "no picture": ((*GOLD, *BEFORE, "--output", "chart.txt"), "--output chart.txt: no picture format"),
    "output is input": ((*GOLD, *OUTPUT, "--before", "a=chart.png"), "--output chart.png: that is an input"),
    "no folder": ((*GOLD, *BEFORE, "--output", "no/chart.png"), "--output no/chart.png: there is no folder"),
    "mistyped": ((*GOLD, *BEFORE, *OUTPUT, "--befor", "x"), "there is no option --befor; did you mean --before?"),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG)
def test_wrong_input(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    (folder / "chart.png").write_text("before", encoding="utf-8")
    done = call_script(compare_models.main, folder, *arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and message in done.stderr
    assert (folder / "chart.png").read_text(encoding="utf-8") == "before"
    assert {entry.name for entry in folder.iterdir()} == {*FILES, "chart.png"}


def test_help_names_every_option(folder: Path) -> None:
    done = compare(folder, "--help")
    assert done.returncode == 0
    assert all(option in done.stdout for option in ("--gold", "--before", "--after", "--output"))

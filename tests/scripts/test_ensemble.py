"""The script as a user runs it: a real process for every way in; its errors in this one."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import ensemble as script
import pytest
import script_options
from ensemble import main
from small_runs import call_script, run_script, write_texts

from kqa_lightning.errors import KQAError

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "ensemble.py"

# Agreement, two of three, none, and answers that need quotes.
FILES = {
    "gemma2.csv": "\ufeffid,answer\nQ2,다섯 차례\nQ1,25명\nQ3,공소시효\n007,NA\n",
    "nous.csv": "id,answer\nQ1,1710명\nQ2,14일\nQ3,선거사범의 공소시효\n007,NA\n",
    "eeve.csv": 'id,answer\nQ1,25명.\nQ2,"14일, 다섯 차례"\nQ3,선거 수사의 연속성\n007,NA\n',
    "gold.csv": "id,context,question,answer\nQ1,글,?,25명\nQ2,글,?,'14일, 다섯 차례'\n"
    "Q3,다른 글,?,공소시효\n007,다른 글,?,NA\nX,글,?,x\n".replace("'", '"'),
    "fewer.csv": "id,answer\nQ1,25명\nQ2,14일\nZ9,가\n",
    "alike.csv": "id,answer\nQ\u200b1,25명\nQ2,14일\n\xa0Q3,가\n007,NA\n",
    "headless.csv": "Q1,25명\nQ2,14일\n",
    "twice.csv": "id,answer\nQ1,25명\nQ1,14일\n",
    "blank.csv": "id,answer\nQ1,25명\n ,14일\n",
    "half.tsv": "id\tcontext\nQ1\t글\nQ3\t글\n",
    "short_gold.csv": "id,answer\nQ1,25명\nQ3,공소시효\n",
}
THREE = ("gemma2=gemma2.csv", "nous=nous.csv", "eeve=eeve.csv")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_texts(tmp_path, FILES)


def ensemble(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_script("ensemble.py", folder, *arguments)


@pytest.mark.parametrize(
    ("arguments", "q2", "q3"),
    [
        (["--strategy", "vote_priority"], "다섯 차례", "공소시효"),
        (["--strategy", "vote_priority", "--priority", "nous"], "14일", "선거사범의 공소시효"),
        (["--strategy", "vote_f1_sum"], "14일, 다섯 차례", "선거사범의 공소시효"),
        (["--strategy", "f1_sum"], "14일, 다섯 차례", "선거사범의 공소시효"),
        (["--strategy", "weighted"], "14일, 다섯 차례", "선거사범의 공소시효"),
        (["--strategy", "weighted", "--weights", "gemma2=0"], "14일", "선거사범의 공소시효"),
        ([], "14일, 다섯 차례", "선거사범의 공소시효"),
    ],
    ids=" ".join,
)
def test_submission(folder: Path, arguments: list[str], q2: str, q3: str) -> None:
    done = ensemble(folder, *THREE, *arguments, "--output", "submission.csv")
    assert (done.returncode, done.stderr) == (0, "")
    assert "submission.csv: 4 answers by" in done.stdout
    written = (folder / "submission.csv").read_bytes().decode("utf-8")
    assert written == f'id,answer\n"Q2","{q2}"\n"Q1","25명"\n"Q3","{q3}"\n"007","NA"\n'
    assert {entry.name for entry in folder.iterdir()} == {*FILES, "submission.csv"}


def test_options_and_files_in_any_order(folder: Path) -> None:
    done = ensemble(folder, THREE[0], "--strategy=f1_sum", THREE[1], "--output", "submission.csv", THREE[2])
    assert done.returncode == 0 and "from gemma2, nous, eeve" in done.stdout


def test_scores(folder: Path) -> None:
    done = ensemble(folder, *THREE, "--gold", "gold.csv", "--strategy", "vote_priority", "--output", "out.csv")
    assert (done.returncode, done.stderr) == (0, "")
    # By hand: gemma2 1, 8/11, 1, 1; nous 1/4, 3/5, 8/13, 1; eeve 1, 1, 0, 1.
    scores = [re.sub(r"\[[^]]*\]", "[…]", line) for line in done.stdout.splitlines()]
    assert [" ".join(line.split()) for line in scores if line] == [
        "out.csv: 4 answers by vote_priority from gemma2, nous, eeve",
        "4 questions; intervals from 4000 draws of 2 articles; fewer than 20 are too few: the intervals look surer "
        "than they are",
        "char F1 95% interval against gemma2 95% interval exact match gap closed",
        "model gemma2 93.18 […] 75.00",
        "model nous 61.63 […] -31.55 […] 25.00",
        "model eeve 75.00 […] -18.18 […] 75.00",
        "rule vote_priority 93.18 […] +0.00 […] 75.00 0% <- written",
        "rule vote_f1_sum 90.38 […] -2.80 […] 75.00 -41%",
        "rule f1_sum 90.38 […] -2.80 […] 75.00 -41%",
        "rule weighted 90.38 […] -2.80 […] 75.00 -41%",
        "oracle best of one answer a model 100.00 […] +6.82 […] 100.00",
        "votes questions share",
        "3:0:0 1 25.0 %",
        "2:1:0 1 25.0 %",
        "1:1:1 2 50.0 %",
        "same answer gemma2 nous",
        "nous 25.0 %",
        "eeve 50.0 % 25.0 %",
    ]


def test_articles_come_from_the_table_named(folder: Path) -> None:
    (folder / "articles.csv").write_text("id,context\n" + "".join(f"{i},{i}\n" for i in ("Q1", "Q2", "Q3", "007")))
    of_the_gold_table = ensemble(folder, *THREE, "--gold", "gold.csv").stdout
    both = ("--gold", "gold.csv", "--table", "articles.csv", "--report", "report.html")
    of_the_other = ensemble(folder, *THREE, *both).stdout
    assert "draws of 2 articles" in of_the_gold_table and "draws of 4 articles" in of_the_other
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count('"question":"?"') == 3  # which only the gold table has
    (folder / "bare.csv").write_text("id,answer\nQ1,25명\nQ2,14일\nQ3,가\n007,NA\n", encoding="utf-8")
    assert "draws of single questions" in ensemble(folder, *THREE, "--gold", "bare.csv").stdout


def test_report(folder: Path) -> None:
    done = ensemble(folder, *THREE, "--table", "gold.csv", "--report", "report.html", "--strategy", "vote_f1_sum")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "report.html: 3 of 4 questions, where the models disagree\n"
    page = (folder / "report.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', page)[1])
    assert {question["id"] for question in data["questions"]} == {"Q1", "Q2", "Q3"}
    assert data["strategies"][data["shown"]] == "vote_f1_sum" and not data["hasGold"]
    assert {entry.name for entry in folder.iterdir()} == {*FILES, "report.html"}


def test_scores_alone_write_nothing(folder: Path) -> None:
    done = ensemble(folder, *THREE, "--gold", "gold.csv")
    assert done.returncode == 0 and "<- written" not in done.stdout and "f1_sum" in done.stdout
    assert {entry.name for entry in folder.iterdir()} == set(FILES)


def test_a_second_run_replaces_the_first(folder: Path) -> None:
    for strategy in ("vote_priority", "f1_sum"):
        assert ensemble(folder, *THREE, "--strategy", strategy, "--output", "out.csv").returncode == 0
    assert "14일, 다섯 차례" in (folder / "out.csv").read_text(encoding="utf-8")


WRONG = {
    "missing file": ([*THREE[:2], "eeve=none.csv"], "none.csv: there is no such file"),
    "no name of a file": ([*THREE, f"x={'x' * 300}.csv"], "File name too long: 'xxx"),
    "missing column": ([*THREE, "x=headless.csv"], "headless.csv has no column 'id' and no column 'answer'"),
    "columns found": ([*THREE, "x=headless.csv"], "found: 'Q1', '25명'"),
    "repeated ids": ([*THREE, "x=twice.csv"], "twice.csv: duplicate id: row 2 (Q1 of row 1)"),
    "blank ids": ([*THREE, "x=blank.csv"], "blank.csv: blank id: row 2"),
    "different ids": (
        [*THREE, "x=fewer.csv"],
        "gemma2.csv and fewer.csv answer different questions; only in gemma2.csv: Q3, 007; only in fewer.csv: Z9",
    ),
    "ids that look alike": (
        [*THREE, "x=alike.csv"],
        r"only in gemma2.csv: 'Q1', 'Q3'; only in alike.csv: 'Q\u200b1', '\xa0Q3'; some differ only in what cannot be",
    ),
    "one model": ([THREE[0]], "at least two prediction files, 1 given"),
    "no model": ([], "at least two prediction files, 0 given"),
    "repeated name": ([*THREE, "nous=eeve.csv"], "the name 'nous' is given twice"),
    "no name": ([*THREE, "eeve.csv"], "'eeve.csv': prediction files are given as NAME=FILE"),
    "unknown strategy": ([*THREE, "--strategy", "f1sum"], "argument --strategy: invalid choice: 'f1sum'"),
    "unknown priority": (
        [*THREE, "--priority", "solar"],
        "--priority solar: no such model; there are gemma2, nous",
    ),
    "abbreviated option": (
        [*THREE, "--strat", "f1_sum"],
        "there is no option --strat; did you mean --strategy?",
    ),
    "mistyped option": (
        [*THREE, "--prioritt=nous"],
        "there is no option --prioritt; did you mean --priority?",
    ),
    "missing value": ([*THREE, "--gold"], "argument --gold: expected one argument"),
    "missing gold": ([*THREE, "--gold", "none.csv"], "none.csv: there is no such file"),
    "missing table": ([*THREE, "--table", "none.csv"], "--table none.csv: there is no such file"),
    "table without articles": ([*THREE, "--table", "short_gold.csv"], "--table short_gold.csv has no column 'context'"),
    "table without ids": ([*THREE, "--table", "half.tsv"], "--table half.tsv: no article for the ids Q2, 007"),
    "report where an input is": ([*THREE, "--report", "nous.csv"], "--report nous.csv: that is an input"),
    "report where the output is": ([*THREE, "--report", "./submission.csv"], "that is the --output; name another"),
    "report without a folder": ([*THREE, "--report", "no/r.html"], "--report no/r.html: there is no folder"),
    "report on wrong gold": ([*THREE, "--report", "r.html", "--gold", "short_gold.csv"], "no gold answer for"),
    "gold without a name": ([*THREE, "--gold", ""], "--gold '': that names no table; name one, or leave --gold out"),
    "table without a name": ([*THREE, "--table", ""], "--table '': that names no table"),
    "out-of-fold gold without a name": ([*THREE, "--oof-gold", ""], "--oof-gold '': that names no table"),
    "a name of two lines": ([*THREE[:2], "eeve=no\nsuch.csv"], "no such.csv: there is no such file"),
    "gold without ids": ([*THREE, "--gold", "short_gold.csv"], "no gold answer for the ids Q2, 007"),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG)
def test_wrong_input(folder: Path, arguments: list[str], message: str) -> None:
    (folder / "submission.csv").write_text("before", encoding="utf-8")
    assert_refused(folder, [*arguments, "--output", "submission.csv"], message)
    assert (folder / "submission.csv").read_text(encoding="utf-8") == "before"
    assert {entry.name for entry in folder.iterdir()} == {*FILES, "submission.csv"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "none/submission.csv"], "--output none/submission.csv: there is no folder"),
        (["--output", "."], "--output .: that is not a file"),
        (["--output", "nous.csv"], "--output nous.csv: that is an input; name another file"),
        (["--output", "gold.csv", "--gold", "gold.csv"], "--output gold.csv: that is an input"),
        (["--output"], "argument --output: expected one argument"),
        ([], "nothing to do: --output FILE writes a submission, --gold TABLE prints scores, --report"),
    ],
)
def test_wrong_output(folder: Path, arguments: list[str], message: str) -> None:
    assert_refused(folder, [*THREE, *arguments], message)
    assert {entry.name: entry.read_text(encoding="utf-8") for entry in folder.iterdir()} == FILES


def test_a_submission_that_fails_late_leaves_no_report(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise KQAError("--output out.csv: cannot be written (No space left on device)")

    monkeypatch.setattr(script, "write_predictions", full)
    assert_refused(folder, [*THREE, "--output", "out.csv", "--report", "out.html"], "No space left on device")
    assert {entry.name for entry in folder.iterdir()} == set(FILES)


def test_the_longest_names_there_are(folder: Path) -> None:
    output, report = f"{'x' * 251}.csv", f"{'y' * 250}.html"
    assert ensemble(folder, *THREE, "--output", output, "--report", report).returncode == 0
    assert {entry.name for entry in folder.iterdir()} == {*FILES, output, report}


def assert_refused(folder: Path, arguments: list[str], message: str) -> None:
    """One clear line on stderr, nothing on stdout, exit status 2."""
    done = call_script(main, folder, *arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert message in done.stderr


def test_help_names_every_option(folder: Path) -> None:
    done = ensemble(folder, "--help")
    assert done.returncode == 0
    options = ("NAME=FILE", "--strategy", "--priority", "--output", "--gold", "--table", "--report")
    options += ("--oof", "--oof-gold", "--weights", "--seed")
    assert all(option in done.stdout for option in options)


def test_loads_no_torch(folder: Path) -> None:
    arguments = [*THREE, "--gold", "gold.csv", "--report", "report.html", "--output", "out.csv"]
    check = (
        f"import sys; sys.path.insert(0, {str(SCRIPT.parent)!r}); import ensemble;"
        f"assert ensemble.main({arguments!r}) == 0; assert not {{'torch', 'datasets'}} & set(sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", check], cwd=folder, env=environment, check=True, capture_output=True)


def test_a_hundred_thousand_questions_take_seconds(tmp_path: Path) -> None:
    for name, letters in (("a", "가나다"), ("b", "가다라"), ("c", "나라마")):
        rows = "".join(f"{i},{letters[i % 3]}{letters[i // 3 % 3]} {i % 1000}\n" for i in range(100_000))
        (tmp_path / f"{name}.csv").write_text("id,answer\n" + rows, encoding="utf-8")
    done = ensemble(tmp_path, "a=a.csv", "b=b.csv", "c=c.csv", "--output", "out.csv")  # refused after 60 s
    assert done.returncode == 0
    assert len((tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()) == 100_001


def test_an_interrupt_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def work(arguments: object) -> None:
        raise KeyboardInterrupt

    assert script_options.run_script(work, None) == 130
    assert capsys.readouterr().err == "stopped\n"

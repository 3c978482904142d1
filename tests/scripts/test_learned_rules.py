"""weighted and stacking as a user runs them: from files to a submission, and every error."""

import csv
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ensemble import main

from kqa_lightning.ensemble import drawing
from kqa_lightning.metrics.functional import char_f1

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "ensemble.py"
ASKS = ("누구인가?", "언제인가?", "왜 그런가?")
MODELS = ("a", "b", "c")
PREDICTIONS = tuple(f"{name}={name}.jsonl" for name in MODELS)
OOF = ("--oof", *(f"{name}={name}_oof.jsonl" for name in reversed(MODELS)), "--oof-gold", "train.csv")


def write_lines(path: Path, rows: dict[str, list[tuple[str, float]]]) -> None:
    lines = (
        {
            "id": name,
            "candidates": [
                {"answer": answer, "raw": f" {answer}", "logprob_sum": score, "logprob_mean": score / 4}
                for answer, score in candidates
            ],
        }
        for name, candidates in rows.items()
    )
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")


def write_split(folder: Path, table: str, suffix: str, articles: int, seed: int) -> None:
    """A table, and three models of which each knows one kind of question; the first has all as a second candidate."""
    chance = random.Random(seed)
    answers: dict[str, dict[str, list[tuple[str, float]]]] = {name: {} for name in MODELS}
    rows = []
    for number in range(articles * 5):
        kind = chance.randrange(3)
        right, *wrong = ("".join(chance.choices("가나다라마바사아자차", k=4)) for _ in range(7))
        row = f"{table}-{number:03}"
        rows.append((row, f"{table}의 글 {number // 5}, 그리고 더", f"{number}번은 {ASKS[kind]}", right))
        for place, name in enumerate(MODELS):
            knows = chance.random() < (0.95 if place == kind else 0.2)
            first, second = (
                (right, wrong[place]) if knows else (wrong[place], right if place == 0 else wrong[place + 3])
            )
            score = -chance.random()
            answers[name][row] = [(first, score), (second, score - 2)]
    with (folder / table).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("id", "context", "question", "answer"), *rows])
    for name, by_id in answers.items():
        write_lines(folder / f"{name}{suffix}.jsonl", by_id)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_split(tmp_path, "train.csv", "_oof", articles=40, seed=1)
    write_split(tmp_path, "test.csv", "", articles=20, seed=2)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read_answers(path: Path) -> dict[str, str]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row["id"]: row["answer"] for row in csv.DictReader(file)}


def mean_f1(path: Path) -> float:
    with Path("test.csv").open(encoding="utf-8", newline="") as file:
        gold = {row["id"]: row["answer"] for row in csv.DictReader(file)}
    answers = read_answers(path)
    assert list(answers) == list(gold)
    return sum(char_f1(answers[name], gold[name]) for name in gold) / len(gold)


def test_stacking_writes_what_it_learned(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PREDICTIONS, "--output", "f1_sum.csv"]) == 0
    arguments = [*PREDICTIONS, *OOF, "--strategy", "stacking", "--table", "test.csv", "--output", "out.csv"]
    capsys.readouterr()
    assert main(arguments) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "out.csv: 100 answers by stacking from a, b, c" and len(said) == 2
    assert re.match(r"stacking: .+, the best by cross-validation over 40 articles \(ridge \d\d\.\d\d, boosted", said[1])
    assert mean_f1(Path("out.csv")) > mean_f1(Path("f1_sum.csv")) + 0.1


def test_a_new_process_learns_the_same(folder: Path) -> None:
    arguments = [*PREDICTIONS, *OOF, "--strategy", "stacking", "--table", "test.csv", "--output"]
    written = []
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "PYTHONHASHSEED": seed}
        command = [sys.executable, str(SCRIPT), *arguments, f"{seed}.csv"]
        done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8")
        assert (done.returncode, done.stderr) == (0, "")
        written.append(Path(f"{seed}.csv").read_bytes())
    assert written[0] == written[1]


def test_without_articles_it_learns_the_rest_and_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PREDICTIONS, *OOF, "--strategy", "stacking", "--output", "out.csv"]) == 0
    assert "; without articles and questions, which --oof-gold or --table lacks" in capsys.readouterr().out


def test_scores_of_every_strategy(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PREDICTIONS, *OOF, "--gold", "test.csv", "--report", "report.html"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("weighted: a 0.") and "out of fold" in lines[1]
    assert lines[2].startswith("stacking: ")
    rules = [line.split()[1] for line in lines if line.startswith("rule")]
    assert rules == ["vote_priority", "vote_f1_sum", "f1_sum", "weighted", "stacking"]
    first, second = (line for line in lines if line.startswith("oracle"))
    assert (
        re.match(r"oracle  best of all candidates +100\.00  \[100\.00, 100\.00\]", second) and "  100.00" not in first
    )
    page = Path("report.html").read_text(encoding="utf-8")
    assert '"weighted","stacking"' in page.replace(" ", "")


@pytest.mark.parametrize("articles", [True, False])
def test_intervals_do_not_depend_on_the_order_of_rows(
    articles: bool, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not articles:
        text = Path("test.csv").read_text(encoding="utf-8")
        Path("test.csv").write_text(text.replace("id,context,", "id,other,"), encoding="utf-8")
    said = []
    for seed in (None, 1, 2):
        for file in () if seed is None else [Path("test.csv"), *(Path(f"{name}.jsonl") for name in MODELS)]:
            head, *rows = file.read_text(encoding="utf-8").splitlines(keepends=True)
            if file.suffix == ".jsonl":
                head, rows = "", [head, *rows]
            random.Random(seed).shuffle(rows)
            file.write_text(head + "".join(rows), encoding="utf-8")
        assert main([*PREDICTIONS, "--gold", "test.csv"]) == 0
        said.append(capsys.readouterr().out)
    assert said[0].count("[") > 10 and said == [said[0]] * 3


def test_without_out_of_fold_answers_there_is_weighted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PREDICTIONS, "--gold", "test.csv"]) == 0
    said = capsys.readouterr().out
    assert "weighted" in said and "stacking" not in said


def test_weights_given_by_hand(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    only = ["--strategy", "weighted", "--weights", "a=0", "b=0.0", "--output", "out.csv"]
    assert main([*PREDICTIONS, *only]) == 0
    first = {
        row["id"]: row["candidates"][0]["answer"]
        for row in map(json.loads, Path("c.jsonl").read_text(encoding="utf-8").splitlines())
    }
    assert read_answers(Path("out.csv")) == first
    assert main([*PREDICTIONS, *OOF, *only[:2], "--weights", "b=2", "--output", "out.csv"]) == 0
    assert "weighted: a 1, b 2, c 1; candidates " in capsys.readouterr().out


def test_tables_that_number_their_questions_alike(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same ids are no harm where the articles show that the questions are others."""
    for file in folder.iterdir():
        text = file.read_text(encoding="utf-8")
        file.write_text(re.sub(r"(train|test)\.csv-", "", text), encoding="utf-8")
    chosen = ["--strategy", "weighted", "--output", "out.csv"]
    assert main([*PREDICTIONS, *OOF, *chosen, "--table", "test.csv"]) == 0
    assert "out.csv: 100 answers by weighted" in capsys.readouterr().out
    assert main([*PREDICTIONS, *OOF, *chosen]) == 2  # all ids of the 100 to answer are among the 200 to learn from
    assert "show by --table and --oof-gold with articles that these are others" in capsys.readouterr().err


def test_a_csv_is_not_exchanged_for_the_file_beside_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [json.loads(line) for line in Path("a.jsonl").read_text(encoding="utf-8").splitlines()]
    with Path("a.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("id", "answer"), *((row["id"], "모름") for row in rows)])
    assert main(["a=a.csv", *PREDICTIONS[1:], "--gold", "test.csv"]) == 0
    assert "model a 0.00 [0.00, 0.00]" in " ".join(capsys.readouterr().out.split())
    assert main(["a=a.csv", *PREDICTIONS[1:], *OOF, "--strategy", "weighted", "--output", "out.csv"]) == 0
    said = capsys.readouterr().out
    assert "\nlog-probabilities of a are in --oof or in what is combined, not in both" in said
    assert "\ncandidates a question in --oof and in what is combined: a 2.0 and 1.0; " in said
    assert main(["a=a.csv", *PREDICTIONS[1:], "--strategy", "weighted", "--output", "out.csv"]) == 0
    assert "\nweighted: there are no log-probabilities of a, whose answers therefore" in capsys.readouterr().out


def test_without_scikit_learn(folder: Path) -> None:
    arguments = [*PREDICTIONS, *OOF, "--output", "out.csv"]
    block = f"import sys; sys.path.insert(0, {str(SCRIPT.parent)!r}); sys.modules['sklearn'] = None; import ensemble;"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", f"{block} sys.exit(ensemble.main({[*arguments, *more]!r}))"]
        return subprocess.run(command, env=environment, capture_output=True, encoding="utf-8")

    done = run("--strategy", "stacking")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: stacking needs scikit-learn: pip install 'kqa-lightning[stacking]'\n"
    assert not Path("out.csv").exists()
    done = run("--strategy", "weighted", "--gold", "test.csv")
    assert (done.returncode, done.stderr) == (0, "")
    assert "stacking is left out: stacking needs scikit-learn" in done.stdout and Path("out.csv").exists()


def test_the_seed_draws_the_questions_that_are_learned_from(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(drawing, "LEARN_FROM", 12)
    said = []
    for given in ([], ["--seed", "0"], ["--seed", "7"]):
        assert main([*PREDICTIONS, *OOF, *given, "--strategy", "weighted", "--output", "out.csv"]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] != said[2]


STACKING = ("--strategy", "stacking", "--table", "test.csv")
SAME = ("--oof", *(f"{name}={name}_same.jsonl" for name in MODELS))
WRONG = {
    "unknown weight": (["--weights", "solar=2"], "--weights solar=2: no such model; there are a, b, c"),
    "weight without a number": (["--weights", "a"], "--weights 'a': weights are given as NAME=NUMBER"),
    "weight that is no number": (["--weights", "a=x"], "--weights 'a=x': weights are given as NAME=NUMBER"),
    "weight below 0": (["--weights", "a=-1"], "--weights a=-1: a weight is a number, 0 or more"),
    "weight given twice": (["--weights", "a=1", "a=2"], "--weights 'a=2': the name 'a' is given twice"),
    "no weight at all": (["--weights", "a=0", "b=0", "c=0"], "--weights: every model weighs 0"),
    "stacking from nothing": (STACKING, "--strategy stacking needs --oof NAME=FILE for each model and --oof-gold"),
    "no gold for it": (OOF[:4], "--oof needs --oof-gold TABLE beside it"),
    "gold for nothing": (OOF[4:], "--oof-gold needs --oof NAME=FILE beside it"),
    "other models": (
        ["--oof", "a=a_oof.jsonl", "b=b_oof.jsonl", *OOF[4:], *STACKING],
        "--oof has the models a, b, and those to combine are a, b, c: what is learned from some models",
    ),
    "unknown model": (["--oof", "solar=c_oof.jsonl", *OOF[2:]], "--oof has the models solar, b, a"),
    "model given twice": ([*OOF, "--oof", "a=a.jsonl"], "--oof 'a=a.jsonl': the name 'a' is given twice"),
    "no name": (["--oof", "a_oof.jsonl", *OOF[2:]], "--oof 'a_oof.jsonl': prediction files are given as NAME=FILE"),
    "missing file": (["--oof", "c=none.jsonl", *OOF[2:], *STACKING], "none.jsonl: there is no such file"),
    "no name of a file": (["--oof", f"c={'x' * 300}.jsonl", *OOF[2:], *STACKING], "File name too long: 'xxx"),
    "different ids": (["--oof", "c=fewer.jsonl", *OOF[2:], *STACKING], "answer different questions; only in a_oof"),
    "repeated ids": (["--oof", "c=twice.jsonl", *OOF[2:], *STACKING], "twice.jsonl: duplicate id: row 2 (1 of row 1)"),
    "broken file": (["--oof", "c=broken.jsonl", *OOF[2:], *STACKING], "broken.jsonl: broken JSON"),
    "a file to combine": (["--oof", "c=c.jsonl", *OOF[2:]], "--oof c=c.jsonl: that is also a file to combine"),
    "a copy of a file to combine": (["--oof", "c=copy.jsonl", *OOF[2:]], "--oof c=copy.jsonl: that is also a file"),
    "a file for two models": (["--oof", "c=a_oof.jsonl", *OOF[2:]], "'a=a_oof.jsonl': that is the file of 'c'"),
    "copies for two models": (
        ["--oof", "c=a_copy.jsonl", *OOF[2:]],
        "--oof a=a_oof.jsonl: the same as c=a_copy.jsonl; each model needs its own answers",
    ),
    "the very questions": (
        [*SAME, "--oof-gold", "test.csv", *STACKING],
        "--oof answers the questions that are to be combined, test.csv-000, test.csv-001,",
    ),
    "the very questions, without texts": (
        [*SAME, "--oof-gold", "test.csv", "--strategy", "weighted"],
        "or show by --table and --oof-gold with articles that these are others",
    ),
    "other questions on an article": (
        [*OOF[:5], "shared.csv", *STACKING],
        "--oof has articles of the questions that are to be combined, test.csv-000, test.csv-001, test.csv-002",
    ),
    "gold without some": ([*OOF[:5], "test.csv", *STACKING], "--oof-gold test.csv: no gold answer for the ids train"),
    "gold without answers": ([*OOF[:5], "bare.csv", *STACKING], "--oof-gold bare.csv has no column 'answer'"),
    "missing gold": ([*OOF[:5], "none.csv", *STACKING], "--oof-gold none.csv: there is no such file"),
    "one article": ([*OOF[:5], "one.csv", *STACKING], "stacking learns from the questions on two articles or more"),
    "oof for a vote": (
        [*OOF, "--strategy", "f1_sum"],
        "--oof is of no use to --strategy f1_sum, only to weighted and stacking",
    ),
    "weights for a vote": (["--weights", "a=2"], "--weights is of no use to --strategy f1_sum, only to weighted"),
    "seed and nothing to draw from": (
        ["--strategy", "weighted", "--seed", "1"],
        "--seed 1: it draws from the questions of --oof, and there is none",
    ),
    "priority for f1_sum": (["--priority", "a"], "--priority is of no use to --strategy f1_sum, only to vote_priority"),
    "seed": ([*OOF, "--seed", "-1"], "--seed -1: a seed is a whole number from 0 to 2**32 - 1"),
    "output on what is learned from": ([*OOF, "--report", "b_oof.jsonl"], "--report b_oof.jsonl: that is an input"),
    "output on its gold": ([*OOF, "--report", "train.csv"], "--report train.csv: that is an input"),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG)
def test_wrong_input(folder: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = Path("c_oof.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    Path("fewer.jsonl").write_text("".join(lines[1:]), encoding="utf-8")
    Path("twice.jsonl").write_text('{"id": "1", "candidates": [{"answer": "x"}]}\n' * 2, encoding="utf-8")
    Path("broken.jsonl").write_text('{"id": "1"', encoding="utf-8")
    Path("copy.jsonl").write_bytes(Path("c.jsonl").read_bytes())
    Path("a_copy.jsonl").write_bytes(Path("a_oof.jsonl").read_bytes())
    for name in MODELS:  # other answers to the questions that are combined
        answers = Path(f"{name}.jsonl").read_text(encoding="utf-8")
        Path(f"{name}_same.jsonl").write_text(answers.replace("가", "파"), encoding="utf-8")
    texts = Path("train.csv").read_text(encoding="utf-8")
    Path("shared.csv").write_text(texts.replace("train.csv의 글 7,", "TEST.csv의  글 0,"), encoding="utf-8")
    Path("bare.csv").write_text("id,context\n1,글\n", encoding="utf-8")
    with Path("train.csv").open(encoding="utf-8", newline="") as file:
        rows = [{**row, "context": "글"} for row in csv.DictReader(file)]
    with Path("one.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    before = {entry.name: entry.read_bytes() for entry in folder.iterdir()}
    assert main([*PREDICTIONS, *arguments, "--output", "out.csv"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("error: ") and said.err.count("\n") == 1
    assert message in said.err
    assert {entry.name: entry.read_bytes() for entry in folder.iterdir()} == before

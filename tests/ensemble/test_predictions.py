"""Prediction files: read as text, checked, written whole."""

import csv
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kqa_lightning.data.cleaning import clean
from kqa_lightning.ensemble.predictions import (
    check_output,
    parse_sources,
    read_all_predictions,
    write_predictions,
)
from kqa_lightning.ensemble.tables import read_answers
from kqa_lightning.errors import KQAError


def test_sources_keep_their_order_and_paths() -> None:
    sources = parse_sources(["nous=b.csv", "gemma2=run=1/a.csv"])
    assert list(sources.items()) == [("nous", Path("b.csv")), ("gemma2", Path("run=1/a.csv"))]
    assert parse_sources(["a=~/a.csv"], least=1)["a"] == Path.home() / "a.csv"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.csv", "b=b.csv"], "'a.csv': prediction files are given as NAME=FILE"),
        (["=a.csv", "b=b.csv"], "NAME=FILE"),
        (["a=", "b=b.csv"], "NAME=FILE"),
        (["a=a.csv", "a=b.csv"], "the name 'a' is given twice"),
        (["a=a.csv", "b=./a.csv"], r"'b=\./a.csv': that is the file of 'a'; each needs its own answers"),
        (["a\nb=a.csv", "c=c.csv"], r"^'a\\nb=a.csv': a name is one line of characters that can be seen$"),
        (["a=a.csv"], "at least two prediction files, 1 given"),
        ([], "at least two prediction files, 0 given"),
    ],
)
def test_sources_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(KQAError, match=message):
        parse_sources(arguments)


def test_models_are_aligned_on_the_first_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,answer\n2,가\n1,나\n", encoding="utf-8")
    (tmp_path / "b.csv").write_text("id,answer\n1,다\n2,라\n", encoding="utf-8")
    predictions = read_all_predictions({"a": tmp_path / "a.csv", "b": tmp_path / "b.csv"})
    assert [list(answers.items()) for answers in predictions.values()] == [
        [("2", "가"), ("1", "나")],
        [("2", "라"), ("1", "다")],
    ]


def test_different_ids_list_the_first_few_of_each_side(tmp_path: Path) -> None:
    a, b = tmp_path / "a.csv", tmp_path / "b.csv"
    a.write_text("id,answer\n" + "".join(f"{i},x\n" for i in range(10)), encoding="utf-8")
    b.write_text("id,answer\n" + "".join(f"{i},x\n" for i in range(9, 11)), encoding="utf-8")
    with pytest.raises(KQAError) as caught:
        read_all_predictions({"a": a, "b": b})
    assert str(caught.value) == (
        f"{a} and {b} answer different questions; only in {a}: 0, 1, 2, 3, 4, … (9 in all); only in {b}: 10"
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.dictionaries(st.text(min_size=1).filter(str.strip), st.text(), min_size=1))
def test_what_is_written_is_read_again(tmp_path: Path, answers: dict[str, str]) -> None:
    path = tmp_path / "out.csv"
    write_predictions(path, answers)
    cleaned = {question: clean(answer)[0] for question, answer in answers.items()}
    assert list(read_answers(path).items()) == list(cleaned.items())


def test_written_bytes(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    write_predictions(path, {"001": "14일, 다섯", "2": "a\rb", "3": 'c"', "4": ""})
    assert path.read_bytes().decode() == 'id,answer\n"001","14일, 다섯"\n"2","a\rb"\n"3","c"""\n"4",""\n'
    with path.open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file))[2] == ["2", "a\rb"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.csv"]


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("before", encoding="utf-8")
    with pytest.raises(UnicodeEncodeError):
        write_predictions(path, {"1": "a", "2": "\ud800"})  # a lone surrogate stops the file half-way
    assert path.read_text(encoding="utf-8") == "before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.csv"]


def test_a_link_goes_on_pointing(tmp_path: Path) -> None:
    target, link = tmp_path / "real.csv", tmp_path / "link.csv"
    target.write_text("before", encoding="utf-8")
    link.symlink_to(target)
    write_predictions(link, {"1": "a"})
    assert link.is_symlink() and target.read_text(encoding="utf-8") == 'id,answer\n"1","a"\n'


def test_output_refused(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_text("", encoding="utf-8")
    (tmp_path / "link.csv").symlink_to(source)
    check_output(tmp_path / "new.csv", [source])
    for output, message in [
        (tmp_path / "none" / "out.csv", "there is no folder"),
        (tmp_path, "that is not a file"),
        (tmp_path / ("x" * 300), "cannot be written"),
        (Path("/dev/null"), "that is not a file"),
        (tmp_path / "link.csv", "that is an input"),
    ]:
        with pytest.raises(KQAError, match=message):
            check_output(output, [source])

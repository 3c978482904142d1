"""Articles and questions from the tables that the data package reads."""

import math
import unicodedata
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from kqa_lightning.data.splits import split_folds
from kqa_lightning.ensemble.questions import ARTICLE, GOLD, Question, check_articles, number_articles, read_questions
from kqa_lightning.errors import KQAError


def test_rows_are_composed_text(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    decomposed = unicodedata.normalize("NFD", "한국")
    path.write_text(f"id,context,question,answer\n001,{decomposed},누구?,NA\n2, ,,\n", encoding="utf-8")
    assert read_questions("--table", str(path), ARTICLE) == {
        "001": Question("한국", "누구?", ("NA",)),
        "2": Question(None, None, ()),
    }


def test_parquet_with_numbers_and_missing_values(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    columns = {"id": [1, 2], "context": ["글", None], "answers": [["가", " "], []], "question": [math.nan, 3.5]}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    assert read_questions("--gold", str(path), GOLD) == {"1": Question("글", None, ("가",)), "2": Question(None, "3.5")}


def test_which_column_has_the_answers_is_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,context,answer,answers\n1,글,가,나\n", encoding="utf-8")
    with pytest.raises(
        KQAError, match=r"^--gold .*a.csv: both 'answer' and 'answers', of which one is to be left out: ro"
    ):
        read_questions("--gold", str(path), GOLD)
    assert list(read_questions("--table", str(path), ARTICLE)) == ["1"]


def test_sample_and_korquad(korquad_path: Path) -> None:
    sample = read_questions("--table", "sample", ARTICLE)
    assert all(row.context and row.question and row.answers for row in sample.values())
    korquad = read_questions("--table", str(korquad_path), ARTICLE)
    numbers = number_articles(korquad, list(korquad))
    assert len({row.context for row in korquad.values()}) == 960
    assert numbers is not None and (len(numbers), max(numbers) + 1) == (5774, 959)  # two differ in white space


def test_questions_of_one_article_have_its_number() -> None:
    table = {"1": Question("글"), "2": Question("다른 글"), "3": Question("글"), "4": Question(), "5": Question("0")}
    assert number_articles(table, ["3", "4", "none", "2", "1", "5"]) == [1, 3, 4, 2, 1, 0]
    assert number_articles(table, ["none", "5", "4", "3", "1", "2"]) == [4, 0, 3, 1, 1, 2]  # whatever their order
    assert number_articles(table, ["4", "none"]) is None


def test_an_article_is_the_same_however_it_is_set() -> None:
    """As for the folds of crossfit, which must not be told apart here."""
    spellings = ["A사는 크다.", " Ａ사는\n크다. ", "a사는  크다.", "A사는 작다."]
    table = {str(number): Question(context) for number, context in enumerate(spellings)}
    assert number_articles(table, list(table)) == [1, 1, 1, 0]
    assert max(map(len, split_folds(spellings, 2, seed=0))) == 3


def test_a_table_of_articles_needs_one_for_each_question(tmp_path: Path) -> None:
    table = {"1": Question("글"), "2": Question()}
    check_articles(table, ["1"], "a.csv")
    with pytest.raises(KQAError, match=r"^--table a.csv: no article for the ids 2, 3$"):
        check_articles(table, ["1", "2", "3"], "a.csv")
    path = tmp_path / "a.csv"
    path.write_text("id,question\n1,왜?\n", encoding="utf-8")
    with pytest.raises(KQAError, match=r"^--table .*a.csv has no column 'context'; found: 'id', 'question'$"):
        read_questions("--table", str(path), ARTICLE)


@pytest.mark.parametrize("column", ["context", "question", "id"])
def test_what_is_no_text_is_refused(column: str, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    rows = {"id": ["1", "2"], "context": ["글", "글"], "question": ["왜?", "왜?"]} | {column: [True, False]}
    pyarrow.parquet.write_table(pyarrow.table(rows), path)
    with pytest.raises(KQAError, match=rf"{column} is no text: rows 1 \(bool\), 2 \(bool\)"):
        read_questions("--table", str(path), ARTICLE)


def test_texts_are_cleaned_as_those_that_models_see(tmp_path: Path) -> None:
    path = tmp_path / "gold.csv"
    path.write_text("id,context,answer\n1,본\u200b문,한\u200b글\ufeff\n", encoding="utf-8")
    (question,) = read_questions("--gold", str(path), GOLD).values()
    assert (question.context, question.answers) == ("본문", ("한글",))

from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from kqa_lightning.data.articles import encode_table, group_by_article
from kqa_lightning.data.encoding import PromptEncoder
from kqa_lightning.data.prompts import NousPrompt
from kqa_lightning.data.tables import load_table
from kqa_lightning.errors import KQAError


@pytest.fixture
def encoder(llama2: PreTrainedTokenizerBase) -> PromptEncoder:
    return PromptEncoder(llama2, NousPrompt(), 500)


def rows_of(articles) -> list[list[int]]:
    return [[question.row for question in article.questions] for article in articles]


def test_groups_keep_the_order_of_first_rows(rows_csv: Path) -> None:
    groups = group_by_article(load_table(str(rows_csv), "train"))
    assert [context[0] for context, _ in groups] == ["가", "나", "다"]
    assert [[row for row, *_ in questions] for _, questions in groups] == [[0, 3], [1], [2, 4]]
    assert groups[0][1][1] == (3, "가의 대표 3?", "김가")


def test_tables_without_answers_have_no_gold(rows_csv: Path) -> None:
    table = load_table(str(rows_csv), "train").remove_columns("answers")
    table = table.add_column("answers", [[]] * 5)
    assert {gold for _, questions in group_by_article(table) for *_, gold in questions} == {None}


def test_separate_rows_hold_the_same_ids_as_shared_ones(rows_csv: Path, encoder: PromptEncoder) -> None:
    table = load_table(str(rows_csv), "train")
    shared = encode_table(table, encoder, "train", row_limit=500)
    separate = encode_table(table, encoder, "train", row_limit=500, share_articles=False)
    assert rows_of(shared) == [[0, 3], [1], [2, 4]] and rows_of(separate) == [[0], [3], [1], [2], [4]]
    assert [(a.prefix_ids, q) for a in shared for q in a.questions] == [(a.prefix_ids, *a.questions) for a in separate]


def test_rows_keep_their_limit(rows_csv: Path, encoder: PromptEncoder) -> None:
    table = load_table(str(rows_csv), "train")
    limit = max(map(len, encode_table(table, encoder, "train", row_limit=500))) - 1
    assert max(map(len, encode_table(table, encoder, "train", row_limit=limit))) <= limit


def test_cuts_are_counted_and_reported_once(
    rows_csv: Path, encoder: PromptEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    table = load_table(str(rows_csv), "train")
    whole = encode_table(table, encoder, "train", row_limit=500)
    encoder.max_length = min(len(article.prefix_ids) + max(map(len, article.questions)) for article in whole) - 1
    assert not caplog.messages
    assert all(article.cut for article in encode_table(table, encoder, "train", 500, name="the table"))
    limit = encoder.max_length
    assert caplog.messages == [f"the table: 3 of 3 articles (5 questions) were cut to fit max_length {limit}"]


def test_questions_without_room_are_named_by_id(rows_csv: Path, llama2: PreTrainedTokenizerBase) -> None:
    encoder = PromptEncoder(llama2, NousPrompt(), 20)
    with pytest.raises(KQAError) as error:
        encode_table(load_table(str(rows_csv), "train"), encoder, "train", 500)
    assert "rows 1 (id 'Q0'), 2 (id 'Q1')" in str(error.value) and "--data.max_length" in str(error.value)


def test_korquad(korquad, encoder: PromptEncoder) -> None:
    articles = encode_table(korquad, encoder, "train", row_limit=500)
    assert sorted(row for rows in rows_of(articles) for row in rows) == list(range(len(korquad)))
    assert max(map(len, articles)) <= 500

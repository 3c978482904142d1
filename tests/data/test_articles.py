from pathlib import Path
from typing import Any

import datasets
import pytest
from transformers import PreTrainedTokenizerBase

from kqa_lightning.data import articles
from kqa_lightning.data.articles import EncodedTable, encode_table, group_by_article
from kqa_lightning.data.encoding import EncodedArticle, PromptEncoder
from kqa_lightning.data.prompts import NousPrompt, Stage, Wording
from kqa_lightning.data.questions import Question
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
    assert [[question.row for question in questions] for _, questions in groups] == [[0, 3], [1], [2, 4]]
    assert groups[0][1][1] == Question(3, "가의 대표 3?", "김가")


def test_the_place_of_an_answer_comes_from_the_table(korquad: datasets.Dataset) -> None:
    for context, questions in group_by_article(korquad)[:50]:
        for question in questions:
            assert context.startswith(question.answer, question.answer_start)


def test_tables_without_answers_have_no_gold(rows_csv: Path) -> None:
    table = load_table(str(rows_csv), "train").remove_columns("answers")
    table = table.add_column("answers", [[]] * 5)
    assert {question.answer for _, questions in group_by_article(table) for question in questions} == {None}


def test_separate_rows_hold_the_same_ids_as_shared_ones(rows_csv: Path, encoder: PromptEncoder) -> None:
    table = load_table(str(rows_csv), "train")
    shared = encode_table(table, encoder, "train", row_limit=500)
    separate = encode_table(table, encoder, "train", row_limit=500, share_articles=False)
    assert rows_of(shared) == [[0, 3], [1], [2, 4]] and rows_of(separate) == [[0], [3], [1], [2], [4]]
    assert [(a.prefix_ids, q) for a in shared for q in a.questions] == [(a.prefix_ids, *a.questions) for a in separate]


def test_separate_rows_hold_the_same_ids_where_articles_are_cut_for_groups_of_questions(
    korquad: datasets.Dataset, encoder: PromptEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    encoder.max_length = 400
    table = korquad.select(range(1000))
    shared = encode_table(table, encoder, "train", row_limit=4000)
    separate = encode_table(table, encoder, "train", row_limit=400, share_articles=False)
    articles = len(group_by_article(table))
    assert len(separate) == 1000 > len(shared) > articles == shared.cuts().articles
    assert shared.cuts() == separate.cuts() and shared.cuts().cut > 50
    assert [(a.prefix_ids, q) for a in shared for q in a.questions] == [(a.prefix_ids, *a.questions) for a in separate]
    lost = sum(question.lost for article in shared for question in article.questions)
    assert shared.cuts().lost == lost and f"; {lost} answers are not in what is left" in caplog.text
    # At inference no answer decides what is left, and those that are lost are counted all the same.
    asked = encode_table(table, encoder, "inference", row_limit=4000)
    assert len(asked) == articles and asked.cuts().lost > lost


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
    cut = f"3 of 3 articles (5 questions) were cut to fit max_length {limit}"
    assert caplog.messages == [f"the table: {cut}; 0 answers are not in what is left"]


def test_questions_without_room_are_named_by_id(rows_csv: Path, llama2: PreTrainedTokenizerBase) -> None:
    encoder = PromptEncoder(llama2, NousPrompt(), 20)
    with pytest.raises(KQAError) as error:
        encode_table(load_table(str(rows_csv), "train"), encoder, "train", 500)
    assert "rows 1 (id 'Q0'), 2 (id 'Q1')" in str(error.value) and "--data.max_length" in str(error.value)


def test_a_large_table_is_encoded_once_for_each_setting(
    korquad: datasets.Dataset,
    llama2: PreTrainedTokenizerBase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    monkeypatch.setattr(articles, "CACHED_FROM", 10)
    calls = []
    real = PromptEncoder.encode_articles

    def counted(self: PromptEncoder, *arguments: Any) -> list[list[EncodedArticle]]:
        calls.append(self.prompt)
        return real(self, *arguments)

    monkeypatch.setattr(PromptEncoder, "encode_articles", counted)
    table = korquad.select(range(60))

    def encoded(
        wording: Wording = "aligned", length: int = 500, stage: Stage = "inference", rows: int = 60
    ) -> EncodedTable:
        encoder = PromptEncoder(llama2, NousPrompt(wording), length)
        return encode_table(table.select(range(rows)), encoder, stage, row_limit=500)

    first, again = encoded(), encoded()
    assert len(calls) == 1 and list(first) == list(again) and first.lengths == again.lengths
    others = [encoded("deck"), encoded(length=400), encoded(stage="train"), encoded(rows=50)]
    assert len(calls) == 5
    assert all(list(first) != list(other) for other in others)


def test_rows_are_those_that_were_encoded(rows_csv: Path, encoder: PromptEncoder) -> None:
    table = load_table(str(rows_csv), "train")
    encoded = encode_table(table, encoder, "train", row_limit=500)
    assert [[article] for article in encoded] == encoder.encode_articles(group_by_article(table), "train")
    assert encoded[1:] == [encoded[1], encoded[2]] and encoded[-1] == encoded[2]
    assert encoded.lengths == [len(article) for article in encoded]


def test_korquad(korquad, encoder: PromptEncoder) -> None:
    encoded = encode_table(korquad, encoder, "train", row_limit=500)
    assert sorted(row for rows in rows_of(encoded) for row in rows) == list(range(len(korquad)))
    assert max(encoded.lengths) <= 500

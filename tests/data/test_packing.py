from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kqa_lightning.data.encoding import EncodedArticle, EncodedQuestion
from kqa_lightning.data.packing import IGNORED, PADDING, PackedBatch, pack, split_article

IDS = st.integers(1, 99)


def tuples(least: int, most: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(IDS, min_size=least, max_size=most).map(tuple)


QUESTIONS = st.builds(EncodedQuestion, st.integers(0, 999), tuples(1, 5), tuples(0, 4))
ARTICLES = st.builds(
    EncodedArticle, tuples(1, 12), st.lists(QUESTIONS, min_size=1, max_size=5).map(tuple), st.just(False)
)


def separate_rows(article: EncodedArticle) -> list[tuple[list[int], list[int]]]:
    """Ids and labels of each question on its own, as a trainer without packing would make them."""
    rows = []
    for question in article.questions:
        prompt = list(article.prefix_ids + question.question_ids)
        ids = prompt + list(question.answer_ids)
        labels = [IGNORED] * len(prompt) + list(question.answer_ids)
        rows.append((ids, [*labels[1:], IGNORED]))  # the label of a position is the next id
    return rows


@given(st.lists(ARTICLES, min_size=1, max_size=4))
def test_each_question_sees_what_it_would_see_alone(articles: list[EncodedArticle]) -> None:
    batch = pack(articles, pad_id=0)
    assert batch.articles == tuple(articles)
    assert batch.input_ids.shape == (len(articles), max(map(len, articles)))
    for row, article in enumerate(articles):
        for number, (ids, labels) in enumerate(separate_rows(article), start=1):
            seen = (batch.segments[row] == 0) | (batch.segments[row] == number)
            assert batch.input_ids[row][seen].tolist() == ids
            assert batch.position_ids[row][seen].tolist() == list(range(len(ids)))
            assert batch.labels[row][batch.segments[row] == number].tolist() == labels[len(article.prefix_ids) :]
        assert (batch.labels[row][batch.segments[row] == 0] == IGNORED).all()


@given(st.lists(ARTICLES, min_size=1, max_size=4))
def test_padding_and_counts(articles: list[EncodedArticle]) -> None:
    batch = pack(articles, pad_id=7)
    for row, article in enumerate(articles):
        padding = torch.arange(batch.input_ids.shape[1]) >= len(article)
        assert ((batch.segments[row] == PADDING) == padding).all()
        assert (batch.input_ids[row][padding] == 7).all()
        assert (batch.labels[row][padding] == IGNORED).all()
        assert (batch.position_ids[row][padding] == 0).all()
    assert sum(batch.answer_lengths) == int((batch.labels != IGNORED).sum())
    assert batch.answer_lengths == [
        len(q.answer_ids) for article in articles for q in article.questions if q.answer_ids
    ]
    for tensor in (batch.input_ids, batch.position_ids, batch.segments, batch.labels):
        assert tensor.dtype == torch.int64


def test_end_token_is_supervised_where_it_is_also_the_pad_token() -> None:
    question = EncodedQuestion(0, (5,), (6, 2))
    batch = pack([EncodedArticle((1,), (question,), False), EncodedArticle((1, 1, 1), (question,), False)], pad_id=2)
    assert batch.labels[0].tolist() == [IGNORED, 6, 2, IGNORED, IGNORED, IGNORED]


def test_to() -> None:
    question = EncodedQuestion(0, (5,), (6, 2))
    batch = pack([EncodedArticle((1,), (question,), False)], pad_id=0)
    moved = batch.to(torch.device("meta"), non_blocking=True)
    assert isinstance(moved, PackedBatch) and moved.articles is batch.articles
    assert moved.labels.device.type == moved.segments.device.type == "meta" and batch.labels.device.type == "cpu"


@given(ARTICLES, st.integers(1, 60))
def test_split_articles_keep_the_budget(article: EncodedArticle, limit: int) -> None:
    rows = split_article(article, limit)
    assert [question for row in rows for question in row.questions] == list(article.questions)
    for row in rows:
        assert row.prefix_ids == article.prefix_ids and row.questions
        assert len(row) <= limit or len(row.questions) == 1
    for one, following in pairwise(rows):
        assert len(one) + len(following.questions[0]) > limit  # no more rows than needed


@pytest.mark.parametrize(("limit", "rows"), [(14, 1), (13, 2), (8, 3), (1, 3)])
def test_split_at_the_exact_budget(limit: int, rows: int) -> None:
    questions = tuple(EncodedQuestion(row, (1, 2), (3, 4)) for row in range(3))
    assert len(split_article(EncodedArticle((9, 9), questions, True), limit)) == rows

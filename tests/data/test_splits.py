import random

import datasets
import pytest

from kqa_lightning.data.splits import article_key, split_articles, split_folds
from kqa_lightning.errors import KQAError

CONTEXTS = [f"기사 {number}" for number in range(40) for _ in range(1 + number % 4)]


def articles_of(rows: list[int], contexts: list[str]) -> set[str]:
    return {contexts[row] for row in rows}


def test_every_row_once_and_articles_whole() -> None:
    train, val = split_articles(CONTEXTS, 0.25, seed=0)
    assert sorted(train + val) == list(range(len(CONTEXTS)))
    assert not articles_of(train, CONTEXTS) & articles_of(val, CONTEXTS)
    assert len(articles_of(val, CONTEXTS)) == 10


def test_stable_under_row_order_and_different_by_seed() -> None:
    shuffled = random.Random(1).sample(CONTEXTS, len(CONTEXTS))
    val = articles_of(split_articles(CONTEXTS, 0.25, seed=0)[1], CONTEXTS)
    assert articles_of(split_articles(shuffled, 0.25, seed=0)[1], shuffled) == val
    assert articles_of(split_articles(CONTEXTS, 0.25, seed=1)[1], CONTEXTS) != val


def test_articles_that_differ_in_white_space_width_or_case_stay_together() -> None:
    same = ["A사는 크다.", " Ａ사는\n크다. ", "a사는  크다."]
    assert len({article_key(context) for context in same}) == 1
    train, val = split_articles([*same, "다른 기사"], 0.5, seed=0)
    assert set(range(3)) in (set(train), set(val))


@pytest.mark.parametrize("fraction", [0.001, 0.999])
def test_both_sides_have_an_article(fraction: float) -> None:
    train, val = split_articles(["a", "b"], fraction, seed=0)
    assert len(train) == len(val) == 1


def test_one_article_cannot_be_split() -> None:
    with pytest.raises(KQAError, match=r"--data\.val_path"):
        split_articles(["a", "a "], 0.5, seed=0)


def test_korquad_has_no_article_on_both_sides(korquad: datasets.Dataset) -> None:
    contexts = korquad["context"][:]
    train, val = split_articles(contexts, 0.1, seed=0)
    assert not {article_key(contexts[row]) for row in train} & {article_key(contexts[row]) for row in val}
    assert 0.07 < len(val) / len(contexts) < 0.13


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_folds_hold_every_row_once_and_articles_whole(folds: int) -> None:
    contexts = [f"기사 {number % 11}" for number in range(40)]
    parts = split_folds(contexts, folds, seed=1)
    assert sorted(row for part in parts for row in part) == list(range(40))
    articles = [{contexts[row] for row in part} for part in parts]
    assert sum(map(len, articles)) == 11
    assert max(map(len, articles)) - min(map(len, articles)) <= 1
    assert all(part == sorted(part) for part in parts)


def test_folds_are_stable_under_row_order_and_different_by_seed() -> None:
    contexts = [f"기사 {number}" for number in range(20)]
    first = [{contexts[row] for row in part} for part in split_folds(contexts, 4, seed=0)]
    backwards = contexts[::-1]
    assert [{backwards[row] for row in part} for part in split_folds(backwards, 4, seed=0)] == first
    assert [{contexts[row] for row in part} for part in split_folds(contexts, 4, seed=1)] != first


@pytest.mark.parametrize("folds", [0, 1, 4])
def test_folds_that_cannot_be_made(folds: int) -> None:
    with pytest.raises(KQAError, match="make 2 to 3"):
        split_folds(["가", "나", "다"], folds, seed=0)


def test_one_article_makes_no_folds() -> None:
    with pytest.raises(KQAError, match=r"^the training table has one article, .* in --data\.train_path$"):
        split_folds(["가", "가 "], 2, seed=0)

"""The questions that are drawn to learn from: whole articles, two at least, whatever the order of the rows."""

import random

import numpy as np
import pytest

from kqa_lightning.ensemble import drawing
from kqa_lightning.ensemble.drawing import draw


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "LEARN_FROM", 60)


def drawn(articles: dict[str, int], seed: int = 0, order: int | None = None) -> set[str]:
    """The ids drawn from {id: article}, in an order of their own if one is given."""
    names = list(articles)
    if order is not None:
        random.Random(order).shuffle(names)
    chosen = draw(names, [articles[name] for name in names], seed)
    return {name for name, kept in zip(names, chosen.tolist(), strict=True) if kept}


def test_a_small_table_is_taken_whole() -> None:
    assert draw(["a", "b"], [0, 0], 0).tolist() == [True, True]
    assert draw([str(place) for place in range(60)], list(range(60)), 3).all()


def test_articles_are_whole() -> None:
    articles = {f"q{place}": place % 50 for place in range(350)}
    found = drawn(articles)
    taken = {articles[name] for name in found}
    assert found == {name for name, article in articles.items() if article in taken}
    assert len(taken) == 9  # of seven questions each, the first that make sixty


def test_two_articles_at_least() -> None:
    articles = {f"q{place}": int(place >= 1000) for place in range(1010)}
    for seed in range(8):
        found = drawn(articles, seed)
        assert sum(articles[name] for name in found) == 10 and len(found) == 40  # half of sixty of the large one
    assert len(drawn({f"q{place}": place % 2 for place in range(1000)})) == 60


@pytest.mark.parametrize("articles", [1000, 40, 3])
def test_neither_order_nor_anything_but_the_seed_matters(articles: int) -> None:
    table = {f"q{place}": place % articles for place in range(1000)}
    assert drawn(table) == drawn(table, order=1) == drawn(table, order=2)
    assert drawn(table) != drawn(table, seed=1)
    assert np.array_equal(draw(list(table), list(table.values()), 5), draw(list(table), list(table.values()), 5))

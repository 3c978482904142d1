"""What is computed once, what together, and what is done where that is too much for the memory."""

from collections.abc import Callable, Iterator

import pytest
import torch
from answer_cases import ARTICLES as ALL
from answer_cases import GREEDY, generator
from peft import PeftModel
from random_models import random_article

from kqa_lightning.data.encoding import EncodedArticle, EncodedQuestion
from kqa_lightning.errors import KQAError
from kqa_lightning.model.answering import Decoding, TokenBudget
from kqa_lightning.model.groups import alike, first_prefixes, first_rows, share_prefixes, tokens_of


def article(prefix: tuple[int, ...], *questions: tuple[int, ...]) -> EncodedArticle:
    return EncodedArticle(prefix, tuple(EncodedQuestion(i, ids, ()) for i, ids in enumerate(questions)), False)


@pytest.mark.parametrize(
    ("questions", "shared", "own"),
    [
        (((5, 6, 7), (5, 6, 8, 9)), (1, 5, 6), [(8, 9), (7,)]),
        (((5, 6), (5, 6)), (1, 5), [(6,), (6,)]),  # the last token is asked of each
        (((5,), (5, 6)), (1,), [(5, 6), (5,)]),
        (((5, 6, 7),), (1,), [(5, 6, 7)]),  # one question shares with none
        (((5, 6), (7, 6)), (1,), [(5, 6), (7, 6)]),
    ],
)
def test_what_questions_begin_with_is_theirs_together(
    questions: tuple[tuple[int, ...], ...], shared: tuple[int, ...], own: list[tuple[int, ...]]
) -> None:
    (prefix,) = share_prefixes([article((1,), *questions)])
    assert prefix.ids == shared
    assert [row.own for row in prefix.rows] == own
    assert {(row.shared, len(row)) for row in prefix.rows} == {(len(shared), len(shared) + len(ids)) for ids in own}


def test_the_longest_come_first_and_know_where_they_belong() -> None:
    articles = [
        article((1,) * 3, (2,)),
        article((1,)),
        article((1,) * 5, (2, 3), (4, 5, 6), (7,)),
        article((1,) * 4, (2,)),
    ]
    prefixes = share_prefixes(articles)
    assert [len(prefix.ids) for prefix in prefixes] == [5, 4, 3]
    assert [[(row.article, row.index) for row in prefix.rows] for prefix in prefixes] == [
        [(2, 1), (2, 0), (2, 2)],
        [(3, 0)],
        [(0, 0)],
    ]


@pytest.mark.parametrize("copies", [False, True])
def test_groups_are_as_large_as_their_limit_allows(copies: bool) -> None:
    prefixes = share_prefixes([random_article(i, 10 + i, [(3 + i, 0), (1, 0)]) for i in range(6)])
    assert [first_prefixes(prefixes, limit) for limit in (1, 15, 44, 45, 10**6)] == [1, 1, 2, 3, 6]
    rows = sorted((row for prefix in prefixes for row in prefix.rows), key=len, reverse=True)
    for limit in (1, 40, 100, 250, 10**6):
        count = first_rows(rows, limit, 4, 2, copies=copies)
        assert count == 1 or tokens_of(rows[:count], 4, 2, copies=copies) <= limit
        assert count == len(rows) or tokens_of(rows[: count + 1], 4, 2, copies=copies) > limit


def test_what_is_computed_together_is_of_about_one_length() -> None:
    def runs(lengths: list[int]) -> list[list[int]]:
        return [lengths[run] for run in alike(lengths)]

    assert runs([1000, 900, 800, 799, 700, 600, 8, 1]) == [[1000, 900, 800], [799, 700], [600], [8, 1]]
    assert runs([10, 2, 1]) == [[10, 2], [1]]
    assert runs([7]) == [[7]]
    assert [slice(0, 2), slice(2, 3)] == list(alike([10, 9, 9], most=20))
    assert [slice(0, 1), slice(1, 3), slice(3, 4)] == list(alike([10, 5, 5, 5], most=11))


def test_an_article_that_is_shared_is_not_counted_again() -> None:
    (prefix,) = share_prefixes([article((1,) * 100, (2, 3, 4), (5, 6), (7,))])
    assert tokens_of(prefix.rows, 10, 2, copies=False) == 3 * 2 * (3 + 10)
    assert tokens_of(prefix.rows, 10, 2, copies=True) == 3 * 2 * (3 + 10 + 100)


def test_the_beginning_of_questions_is_computed_once(make_model: Callable[..., PeftModel]) -> None:
    model = make_model("gemma2").eval()
    start = (11, 12, 13, 14, 15)
    asked = [(*start, 20, 21), (*start, 30), (*start, 40, 41, 42)]
    shapes = []
    model.get_input_embeddings().register_forward_hook(lambda module, args, output: shapes.append(tuple(args[0].shape)))
    one = article(random_article(9, 40, []).prefix_ids, *asked)
    (found,) = generator(model).generate_all([one])
    assert shapes[:2] == [(1, 45), (1, 2 + 1 + 3)]
    alone = [generator(model).generate_all([article(one.prefix_ids, ids)])[0][0] for ids in asked]
    assert [[one.token_ids for one in each] for each in found] == [[one.token_ids for one in each] for each in alone]


# --- out of memory ---------------------------------------------------------------------------------------------------


class Small:
    """Makes a model raise what a GPU without room does, above so many rows, or columns, of a forward pass."""

    def __init__(self, model: PeftModel, rows: int, columns: int = 10**6) -> None:
        self.model, self.rows, self.columns = model, rows, columns
        self.refused: list[tuple[int, ...]] = []
        self.done: list[tuple[int, ...]] = []

    def __enter__(self) -> "Small":
        self._handle = self.model.get_input_embeddings().register_forward_hook(self._check)
        return self

    def __exit__(self, *args: object) -> None:
        self._handle.remove()

    def _check(self, module: object, args: tuple[torch.Tensor], output: object) -> None:
        rows, columns = args[0].shape
        too_much = rows > self.rows or rows * columns > self.columns
        (self.refused if too_much else self.done).append((rows, columns))
        if too_much:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


ARTICLES = ALL[:3]
HOW = {"greedy": GREEDY, "beam": Decoding(12, 3), "sampling": Decoding(12, 3, "sampling")}


@pytest.fixture(scope="module")
def model(make_model: Callable[..., PeftModel]) -> Iterator[PeftModel]:
    yield make_model("gemma2", "none").eval()


@pytest.mark.parametrize("rows", [3, 5])
@pytest.mark.parametrize("how", HOW)
def test_what_is_too_much_is_halved_and_nothing_is_lost(model: PeftModel, rows: int, how: str) -> None:
    expected = generator(model, how=HOW[how]).generate_all(ARTICLES)
    ours = generator(model, how=HOW[how])
    with Small(model, rows) as small:
        found = ours.generate_all(ARTICLES)
        assert small.refused
        small.refused.clear()
        again = ours.generate_all(ARTICLES)
        assert not small.refused, "the limit is remembered"
    ids = [[[[one.token_ids for one in c] for c in answers] for answers in run] for run in (expected, found, again)]
    assert ids[0] == ids[1] == ids[2]
    assert ours.budget.answers < TokenBudget().answers


def test_articles_are_halved_too(model: PeftModel) -> None:
    articles = [random_article(seed, 40 - seed, [(3, 0), (5, 0)]) for seed in range(3)]  # one run
    expected = generator(model).generate_all(articles)
    ours = generator(model)
    with Small(model, rows=100, columns=110) as small:
        found = ours.generate_all(articles)
        assert small.refused
    assert [[c[0].token_ids for c in one] for one in found] == [[c[0].token_ids for c in one] for one in expected]
    assert ours.budget.articles < TokenBudget().articles


def test_others_with_the_same_budget_know(model: PeftModel) -> None:
    first, second = generator(model), generator(model)
    second.budget = first.budget
    with Small(model, rows=4) as small:
        first.generate_all(ARTICLES)
        small.refused.clear()
        second.generate_all(ARTICLES)
        assert not small.refused


def test_one_question_or_article_that_is_too_much_is_told(model: PeftModel) -> None:
    with Small(model, rows=2), pytest.raises(KQAError, match=r"one question of .*lower --model.num_candidates"):
        generator(model, how=HOW["beam"]).generate_all(ARTICLES)
    with (
        Small(model, rows=100, columns=30),
        pytest.raises(KQAError, match=r"one article of 40 tokens .*lower --data.max"),
    ):
        generator(model).generate_all(ARTICLES)
    generator(model).generate_all(ARTICLES)  # the model is as it was

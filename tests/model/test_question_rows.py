from collections.abc import Callable

import pytest
from answer_cases import ARTICLES, generated, generator
from peft import PeftModel

from kqa_lightning.data.encoding import EncodedArticle, EncodedQuestion
from kqa_lightning.model import forward, question_rows
from kqa_lightning.model.answering import Decoding


@pytest.fixture(scope="module", params=["gemma2", "llama"])
def model(request: pytest.FixtureRequest, make_model: Callable[..., PeftModel]) -> PeftModel:
    return make_model(request.param).eval()


def rows_and_columns(model: PeftModel, answer: Callable[[], object]) -> list[tuple[int, int]]:
    """The shapes of what a model computes meanwhile, but for single tokens."""
    shapes: list[tuple[int, int]] = []
    hook = model.get_input_embeddings().register_forward_hook(
        lambda module, args, output: shapes.append(tuple(args[0].shape))
    )
    answer()
    hook.remove()
    return [shape for shape in shapes if shape[1] > 1]


def test_the_questions_of_an_article_stand_in_one_row(model: PeftModel) -> None:
    shapes = rows_and_columns(model, lambda: generator(model).generate_all(ARTICLES[:1]))
    assert shapes == [(1, 40), (1, 6 + 11 + 1)]


@pytest.mark.parametrize("columns_at_once", [1, 150, 10**6])
@pytest.mark.parametrize("in_a_row", [1, 12, 30])
def test_rows_of_any_number_of_questions_give_the_same_answers(
    model: PeftModel, monkeypatch: pytest.MonkeyPatch, in_a_row: int, columns_at_once: int
) -> None:
    expected = [[generated(model, article, question) for question in article.questions] for article in ARTICLES]
    monkeypatch.setattr(question_rows, "_IN_A_ROW", in_a_row)
    monkeypatch.setattr(forward, "_CPU_COLUMNS", columns_at_once)
    found = generator(model).generate_all(ARTICLES)
    assert [[answer.token_ids for (answer,) in article] for article in found] == expected


def test_no_row_has_more_questions_than_pay(model: PeftModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(question_rows, "_IN_A_ROW", 20)
    (_, *asked) = rows_and_columns(model, lambda: generator(model).generate_all(ARTICLES[4:5]))
    assert sum(rows for rows, _ in asked) > 1
    assert all(columns <= 20 for _, columns in asked)


def test_a_question_leaves_no_trace_in_those_behind_it(model: PeftModel) -> None:
    """Bit by bit, whatever stands in another question of the same length."""
    article = ARTICLES[0]
    changed = [list(question.question_ids) for question in article.questions]
    changed[0] = [token + 1 for token in changed[0]]

    def logprobs(asked: list[list[int]]) -> list[float]:
        rows = tuple(EncodedQuestion(number, tuple(ids), ()) for number, ids in enumerate(asked))
        (found,) = generator(model, how=Decoding(1)).generate_all([EncodedArticle(article.prefix_ids, rows, False)])
        return [answer.logprob_sum for (answer,) in found]

    before = logprobs([list(question.question_ids) for question in article.questions])
    after = logprobs(changed)
    assert before[0] != after[0]
    assert before[1:] == after[1:]

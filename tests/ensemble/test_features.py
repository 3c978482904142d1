"""The columns that stacking learns from, on one question worked by hand and on loops."""

import math

import numpy as np
import pytest
from pools import pool_of, random_pool, single

from kqa_lightning.ensemble import features
from kqa_lightning.ensemble.article_clues import CLUES, Clues
from kqa_lightning.ensemble.features import numeric_features, question_features, text_features
from kqa_lightning.ensemble.hypotheses import Hypotheses
from kqa_lightning.ensemble.pairwise import Floats
from kqa_lightning.ensemble.questions import Question
from kqa_lightning.ensemble.voting import count_votes
from kqa_lightning.metrics.functional import char_f1, normalize_answer

A = [[("25명", -0.5), ("1710명", -2.0)]]
B = [[("'25명'", -1.0)]]
C = [[("", math.nan), ("25명", math.nan)]]


def columns(found: tuple[list[str], Floats]) -> dict[str, list[float]]:
    names, values = found
    assert len(set(names)) == len(names) == values.shape[1]
    return {name: values[:, place].tolist() for place, name in enumerate(names)}


def test_numeric_features_by_hand() -> None:
    found = columns(numeric_features(Hypotheses(pool_of({"a": A, "b": B, "c": C}))))
    first = 1 / (1 + math.exp(-1.5))  # what a gives to 25명, and the rest to 1710명; c gives it half
    assert found["F1 with a"] == pytest.approx([first + (1 - first) / 4, 1 - first + first / 4, 0])
    assert found["F1 with b"] == [1, 0.25, 0]
    assert found["F1 with c"] == [0.5, 0.125, 0]
    assert found["F1 elsewhere"] == pytest.approx([(1 - first) / 4, first / 4 + 0.375, 0])
    assert found["expected F1"] == pytest.approx([first + (1 - first) / 4 + 1.5, 1 - first + first / 4 + 0.375, 0])
    assert found["votes"] == [2, 0, 1] and found["proposers"] == [3, 1, 1] and found["hypotheses"] == [3, 3, 3]
    assert found["vote of a"] == [1, 0, 0] and found["vote of c"] == [0, 0, 1]
    np.testing.assert_array_equal(found["sum of a"], [-0.5, -2.0, math.nan])
    np.testing.assert_array_equal(found["sum of b"], [-1.0, math.nan, math.nan])
    np.testing.assert_array_equal(found["sum of c"], [math.nan] * 3)
    np.testing.assert_array_equal(found["rank of c"], [-1, math.nan, 0])
    np.testing.assert_allclose(found["mean of a"], [-0.5 / 3, -2.0 / 5, math.nan])  # pool_of divides by the length
    np.testing.assert_allclose(found["mean of b"], [-1.0 / 5, math.nan, math.nan])
    np.testing.assert_array_equal(found["mean of c"], [math.nan] * 3)
    assert found["expected F1, lead"][0] == 0 and found["expected F1, lead"][2] < 0


def test_a_duplicate_has_its_best_score() -> None:
    pool = pool_of({"a": [[("가", -3.0), ("'가'", -1.0)]], "b": [[("나", -1.0)]]})
    np.testing.assert_array_equal(columns(numeric_features(Hypotheses(pool)))["sum of a"], [-1.0, math.nan])


def test_agreement_with_single_answers_is_a_sum_of_f1() -> None:
    pool = random_pool(200, models=4, most=1, seed=9)
    hypotheses = Hypotheses(pool)
    found = columns(numeric_features(hypotheses))
    for place, first in enumerate(hypotheses.first):
        answers = pool.answers[4 * pool.question[first] : 4 * pool.question[first] + 4]
        text = normalize_answer(pool.answers[first])
        same = [normalize_answer(answer) == text for answer in answers]
        others = [char_f1(text, answer) for answer, equal in zip(answers, same, strict=True) if not equal]
        assert found["F1 elsewhere"][place] == pytest.approx(math.fsum(others), abs=1e-12)
        assert found["votes"][place] == sum(same)
        assert not text or found["votes"][place] == len(count_votes(answers)[text])


def test_text_features(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = ["1,200억원", "3.5%", "12월 3일", "25 명", "김철수 대표"]
    pool = single({str(number): [answer] for number, answer in enumerate(answers)})
    hypotheses = Hypotheses(pool)
    found = columns(text_features(hypotheses, np.arange(len(hypotheses))))
    monkeypatch.setattr(features, "_FORMS_AT_ONCE", 2)
    np.testing.assert_array_equal(text_features(hypotheses, np.arange(5))[1], np.stack(list(found.values()), axis=1))
    assert found["characters"] == [6, 2, 5, 3, 5] and found["words"] == [1, 1, 2, 2, 2]
    assert found["characters, lead"] == pytest.approx([1.8, -2.2, 0.8, -1.2, 0.8])
    assert found["digits"] == [4, 2, 3, 2, 0]
    some = text_features(hypotheses, np.array([1, 4]))[1]
    np.testing.assert_array_equal(some, text_features(hypotheses, np.arange(5))[1][[1, 4]])
    units = [[found[name][place] for name in ("money", "percent", "date", "count")] for place in range(5)]
    assert units == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("answer", "unit"),
    [
        *((answer, "money") for answer in ("3,500원", "955억 원", "100만 달러", "20여 원", "5천만원")),
        *((answer, "percent") for answer in ("3.5%", "0.2%p", "두 배", "3배", "12퍼센트", "0.5 포인트", "1.5%포인트")),
        *((answer, "") for answer in ("직원", "병원", "위원", "대학원", "선배", "재배", "지원")),
    ],
)
def test_units_follow_numbers(answer: str, unit: str) -> None:
    found = columns(text_features(Hypotheses(single({"a": [answer], "b": [answer]})), np.arange(1)))
    assert [name for name in ("money", "percent") if found[name][0]] == ([unit] if unit else [])


def test_question_features() -> None:
    pool = single({"a": ["3일", "가람"], "b": ["'3일'", "없음"]})
    article = "가람은 3일 문을 열었다. 가람은 새 이름이다."
    table = {"0": Question(article, "가람은 언제 문을 열었나?"), "1": Question(article, "이름은 무엇인가?")}
    names, values = question_features(Hypotheses(pool), np.arange(3), table)
    found = columns((names, values))
    assert found["asks when"] == [1, 0, 0] and found["asks what"] == [0, 1, 1] and found["asks who"] == [0, 0, 0]
    for row, (question, answer) in enumerate((("0", "3일"), ("1", "가람"), ("1", "없음"))):
        expected = Clues(article, table[question].question or "").of(answer)
        np.testing.assert_array_equal(values[row, -len(CLUES) :], expected)
    np.testing.assert_array_equal(question_features(Hypotheses(pool), np.array([0, 2]), table)[1], values[[0, 2]])
    for unknown in (Question(article, None), Question(None, "언제?"), None):
        half = {"1": table["1"]} | ({"0": unknown} if unknown else {})
        found_values = question_features(Hypotheses(pool), np.arange(3), half)[1]
        assert np.isnan(found_values[0]).all()
        np.testing.assert_array_equal(found_values[1:], values[1:])


def test_many_questions_are_looked_up_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    hypotheses = Hypotheses(random_pool(50, models=3, most=4, seed=7))
    questions = hypotheses.pool.questions
    table = {name: Question(f"{name}번 글은 가나다 라마바이다.", "무엇인가?") for name in questions[::2]}
    rows = np.arange(0, len(hypotheses), 2)
    whole = question_features(hypotheses, rows, table)
    monkeypatch.setattr(features, "_AT_ONCE", 7)
    parts = question_features(hypotheses, rows, table)
    assert parts[0] == whole[0]
    np.testing.assert_array_equal(parts[1], whole[1])

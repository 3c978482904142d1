"""Where answers stand, worked by hand."""

import math

import pytest

from kqa_lightning.ensemble.article_clues import CLUES, Clues

ARTICLE = (
    "가람전자는 3일 새 공장을 짓는다고 밝혔다. 누리은행의 순이익은 1,200억 원이었다.\n"
    "가람전자의 순이익은 '350억원'이다!"
)


def clues(answer: str, question: str = "가람전자의 순이익은 얼마인가?") -> dict[str, float]:
    return dict(zip(CLUES, Clues(ARTICLE, question).of(answer), strict=True))


def test_the_sentence_that_speaks_of_what_is_asked_is_nearest() -> None:
    right, wrong = clues("350억원"), clues("1200억원")
    assert right["in article"] == wrong["in article"] == 1
    assert right["nearness"] > wrong["nearness"] and right["nearness lead"] > 0 > wrong["nearness lead"]
    assert right["nearness"] == pytest.approx(1.0)  # all that the article has of the question is in that sentence
    assert (right["place"], wrong["place"]) == (pytest.approx(2 / 3), pytest.approx(1 / 3))


def test_spaces_and_punctuation_do_not_hide_an_answer() -> None:
    assert clues("1200억원")["in article"] == 1 and clues("1200억원")["is whole word"] == 0
    assert clues("1200억 원")["is whole word"] == 1


def test_occurrences_and_words() -> None:
    assert clues("가람전자")["occurrences"] == 2 and clues("가람전자")["in question"] == 1
    assert clues("람전자")["is whole word"] == 0 and clues("가람")["is whole word"] == 1


def test_a_part_of_a_number_is_no_word() -> None:
    article = "참석자는 30명이고 3일 왔다."
    whole = {answer: Clues(article, "?").of(answer)[CLUES.index("is whole word")] for answer in ("3", "30", "30명")}
    assert whole == {"3": 1, "30": 1, "30명": 1}
    assert Clues("참석자는 30명이다.", "?").of("3")[CLUES.index("is whole word")] == 0


def test_distance_counts_the_characters_between() -> None:
    found = dict(zip(CLUES, Clues("가나 다라 마바 사아", "가나는?").of("마바"), strict=True))
    assert found["distance"] == 4  # 가나다라
    twice = dict(zip(CLUES, Clues("마바 가나 다라 마바", "가나는?").of("마바"), strict=True))
    assert twice["distance"] == 2


@pytest.mark.parametrize("answer", ["없는 답", ""])
def test_an_answer_that_is_not_there(answer: str) -> None:
    found = clues(answer)
    assert [found[name] for name in CLUES[1:4]] == [0, 0, 0]
    assert all(math.isnan(found[name]) for name in CLUES[4:])


@pytest.mark.parametrize(("context", "question"), [("", ""), ("?", "가"), ("가", "?"), ("가. 가. 가.", "가나다")])
def test_hardly_any_text(context: str, question: str) -> None:
    for answer in ("", "가", "가 나"):
        found = Clues(context, question).of(answer)
        assert len(found) == len(CLUES) and not any(map(math.isinf, found))

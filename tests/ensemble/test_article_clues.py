"""Where answers stand, worked by hand."""

import math
import random
import re

import pytest

from kqa_lightning.ensemble.article_clues import CLUES, Clues
from kqa_lightning.metrics.functional import normalize_answer

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


def pairs_of(text: str) -> set[str]:
    return {word[place : place + 2] for word in text.split() for place in range(len(word) - 1)}


def spots_of(text: str, line: str) -> list[int]:
    return [spot for spot in range(len(line)) if line.startswith(text, spot)]


def sentence_by_sentence(context: str, question: str, answer: str) -> list[float]:
    """The same as `Clues.of`, by the letter of what is said of each clue."""
    lines = [*filter(None, map(normalize_answer, re.split(r"(?<=[.?!])\s+|\n+", context)))]
    pairs = [pairs_of(line) for line in lines]
    rarity = {pair: math.log((1 + len(lines)) / sum(pair in its for its in pairs)) for pair in set().union(*pairs)}
    asked = {pair for pair in pairs_of(normalize_answer(question)) if pair in rarity}
    total = math.fsum(rarity[pair] for pair in asked) or 1.0
    nearness = [math.fsum(rarity[pair] for pair in asked & its) / total for its in pairs]
    text = answer.replace(" ", "")
    in_question = float(bool(text) and text in normalize_answer(question).replace(" ", ""))
    letters = [line.replace(" ", "") for line in lines]
    holding = [place for place, line in enumerate(letters) if text and text in line]
    if not holding:
        return [in_question, 0.0, 0.0, 0.0, *[math.nan] * 4]
    best = max(holding, key=lambda place: nearness[place])
    words = [
        not (answer[-1].isdigit() and f"{line} "[spot + len(answer)].isdigit())
        for line in lines
        for spot in spots_of(f" {answer}", f" {line} ")
    ]
    known = [pair for pair in asked & pairs[best] if pair not in text]
    distance = math.nan
    if known:
        rarest = [pair for pair in known if rarity[pair] == max(rarity[one] for one in known)]
        starts = spots_of(text, letters[best])
        distance = float(min(abs(start - letters[best].find(pair)) for start in starts for pair in rarest))
    others = [near for place, near in enumerate(nearness) if place not in holding]
    return [
        *(in_question, 1.0, float(any(words)), float(sum(line.count(text) for line in letters))),
        *(best / len(lines), nearness[best], nearness[best] - max(others, default=0.0), distance),
    ]


def test_equals_what_is_found_sentence_by_sentence() -> None:
    chance = random.Random(8)
    present = far = 0
    for _ in range(400):
        alphabet = chance.choice(["가나 3.", "가나다라 12. ?\n", "가나다라마바사아자차 0123456789.'\n  "])
        context = "".join(chance.choices(alphabet, k=chance.randint(0, 80)))
        question = "".join(chance.choices(alphabet, k=chance.randint(0, 20)))
        clues_to = Clues(context, question)
        for _ in range(8):
            start = chance.randrange(len(context) + 1)
            answer = normalize_answer(context[start : start + chance.randint(0, 5)])
            expected = sentence_by_sentence(context, question, answer)
            assert repr(list(clues_to.of(answer))) == repr(expected), (context, question, answer)
            present += expected[1] == 1
            far += expected[-1] > 0
    assert present > 1000 and far > 200

"""The F1 sum against brute force, the deck's rows and the majority."""

import random
from fractions import Fraction

import pytest

from kqa_lightning.ensemble.consensus import F1Sum, VoteF1Sum, f1_sums
from kqa_lightning.ensemble.voting import count_votes
from kqa_lightning.metrics.functional import char_f1, normalize_answer

DECK = [
    (["중국과 일본", "중국과 일본", "중국과 일본"], "중국과 일본"),
    (["25명", "25명", "1710명"], "25명"),
    (["다섯 차례", "14일", "14일, 다섯 차례"], "14일, 다섯 차례"),
    (["공소시효", "선거사범의 공소시효", "선거 수사의 연속성"], "선거사범의 공소시효"),
    (
        [
            "미국 경제 침체도 그 책임을 중국에 전가하게 될 것",
            "코로나19로 인한 미국 경제 침체",
            "노골적인 보호무역주의와 양자주의, 중국에 대한 제재와 미·중 무역갈등은 더욱 심해질 것",
        ],
        "미국 경제 침체도 그 책임을 중국에 전가하게 될 것",
    ),
]


def exact_f1(first: str, second: str) -> Fraction:
    """Character F1 by crossing out: no Counter, no float."""
    wanted = [character for character in normalize_answer(second) if character != " "]
    given = [character for character in normalize_answer(first) if character != " "]
    size, shared = len(given) + len(wanted), 0
    for character in given:
        if character in wanted:
            wanted.remove(character)
            shared += 1
    return Fraction(2 * shared, size) if shared else Fraction(0)


def brute_force_sums(answers: list[str]) -> list[Fraction]:
    """Every answer against every other, one model at a time."""
    return [
        sum((exact_f1(answer, other) for j, other in enumerate(answers) if j != i), Fraction(0))
        for i, answer in enumerate(answers)
    ]


def brute_force(answers: list[str], candidates: list[int]) -> int:
    """The candidate with the largest sum, then with more votes, then the first; an abstention last of all."""
    sums = brute_force_sums(answers)
    texts = [normalize_answer(answer) for answer in answers]
    return max(candidates, key=lambda i: (bool(texts[i]), sums[i], texts.count(texts[i]), -i))


def brute_force_tied(answers: list[str]) -> list[int]:
    texts = [normalize_answer(answer) for answer in answers]
    if not any(texts):
        return list(range(len(answers)))
    votes = [texts.count(text) if text else 0 for text in texts]
    return [i for i, count in enumerate(votes) if count == max(votes)]


def random_sets(count: int, models: tuple[int, ...] = (2, 3, 4, 5, 6, 7)) -> list[list[str]]:
    """Answers of a few characters, so that ties, agreement and nothing at all are common."""
    chance = random.Random(20240823)
    sets = []
    for _ in range(count):
        alphabet = chance.choice(["가나", "가나다라 ", "가나다라마바사아자차 '.", "ab12 %"])
        longest = chance.choice([2, 4, 9])
        sets.append(
            ["".join(chance.choices(alphabet, k=chance.randint(0, longest))) for _ in range(chance.choice(models))]
        )
    return sets


def test_exact_f1_is_char_f1() -> None:
    for first, second, *_ in random_sets(1000):
        assert float(exact_f1(first, second)) == pytest.approx(char_f1(first, second), abs=1e-15)


def test_f1_sum_equals_brute_force() -> None:
    sets = random_sets(10_000)
    ties = empties = 0
    for answers in sets:
        assert F1Sum().choose(answers) == brute_force(answers, list(range(len(answers)))), answers
        sums = brute_force_sums(answers)
        ties += len({normalize_answer(a) for a, s in zip(answers, sums, strict=True) if s == max(sums)}) > 1
        empties += "" in map(normalize_answer, answers)
    assert ties > 500 and empties > 500  # the sets hold what they are for


def test_vote_f1_sum_equals_brute_force() -> None:
    for answers in random_sets(10_000):
        assert VoteF1Sum().choose(answers) == brute_force(answers, brute_force_tied(answers)), answers


def test_sums_of_distinct_answers_are_those_of_their_models() -> None:
    for answers in random_sets(1000):
        votes = count_votes(answers)
        everyone = brute_force_sums(answers)
        for answer, total in f1_sums(votes).items():
            assert all(total == everyone[place] for place in votes[answer])


def test_f1_sum_never_contradicts_a_majority_of_three() -> None:
    majorities = 0
    for answers in random_sets(10_000, models=(3,)):
        texts = [normalize_answer(answer) for answer in answers]
        for text in texts:
            if text and texts.count(text) >= 2:
                majorities += 1
                assert texts[F1Sum().choose(answers)] == texts[VoteF1Sum().choose(answers)] == text
    assert majorities > 1000


def test_f1_sum_may_contradict_a_majority_of_more() -> None:
    answers = ["마바", "가나다라", "가나다", "가나라", "마바"]
    assert VoteF1Sum().choose(answers) == 0
    assert F1Sum().choose(answers) == 1


@pytest.mark.parametrize(("answers", "chosen"), DECK)
@pytest.mark.parametrize("strategy", [F1Sum(), VoteF1Sum()])
def test_deck_rows(strategy: F1Sum | VoteF1Sum, answers: list[str], chosen: str) -> None:
    assert answers[strategy.choose(answers)] == chosen


@pytest.mark.parametrize(
    ("answers", "chosen"),
    [
        (["가나", "다라"], 0),  # two models always tie
        (["국민은행", "은행국민", "국민은행 장"], 0),  # the same characters, the same sum
        (["", "가", "나"], 1),  # an abstention never wins over an answer
        (["?", "!"], 0),
        (["다섯차례", "다섯 차례", "다섯 차례"], 1),  # the same characters, more votes
    ],
)
def test_ties(answers: list[str], chosen: int) -> None:
    assert F1Sum().choose(answers) == chosen

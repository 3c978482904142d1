"""The vectorised character F1 against the pure function, bit for bit."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kqa_lightning.ensemble import pairwise
from kqa_lightning.ensemble.pairwise import AnswerTable, pairwise_f1
from kqa_lightning.metrics.functional import char_f1, exact_match

TRICKY = st.text(st.sampled_from("가나다가 '.,%《aA1١ΣσİßABC\u200b\u0301😀"), max_size=12) | st.text(max_size=6)


def random_answers(count: int) -> list[str]:
    chance = random.Random(1)
    alphabets = ["가나", "가나다라마바 ", "0123456789,.억원", "ab AB'"]
    return ["".join(chance.choices(chance.choice(alphabets), k=chance.randint(0, 12))) for _ in range(count)]


@given(st.lists(st.tuples(TRICKY, TRICKY), max_size=20))
def test_equals_the_pure_function(pairs: list[tuple[str, str]]) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    assert pairwise_f1(first, second).tolist() == [char_f1(a, b) for a, b in pairs]


def test_a_million_pairs_equal_the_pure_function() -> None:
    """All at once, in several steps; compared where chance falls, and at both ends."""
    answers, chance = random_answers(100_000), random.Random(3)
    first, second = (chance.choices(answers, k=1_000_000) for _ in range(2))
    found = pairwise_f1(first, second)
    assert found.shape == (1_000_000,)
    sample = [*chance.sample(range(len(first)), 20_000), 0, len(first) - 1]
    assert found[sample].tolist() == [char_f1(first[place], second[place]) for place in sample]


def test_long_work_is_done_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = random_answers(300), random_answers(301)[1:]
    whole = pairwise_f1(first, second)
    for characters in (1, 7, 100):
        monkeypatch.setattr(pairwise, "_AT_ONCE", characters)
        np.testing.assert_array_equal(pairwise_f1(first, second), whole)


def test_within_sets_equals_the_pure_function() -> None:
    answers = [*random_answers(300), "", "?", "가", "가"]
    table = AnswerTable(answers)
    for size in (1, 2, 4, 8):
        sets = [answers[start : start + size] for start in range(0, len(answers), size)]
        sets = [one for one in sets if len(one) == size]
        found = table.f1_within(np.stack([table.numbers(one) for one in sets]))
        assert found.tolist() == [[[char_f1(a, b) for b in one] for a in one] for one in sets]


def test_one_long_answer_makes_no_matrix_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [*random_answers(62), "".join(map(chr, range(0xAC00, 0xAC00 + 3000))), "가"]
    table = AnswerTable(answers)
    sets = table.numbers(answers).reshape(-1, 2)
    whole, made, zeros = table.f1_within(sets), [], np.zeros

    def noted(shape: tuple[int, ...], *rest: object) -> np.ndarray:
        made.append(np.prod(shape))
        return zeros(shape, *rest)

    monkeypatch.setattr(pairwise, "_AT_ONCE", 4000)
    monkeypatch.setattr(np, "zeros", noted)
    np.testing.assert_array_equal(table.f1_within(sets), whole)
    assert max(made) == 2 * 3000  # the set with it, alone


def test_a_table_keeps_what_it_compares() -> None:
    table = AnswerTable(["'25 명'", "25 명", "가"])
    assert [table.texts[number] for number in table.numbers(["25 명", "가"])] == ["25 명", "가"]


def test_numbers_are_equal_where_answers_match() -> None:
    answers = random_answers(300)
    numbers = AnswerTable(answers).numbers(answers)
    for one, a in zip(numbers, answers, strict=True):
        for other, b in zip(numbers, answers, strict=True):
            assert (one == other) == bool(exact_match(a, b))


def test_nothing_to_compare() -> None:
    assert pairwise_f1([], []).shape == (0,)
    assert AnswerTable([]).numbers([]).shape == (0,)
    assert pairwise_f1(["", "?"], ["", "가"]).tolist() == [0.0, 0.0]


def test_lists_of_different_length_are_no_pairs() -> None:
    with pytest.raises(ValueError, match="there are 1 and 2"):
        pairwise_f1(["가"], ["가", "나"])


def test_many_answers_are_numbered_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [f"'{number}'명" for number in range(20)] + [f"{number} 명" for number in range(20)]
    whole = AnswerTable(answers)
    monkeypatch.setattr(pairwise, "_TO_NORMALIZE", 7)
    parts = AnswerTable(answers)
    assert parts.texts == whole.texts
    assert parts.numbers(answers).tolist() == whole.numbers(answers).tolist() == [*range(20), *range(20)]

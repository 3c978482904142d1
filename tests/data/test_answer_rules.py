"""What of a generated text is the answer, rule by rule."""

import unicodedata
from itertools import combinations

import pytest

from kqa_lightning.data.answer_rules import ANSWER_RULES, answer_is_over, clean_answer

STOPS = ("<end>", "Que", "  ")
RAW = "\n " + unicodedata.normalize("NFD", "이창용") + " 총재Question <end>\r\n한국은행"


@pytest.mark.parametrize(
    ("rules", "answer"),
    [
        (ANSWER_RULES, "이창용 총재"),
        ((), RAW),
        (("first_line",), RAW.lstrip().partition("\r")[0]),
        (("stop_strings",), RAW.partition("Que")[0]),
        (("strip",), RAW.strip()),
        (("compose",), unicodedata.normalize("NFC", RAW)),
        (("compose", "strip", "stop_strings"), "이창용 총재"),
    ],
)
def test_each_rule_does_one_thing(rules: tuple, answer: str) -> None:
    assert clean_answer(RAW, STOPS, rules) == answer
    assert clean_answer(RAW, STOPS, rules[::-1]) == answer


@pytest.mark.parametrize("count", range(len(ANSWER_RULES) + 1))
def test_an_answer_that_is_over_stays_as_it_is(count: int) -> None:
    for rules in combinations(ANSWER_RULES, count):
        for raw in (RAW, f"   {RAW}", RAW.replace(" ", "  ")):
            for end in range(len(raw) + 1):
                if answer_is_over(raw[:end], STOPS, rules):
                    assert clean_answer(raw[:end] + "더", STOPS, rules) == clean_answer(raw[:end], STOPS, rules)


def test_when_an_answer_is_over() -> None:
    assert not answer_is_over("\n \n이창용", STOPS)
    assert answer_is_over("이창용\r", STOPS)
    assert not answer_is_over("  ", STOPS)  # an answer may still begin
    assert answer_is_over("  이창용  ", STOPS)
    assert answer_is_over("  ", STOPS, ["stop_strings"])
    assert answer_is_over("이창용Que", STOPS)
    assert not answer_is_over("이창용Que", STOPS, ["first_line"])
    assert not answer_is_over("이창용\n", STOPS, ["stop_strings", "strip"])

"""What of a generated text is the answer: named rules, each of which can be left out."""

import re
import unicodedata
from collections.abc import Collection, Sequence
from typing import Literal, get_args

AnswerRule = Literal["first_line", "stop_strings", "strip", "compose"]
ANSWER_RULES: tuple[AnswerRule, ...] = get_args(AnswerRule)

_LINE_BREAK = re.compile(r"[\r\n]")


def clean_answer(raw: str, stop_strings: Sequence[str], rules: Collection[AnswerRule] = ANSWER_RULES) -> str:
    """The answer in a generated text.

    ``first_line`` keeps the first line with anything in it, ``stop_strings`` what stands before the first of the
    prompt's stop strings, ``strip`` takes white space off both ends, and ``compose`` writes Hangul in composed form
    (Unicode's NFC), in this order, however they are listed.

    >>> clean_answer(" 이창용 \\n총재", ())
    '이창용'
    >>> clean_answer(" 이창용 \\n총재", (), ["first_line"])
    '이창용 '

    Args:
        raw: What was generated.
        stop_strings: What ends an answer where it occurs.
        rules: Those that apply.
    """
    answer = raw
    if "first_line" in rules:
        answer = _LINE_BREAK.split(answer.lstrip(), maxsplit=1)[0]
    if "stop_strings" in rules:
        for stop in stop_strings:
            answer = answer.partition(stop)[0]
    if "strip" in rules:
        answer = answer.strip()
    return unicodedata.normalize("NFC", answer) if "compose" in rules else answer


def answer_is_over(raw: str, stop_strings: Sequence[str], rules: Collection[AnswerRule] = ANSWER_RULES) -> bool:
    """Whether nothing that is generated after ``raw`` can become part of the answer.

    >>> answer_is_over("\\n이창용", ()), answer_is_over("이창용\\n", ())
    (False, True)
    """
    one_line = "first_line" in rules
    text = raw.lstrip() if one_line else raw  # in which `clean_answer` looks, for stop strings of white space too
    line_over = one_line and _LINE_BREAK.search(text) is not None
    return line_over or ("stop_strings" in rules and any(stop in text for stop in stop_strings))

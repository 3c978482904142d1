"""Choice of the Korean particle that fits the sound a word ends with."""

from __future__ import annotations

import re
from functools import lru_cache

NO_FINAL = 0
RIEUL = 8
OTHER_FINAL = 1

_HANGUL_FIRST = 0xAC00
_HANGUL_LAST = 0xD7A3
_FINALS_PER_SYLLABLE = 28

# How the last digit is read: 영 일 이 삼 사 오 육 칠 팔 구.
_DIGIT_FINALS = {
    "0": OTHER_FINAL,
    "1": RIEUL,
    "2": NO_FINAL,
    "3": OTHER_FINAL,
    "4": NO_FINAL,
    "5": NO_FINAL,
    "6": OTHER_FINAL,
    "7": RIEUL,
    "8": RIEUL,
    "9": NO_FINAL,
}
# Letter names with a final consonant: 엘, 엠, 엔, 알. All others end in a vowel.
_LETTER_FINALS = {"l": RIEUL, "m": OTHER_FINAL, "n": OTHER_FINAL, "r": RIEUL}
# Units after a number are read as words: 킬로그램, 밀리그램, 킬로미터, ...
_UNIT_FINALS = {
    "kg": OTHER_FINAL,
    "mg": OTHER_FINAL,
    "km": NO_FINAL,
    "cm": NO_FINAL,
    "mm": NO_FINAL,
    "ml": NO_FINAL,
}
# Marks that are not read aloud; the sound before them decides.
_SILENT = " \t)]}>'\"’”」』》〉.,"

_PAIRS = {
    "은": ("은", "는"),
    "는": ("은", "는"),
    "이": ("이", "가"),
    "가": ("이", "가"),
    "을": ("을", "를"),
    "를": ("을", "를"),
    "과": ("과", "와"),
    "와": ("과", "와"),
    "아": ("아", "야"),
    "로": ("으로", "로"),
    "으로": ("으로", "로"),
}
# Contracted forms of the past copula: 이었다 -> 였다 after a vowel.
_CONTRACTED = "이었"
# What a question is about, its last syllable in group 1.
_TOPIC = re.compile(r"([가-힣])은(?=\?| (?:누구|무엇|어디|언제|얼마|몇|어느|어떤))")


def final_consonant(word: str) -> int:
    """Return NO_FINAL, RIEUL or OTHER_FINAL for the sound ``word`` ends with."""
    word = word.rstrip(_SILENT)
    if not word:
        return NO_FINAL
    last = word[-1]
    if _HANGUL_FIRST <= ord(last) <= _HANGUL_LAST:
        index = (ord(last) - _HANGUL_FIRST) % _FINALS_PER_SYLLABLE
        return index if index in (NO_FINAL, RIEUL) else OTHER_FINAL
    if last in _DIGIT_FINALS:
        return _number_final(word)
    if last.isascii() and last.isalpha():
        return _latin_final(word)
    return NO_FINAL  # %, ℃, ㎡ are read 퍼센트, 도, 미터


def _number_final(word: str) -> int:
    """Return the final of a number; only 조 (12 to 15 zeros) ends in a vowel."""
    digits = word.replace(",", "")
    zeros = len(digits) - len(digits.rstrip("0"))
    if zeros % 16 >= 12:
        return NO_FINAL
    return _DIGIT_FINALS[word[-1]]


def _latin_final(word: str) -> int:
    """Return the final of a trailing unit (after a digit) or letter."""
    unit = word[-2:].lower()
    if len(word) > 2 and word[-3].isdigit() and unit in _UNIT_FINALS:
        return _UNIT_FINALS[unit]
    return _LETTER_FINALS.get(word[-1].lower(), NO_FINAL)


@lru_cache(maxsize=65536)
def particle(word: str, kind: str) -> str:
    """Return the form of the particle ``kind`` that follows ``word``.

    ``kind`` names either form of a pair (은, 이, 을, 과, 로) or a form of the copula
    that starts with 이 (이다, 이라고, 이며, 이었다), which loses 이 after a vowel. What
    follows a pair's particle may be added to it: 로부터, 로서.
    """
    final = final_consonant(word)
    if kind in _PAIRS and kind not in ("로", "으로"):
        return _PAIRS[kind][0 if final else 1]
    if kind.startswith(("로", "으로")):
        rest = kind.removeprefix("으").removeprefix("로")
        return ("으로" if final == OTHER_FINAL else "로") + rest
    if kind.startswith(_CONTRACTED):
        return kind if final else "였" + kind.removeprefix(_CONTRACTED)
    if kind.startswith("이"):
        return kind if final else kind[1:]
    raise ValueError(f"unknown particle: {kind}")


def attach(word: str, kind: str) -> str:
    """Return ``word`` followed by the fitting form of the particle ``kind``."""
    return word + particle(word, kind)


def mend_topic(question: str) -> str:
    """Give what a question is about its own particle: 대표는 누구 for 대표은 누구.

    A noun phrase becomes a question before it is known what the slot at its end will hold.
    """
    return _TOPIC.sub(lambda match: attach(match[1], "은"), question)

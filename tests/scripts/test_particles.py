"""Particles follow the sound a word ends with, however it is written."""

import pytest
from synthetic_news.particles import attach, mend_topic, particle


@pytest.mark.parametrize(
    ("word", "kind", "expected"),
    [
        ("한빛전자", "은", "는"),
        ("누리은행", "은", "은"),
        ("한빛전자", "이", "가"),
        ("누리은행", "이", "이"),
        ("한빛전자", "을", "를"),
        ("누리은행", "을", "을"),
        ("한빛전자", "과", "와"),
        ("누리은행", "과", "과"),
        ("서울", "로", "로"),
        ("부산", "로", "으로"),
        ("제주", "으로", "로"),
        ("누리은행", "로부터", "으로부터"),
        ("한빛전자", "로부터", "로부터"),
        ("한빛전자", "이라고", "라고"),
        ("누리은행", "이라고", "이라고"),
        ("한빛전자", "이다", "다"),
        ("누리은행", "이며", "이며"),
        ("한빛전자", "이었다", "였다"),
        ("320억원", "이었다", "이었다"),
        ("12억달러", "을", "를"),
        ("3", "은", "은"),
        ("2", "은", "는"),
        ("1", "로", "로"),
        ("7", "로", "로"),
        ("8", "로", "로"),
        ("6", "로", "으로"),
        ("10", "로", "으로"),
        ("1,000", "이", "이"),
        ("1000000000000", "이", "가"),
        ("1.5", "은", "는"),
        ("다온 X3", "은", "은"),
        ("다온 S", "은", "는"),
        ("다온 L", "로", "로"),
        ("다온 L", "을", "을"),
        ("다온 M", "로", "으로"),
        ("다온 R", "이", "이"),
        ("다온 5G", "을", "를"),
        ("12.4%", "은", "는"),
        ("12.4%", "로", "로"),
        ("2%포인트", "이", "가"),
        ("5kg", "을", "을"),
        ("10km", "을", "를"),
        ("30℃", "은", "는"),
        ("누리은행(NURI)", "은", "는"),
        ("누리은행(주)", "이", "가"),
        ("'다온'", "을", "을"),
        ("", "은", "는"),
    ],
)
def test_particle(word: str, kind: str, expected: str) -> None:
    assert particle(word, kind) == expected


def test_attach_keeps_the_word() -> None:
    assert attach("한빛전자", "은") == "한빛전자는"


def test_unknown_particle_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown particle"):
        particle("한빛전자", "도")


@pytest.mark.parametrize(
    ("question", "mended"),
    [
        ("한빛전자의 새 대표은 누구인가?", "한빛전자의 새 대표는 누구인가?"),
        ("한빛전자의 신임 감사은?", "한빛전자의 신임 감사는?"),
        ("한빛전자의 새 사장은 누구인가?", "한빛전자의 새 사장은 누구인가?"),
        ("공장을 지은 회사는 어디인가?", "공장을 지은 회사는 어디인가?"),
    ],
)
def test_a_topic_gets_its_own_particle(question: str, mended: str) -> None:
    assert mend_topic(question) == mended

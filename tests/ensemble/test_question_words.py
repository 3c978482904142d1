"""The kind of every way to ask."""

import pytest

from kqa_lightning.ensemble.question_words import KINDS, question_kind


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("노류텔레콤이 연구소장으로 선임한 인물은 누구인가요?", "who"),
        ("누가 대표로 뽑혔나?", "who"),
        ("할인 행사가 끝나는 날은 언제인가요?", "when"),
        ("몇 월에 시작하나?", "when"),
        ("공장은 몇 년 만에 문을 여나?", "how many"),
        ("회의는 몇 시간 이어졌나?", "how many"),
        ("회의는 몇 시에 시작하나?", "when"),
        ("행사는 며칠에 열리나?", "when"),
        ("인수하는 회사는 어디인가?", "where"),
        ("영업이익 증가율은 얼마인가?", "how much"),
        ("연체율은 몇 퍼센트로 나타났나?", "how many"),
        ("왜 수출이 줄었나?", "why"),
        ("순이익이 줄어든 배경은 무엇인가?", "why"),
        ("사실을 왜곡한 회사의 이름은 무엇인가?", "what"),
        ("왜소한 선수의 이름은 무엇인가?", "what"),
        ("환율 때문에 급등한 품목은 무엇인가?", "what"),
        ("수출이 줄어든 것은 무엇 때문인가?", "why"),
        ("무엇 때문에 수출이 줄었나?", "why"),
        ("배경을 그린 사람은 누구인가?", "who"),
        ("어떻게 해결하기로 했나?", "how"),
        ("어느 나라로 수출하나?", "which"),
        ("제품의 이름은 무엇인가?", "what"),
        ("제품 이름이 뭐야?", "what"),
        ("제품의 이름을 쓰시오.", "other"),
        ("", "other"),
    ],
)
def test_kinds(question: str, kind: str) -> None:
    assert KINDS[question_kind(question)] == kind

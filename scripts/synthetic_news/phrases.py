"""Phrases of several words (causes, aims, features, plans), composed of many parts."""
# ruff: noqa: E501  (lists of words)

from __future__ import annotations

import random
from collections.abc import Callable

from .names import pick
from .particles import attach

_MARKETS = (
    "북미 시장", "유럽 시장", "동남아 시장", "중국 법인", "일본 시장", "국내 시장", "해외 법인", "온라인 채널", "편의점 채널", "면세점",
    "신제품", "주력 제품", "프리미엄 제품", "친환경 제품", "기업 고객", "자회사", "가전 부문", "부품 부문", "서비스 부문", "전력 설비",
)  # fmt: skip
_GOOD_EVENTS = (
    "판매 호조",
    "수요 확대",
    "매출 증가",
    "주문 증가",
    "판매 확대",
    "수요 회복",
    "성장세",
    "점유율 상승",
)
_GOOD_EFFECTS = (
    "공장 가동률 상승",
    "제품 구성 개선",
    "수익성 개선",
    "재고 부담 완화",
    "단가 인상",
    "원가율 하락",
    "생산량 증가",
)
_GOOD_RESULTS = (
    "고정비 절감", "환율 상승 효과", "생산 효율 개선", "원가 구조 개선", "판매 단가 인상", "공장 가동률 상승", "제품 구성 개선", "물류비 감소",
    "재고 부담 완화", "신규 고객 확보", "원자재 가격 안정", "비용 절감",
)  # fmt: skip
_BAD_PRICES = (
    "원자재 가격",
    "전력 요금",
    "금리",
    "환율",
    "원유 가격",
    "부품 가격",
    "곡물 가격",
    "국제 유가",
    "운임",
)
_BAD_COSTS = ("물류비", "인건비", "운송비", "광고비", "연구개발비", "임차료", "이자 비용", "재고 비용")
_BAD_RESULTS = (
    "비용 부담", "소비 위축", "수요 감소", "판매 부진", "수출 감소", "재고 증가", "가동률 하락", "공급 지연", "경쟁 심화", "생산 차질",
    "주문 취소", "투자 위축",
)  # fmt: skip
# What may be done, and the verbs that go with it.
_AIMS = (
    (("해외 시장", "북미 시장", "유럽 시장", "신흥 시장", "프리미엄 시장"), ("공략", "선점", "진출 확대")),
    (("국내 점유율", "생산 능력", "유통망", "온라인 사업", "서비스 지역", "제품군", "해외 판매"), ("확대", "강화")),
    (("기술 경쟁력", "가격 경쟁력", "연구 역량", "품질 관리", "친환경 사업"), ("강화", "확보", "제고")),
    (("부품 공급망", "사업 구조", "수출 지역", "원료 구매처", "매출 구조"), ("다변화", "안정화", "개선")),
    (("연구 인력", "물류 거점", "원천 기술", "신규 고객", "핵심 특허", "안정적 수익원"), ("확보", "확충")),
)  # fmt: skip
# What a product improves, how, and by means of what.
_FEATURES = (
    (("전력 소비를", "소음을", "무게를", "발열을"), ("줄인", "낮춘"), ("모터", "설계", "냉각 기술", "구조", "압축기")),
    (("충전 시간을", "설치 시간을", "처리 시간을"), ("줄인", "단축한"), ("배터리", "설계", "제어 장치", "알고리즘", "칩")),
    (("오류율을", "지연 시간을"), ("줄인", "낮춘"), ("알고리즘", "센서", "제어 장치", "칩", "통신 기술")),
    (("탄소 배출량을", "생산 비용을"), ("줄인", "낮춘"), ("소재", "공정", "원료", "포장재")),
    (("저장 용량을", "사용 시간을", "통신 거리를", "수명을"), ("늘린",), ("배터리", "칩", "설계", "센서", "필터")),
    (("처리 속도를", "화면 밝기를", "인식률을", "내구성을"), ("높인", "끌어올린"), ("칩", "센서", "소재", "알고리즘")),
)  # fmt: skip
_DEFECT_PARTS = (
    "배터리", "제동 장치", "에어백", "조향 장치", "전원 장치", "연료 펌프", "히터", "안전벨트", "문 잠금 장치", "충전 단자", "냉각팬", "배선",
)  # fmt: skip
_DEFECTS = (
    "과열",
    "결함",
    "파손",
    "오작동",
    "누유",
    "접촉 불량",
    "설계 오류",
    "소프트웨어 오류",
    "내구성 부족",
    "조립 불량",
)
_DANGERS = (
    "화재 위험",
    "사고 가능성",
    "감전 우려",
    "주행 중 멈춤 현상",
    "부상 위험",
    "시동 꺼짐 현상",
    "작동 중단",
)
_POLICY_WHO = (
    "중소기업", "소상공인", "청년 창업자", "수출 기업", "전통시장 상인", "농어민", "저소득층", "스타트업", "지역 대학", "무주택자", "맞벌이 부부",
    "협력업체", "자영업자", "고령 근로자", "반도체 기업", "물류 업체",
)  # fmt: skip
_POLICY_WHAT = (
    "설비 투자", "에너지 비용", "대출 이자", "교육 비용", "해외 판로 개척", "인력 채용", "임차료", "기술 도입", "디지털 전환", "직업 훈련",
    "친환경 설비 교체", "물류비", "창업 자금", "보험료",
)  # fmt: skip
_POLICY_HOW = (
    "지원",
    "지원 확대",
    "세액공제",
    "세액공제 확대",
    "보조",
    "보조금 인상",
    "지원금 인상",
    "재정 지원",
)
_PROJECTS = (
    "육성 사업",
    "지원 사업",
    "혁신 대책",
    "활성화 방안",
    "종합 대책",
    "안정 대책",
    "지원 방안",
    "개선 방안",
    "진흥 계획",
)
_PROJECT_TOPICS = (
    "소상공인", "청년 일자리", "수출 바우처", "물가", "주택 공급", "스마트공장", "전기차 충전", "지역 상권", "반도체 인력", "수산물 소비",
    "농촌 관광", "재생에너지", "중소기업 금융", "물류 산업", "콘텐츠 산업", "바이오 산업", "가계부채", "공급망",
)  # fmt: skip
_TRADE_REGIONS = (
    "미국 현지",
    "유럽 지역",
    "중국 내",
    "신흥국",
    "동남아 지역",
    "중동 지역",
    "일본 현지",
    "인도 시장",
    "중남미 지역",
    "세계",
)
_TRADE_EVENTS = ("수요 회복", "수요 증가", "주문 증가", "재고 소진", "투자 확대", "소비 회복", "경기 회복")
_TRADE_OTHERS = (
    "국제 가격 상승",
    "수출 단가 상승",
    "환율 효과",
    "신제품 출시",
    "조업일수 증가",
    "관세 인하",
    "물류 여건 개선",
    "한류 인기",
)
_QUOTE_WHEN = (
    "내년까지",
    "하반기부터",
    "올해 안에",
    "3년 안에",
    "연말까지",
    "내년부터",
    "앞으로 5년간",
    "이른 시일 안에",
)
_QUOTE_OBJECT = (
    "해외 매장을", "북미 판매를", "연구 인력을", "생산 라인을", "친환경 제품 비중을", "해외 매출을", "배당을", "부채 비율을", "협력사를",
    "온라인 판매를", "데이터 투자를", "품질 기준을", "수출 지역을", "고객 서비스를",
)  # fmt: skip
_QUOTE_VERBS = (
    "두 배로 늘리겠다",
    "크게 확대하겠다",
    "단계적으로 줄이겠다",
    "새로 정비하겠다",
    "전면 개편하겠다",
    "꾸준히 키우겠다",
    "30% 이상 늘리겠다",
    "강화하겠다",
)
_MARKET_UP = (
    "외국인 순매수", "기관 매수세", "미국 금리 인하 기대", "반도체 업황 회복 기대", "실적 개선 기대감", "국제 유가 하락", "경기 부양책 발표",
    "무역 협상 타결 소식", "대형 수주 소식", "신약 임상 성공 소식", "배당 확대 기대", "자사주 매입 발표", "정부의 산업 지원 대책",
    "물가 상승률 둔화", "수출 지표 호조", "고용 지표 개선",
)  # fmt: skip
_MARKET_DOWN = (
    "외국인 순매도", "기관 매도세", "미국 금리 인상 우려", "경기 침체 우려", "실적 부진 전망", "국제 유가 급등", "무역 갈등 우려",
    "대규모 유상증자 소식", "중동 지역 긴장 고조", "소비 지표 부진", "차익 실현 매물", "제품 결함 논란", "주요 고객사 이탈 우려", "환율 급등",
)  # fmt: skip
_PERKS = (
    "무료 배송", "할인 쿠폰", "추가 적립금", "사은품", "무이자 할부", "1년 무상 수리", "포인트 두 배 적립", "무료 체험권", "교환 보증", "설치비 면제",
)  # fmt: skip
_CUSTOMERS = (
    "신규 회원",
    "우수 고객",
    "앱 이용자",
    "예약 구매 고객",
    "단체 고객",
    "대학생 고객",
    "자사 카드 결제 고객",
    "첫 구매 고객",
)


def _and(rng: random.Random, first: str, second: str) -> str:
    """Return two noun phrases joined by 과/와 or 및."""
    return f"{first} 및 {second}" if rng.random() < 0.3 else f"{attach(first, '과')} {second}"


def good_cause(rng: random.Random) -> str:
    """Return why figures rose: 북미 시장 판매 호조와 고정비 절감."""
    first = f"{pick(rng, _MARKETS)} {pick(rng, _GOOD_EVENTS)}"
    form = rng.random()
    if form < 0.2:
        return first
    if form < 0.6:
        return f"{first}에 따른 {pick(rng, _GOOD_EFFECTS)}"
    return _and(rng, first, pick(rng, _GOOD_RESULTS))


def bad_cause(rng: random.Random) -> str:
    """Return why figures fell: 원자재 가격 상승에 따른 비용 부담."""
    if rng.random() < 0.6:
        first = f"{pick(rng, _BAD_PRICES)} {pick(rng, ('상승', '급등'))}"
    else:
        first = f"{pick(rng, _BAD_COSTS)} {pick(rng, ('증가', '상승', '급증'))}"
    form = rng.random()
    if form < 0.2:
        return first
    second = pick(rng, _BAD_RESULTS)
    return f"{first}에 따른 {second}" if form < 0.6 else _and(rng, first, second)


def trade_cause(rng: random.Random) -> str:
    """Return why exports rose: 미국 현지 수요 회복과 국제 가격 상승."""
    first = f"{pick(rng, _TRADE_REGIONS)} {pick(rng, _TRADE_EVENTS)}"
    return first if rng.random() < 0.4 else _and(rng, first, pick(rng, _TRADE_OTHERS))


def aim(rng: random.Random) -> str:
    """Return the aim of a step: 해외 시장 공략과 유통망 확대."""
    first_objects, first_verbs = pick(rng, _AIMS)
    first = f"{pick(rng, first_objects)} {pick(rng, first_verbs)}"
    objects, verbs = pick(rng, _AIMS)
    if rng.random() < 0.3 or objects is first_objects:
        return first
    return _and(rng, first, f"{pick(rng, objects)} {pick(rng, verbs)}")


def feature(rng: random.Random) -> str:
    """Return what a product has: 소음을 기존 제품보다 30% 줄인 모터."""
    objects, verbs, nouns = pick(rng, _FEATURES)
    than = pick(rng, ("기존 제품보다", "경쟁 제품보다", "이전 모델보다", "기존보다"))
    amount = 5 * (1 + int(rng.random() * 12))
    return f"{pick(rng, objects)} {than} {amount}% {pick(rng, verbs)} {pick(rng, nouns)}"


def defect(rng: random.Random) -> str:
    """Return why a product was called back: 배터리 과열로 인한 화재 위험."""
    first = f"{pick(rng, _DEFECT_PARTS)} {pick(rng, _DEFECTS)}"
    if rng.random() < 0.3:
        return first
    return f"{attach(first, '로')} 인한 {pick(rng, _DANGERS)}"


def policy(rng: random.Random) -> str:
    """Return the content of a policy: 중소기업의 설비 투자에 대한 세액공제 확대."""
    who, what, how = pick(rng, _POLICY_WHO), pick(rng, _POLICY_WHAT), pick(rng, _POLICY_HOW)
    return f"{who} {what} {how}" if rng.random() < 0.4 else f"{who}의 {what}에 대한 {how}"


def project(rng: random.Random) -> str:
    """Return the name of a programme: 소상공인 지원 사업."""
    return f"{pick(rng, _PROJECT_TOPICS)} {pick(rng, _PROJECTS)}"


def beneficiary(rng: random.Random) -> str:
    """Return whom a programme serves."""
    return pick(rng, _POLICY_WHO)


def quote(rng: random.Random) -> str:
    """Return a plan in a speaker's words: 내년까지 해외 매장을 두 배로 늘리겠다."""
    core = f"{pick(rng, _QUOTE_OBJECT)} {pick(rng, _QUOTE_VERBS)}"
    return f"{pick(rng, _QUOTE_WHEN)} {core}" if rng.random() < 0.75 else core


def market_up(rng: random.Random) -> str:
    """Return why a price rose."""
    first = pick(rng, _MARKET_UP)
    return first if rng.random() < 0.5 else _also(rng, first, pick(rng, _MARKET_UP))


def market_down(rng: random.Random) -> str:
    """Return why a price fell."""
    first = pick(rng, _MARKET_DOWN)
    return first if rng.random() < 0.5 else _also(rng, first, pick(rng, _MARKET_DOWN))


def _also(rng: random.Random, first: str, second: str) -> str:
    return first if first == second else _and(rng, first, second)


def perk(rng: random.Random) -> str:
    """Return what customers get in a sale."""
    return pick(rng, _PERKS)


def customers(rng: random.Random) -> str:
    """Return whom a sale is for."""
    return pick(rng, _CUSTOMERS)


PHRASES: dict[str, Callable[[random.Random], str]] = {
    "goodcause": good_cause,
    "badcause": bad_cause,
    "tradecause": trade_cause,
    "aim": aim,
    "feature": feature,
    "defect": defect,
    "policy": policy,
    "project": project,
    "beneficiary": beneficiary,
    "quote": quote,
    "up": market_up,
    "down": market_down,
    "perk": perk,
    "customers": customers,
}

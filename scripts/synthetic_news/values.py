"""Amounts, rates, dates, places and phrases that fill the slots of the patterns."""
# ruff: noqa: E501  (lists of words)

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from .names import pick, words
from .phrases import PHRASES

_PLACES = words("서울 부산 대구 인천 광주 대전 울산 세종 경기 강원 충북 충남 전북 전남 경북 경남 제주")
_CITIES = words(
    "평택 화성 용인 이천 수원 안산 청주 충주 진천 음성 천안 아산 당진 서산 군산 익산 전주 완주 여수 "
    "광양 순천 나주 포항 구미 경주 김천 창원 김해 거제 진주 사천 양산 원주 춘천 강릉 파주 김포 시흥 "
    "오산 안성 여주 서귀포 목포 영주 밀양"
)
_PROVINCES = ("경기도", "충청북도", "충청남도", "전라북도", "전라남도", "경상북도", "경상남도", "강원도")
_ABROAD = (
    "베트남 하노이", "베트남 하이퐁", "인도 첸나이", "인도 푸네", "미국 텍사스주", "미국 조지아주", "미국 테네시주", "헝가리 괴드",
    "폴란드 브로츠와프", "멕시코 몬테레이", "인도네시아 자카르타", "태국 방콕", "중국 쑤저우", "중국 시안", "독일 뮌헨",
    "체코 오스트라바", "말레이시아 페낭", "캐나다 온타리오주", "브라질 상파울루", "튀르키예 이즈미르", "일본 오사카", "필리핀 세부",
)  # fmt: skip
_DISTRICTS = (
    "서울 강남구", "서울 송파구", "서울 마포구", "서울 성동구", "서울 노원구", "서울 은평구", "경기 과천시", "경기 하남시", "경기 광명시",
    "경기 수원시", "경기 남양주시", "인천 연수구", "인천 서구", "부산 해운대구", "부산 동래구", "대구 수성구", "대전 유성구", "광주 북구",
    "울산 남구", "세종시", "충남 천안시", "충북 청주시", "전북 전주시", "경남 창원시", "경북 포항시", "강원 춘천시", "제주시",
)  # fmt: skip
_COUNTRIES = words(
    "미국 중국 일본 베트남 인도 독일 프랑스 영국 호주 캐나다 멕시코 브라질 폴란드 헝가리 태국 "
    "인도네시아 말레이시아 필리핀 싱가포르 대만 사우디아라비아 이집트 튀르키예 이탈리아 스페인 "
    "네덜란드 스웨덴 노르웨이 칠레 카타르"
)
_EXPORTS = words(
    "반도체 자동차 선박 철강 석유제품 석유화학 디스플레이 무선통신기기 컴퓨터 가전 섬유 화장품 "
    "의약품 배터리 라면 김 농수산식품 일반기계 자동차부품 타이어 의료기기 플라스틱 건설기계 전선 "
    "변압기 항공기부품 담배 음료 과자 냉동만두"
)
_CURRENCIES = ("달러", "유로", "엔화", "위안화", "파운드", "호주달러", "캐나다달러", "스위스프랑")
_INDICES = (
    "코스피",
    "코스닥",
    "나스닥",
    "다우지수",
    "닛케이지수",
    "항셍지수",
    "상하이종합지수",
    "유로스톡스",
)
_MINISTRIES = words(
    "기획재정부 산업통상자원부 중소벤처기업부 국토교통부 금융위원회 고용노동부 환경부 해양수산부 "
    "농림축산식품부 과학기술정보통신부 보건복지부 교육부 행정안전부 문화체육관광부 관세청 국세청 "
    "조달청 특허청 공정거래위원회 금융감독원"
)
_GOODS = (
    "차량용 반도체", "전기차 배터리", "수소 연료전지", "태양광 모듈", "산업용 로봇", "초고압 변압기", "의료용 레이저", "항공기 엔진 부품",
    "디스플레이 장비", "반도체 세정 장비", "해저 케이블", "풍력 타워", "선박용 엔진", "냉동 창고 설비", "바이오 의약품 원료", "통신 장비",
    "스마트 계량기", "자율주행 센서", "양극재", "음극재", "분리막", "동박", "탄소섬유", "알루미늄 휠", "타이어코드", "건설용 철근",
    "배전반", "카메라 모듈", "압축기", "공기청정기", "즉석식품", "화장품 원료", "데이터센터 서버", "정수기 필터", "무인 지게차", "전동기",
    "연료 분사 장치", "액화천연가스 저장 탱크", "폐수 처리 설비", "열교환기", "자동 분류 설비", "의료 영상 소프트웨어",
)  # fmt: skip
_FIELDS = (
    "인공지능", "자율주행", "수소에너지", "차세대 배터리", "로봇", "우주항공", "신약 개발", "스마트팩토리", "친환경 소재", "양자컴퓨팅",
    "전력 반도체", "디지털 치료제", "클라우드 보안", "탄소 포집", "식물성 단백질", "유전자 분석", "해상풍력", "사물인터넷", "초거대 언어모델",
    "전고체 배터리", "폐배터리 재활용", "도심항공교통", "핀테크", "스마트팜", "바이오시밀러",
)  # fmt: skip
_SERVICES = (
    "중고차 거래 앱", "반려동물 돌봄 서비스", "세무 자동화 소프트웨어", "신선식품 새벽배송", "온라인 교육 플랫폼", "공유 주방", "물류 관리 시스템",
    "화상 진료 서비스", "가상 피팅 기술", "외국어 학습 앱", "주차장 공유 서비스", "폐기물 수거 플랫폼", "소상공인 매출 분석 서비스", "음성 인식 기술",
    "인테리어 중개 플랫폼", "숙박 예약 앱", "전기차 충전 플랫폼", "법률 문서 검색 서비스", "수면 관리 기기", "농산물 직거래 앱", "무인 매장 솔루션",
    "간편 송금 서비스", "의류 재판매 플랫폼", "보험 비교 서비스", "건설 현장 안전 관리 시스템",
)  # fmt: skip
_ROLES = (
    "대표이사",
    "대표",
    "사장",
    "부사장",
    "최고재무책임자",
    "최고기술책임자",
    "연구소장",
    "부회장",
    "본부장",
    "사외이사",
    "전무",
    "감사",
)
_ORIGINS = (
    "영업본부장",
    "전략기획실장",
    "해외사업부장",
    "기술연구원장",
    "재무실장",
    "미국법인장",
    "생산총괄",
    "마케팅본부장",
    "인사팀장",
    "품질관리실장",
)
_SAVERS = words("청년 직장인 주택 소상공인 급여 여행 반려동물 시니어 어린이 친환경 신혼부부 자유 모바일 건강")
_ACCOUNTS = ("적금", "예금", "통장", "연금", "정기예금", "자유적금", "저축")
_COURTS = (
    "서울중앙지방법원", "서울고등법원", "대법원", "수원지방법원", "부산지방법원", "대전지방법원", "인천지방법원", "서울남부지방법원",
    "대구지방법원", "광주지방법원", "특허법원", "서울행정법원", "서울동부지방법원", "창원지방법원",
)  # fmt: skip
_MATTERS = (
    "특허 침해", "영업비밀 유출", "공사 대금 미지급", "계약 위반", "상표권 침해", "납품 단가 분쟁", "기술 탈취", "허위 광고", "디자인 도용",
    "임금 체불", "하자 보수 지연", "손해배상 청구", "분양 대금 반환", "개인정보 유출", "주식 매매 대금 분쟁", "독점 판매권 분쟁",
)  # fmt: skip
_PERIODS = (
    "지난해",
    "올해 1분기",
    "올해 2분기",
    "올해 3분기",
    "지난해 4분기",
    "올해 상반기",
    "지난해 하반기",
    "지난달",
    "2024년",
    "2025년",
)
_SEASONS = (
    "상반기",
    "하반기",
    "3월",
    "4월",
    "5월",
    "6월",
    "7월",
    "9월",
    "10월",
    "11월",
    "12월",
    "1월",
    "초",
    "말",
)


def _below(rng: random.Random, count: int) -> int:
    return int(rng.random() * count)


def _round_number(rng: random.Random) -> int:
    """Return a number as reports give them: two to four digits, often round."""
    kind = rng.random()
    if kind < 0.3:
        return 10 * (1 + _below(rng, 99))
    if kind < 0.65:
        return 100 + _below(rng, 900)
    return 1000 + _below(rng, 9000)


def won(rng: random.Random) -> str:
    """Return an amount of a company's size: 3420억원, 1조 2,340억원."""
    number = _round_number(rng)
    if rng.random() < 0.8:
        digits = f"{number:,}" if rng.random() < 0.5 else str(number)
        space = " " if rng.random() < 0.06 else ""
        return f"{digits}억{space}원"
    jo = 1 + _below(rng, 30)
    return f"{jo}조 {number:,}억원" if rng.random() < 0.35 else f"{jo}조{number}억원"


def sales(rng: random.Random) -> str:
    """Return a company's sales, mostly more than its profit."""
    if rng.random() < 0.3:
        return won(rng)
    number = 1000 + _below(rng, 9000)
    return f"{number:,}억원" if rng.random() < 0.5 else f"{number}억원"


def profit(rng: random.Random) -> str:
    """Return a company's profit."""
    if rng.random() < 0.15:
        return won(rng)
    number = 10 * (1 + _below(rng, 99)) if rng.random() < 0.3 else 11 + _below(rng, 989)
    return f"{number}억원"


def dividend(rng: random.Random) -> str:
    """Return a dividend per share: 350원, 1,250원."""
    number = 50 * (1 + _below(rng, 99)) if rng.random() < 0.7 else 10 * (5 + _below(rng, 900))
    return f"{number:,}원" if rng.random() < 0.7 else f"{number}원"


def fund(rng: random.Random) -> str:
    """Return an amount of a start-up's size: 120억원, 35억원."""
    number = 5 * (1 + _below(rng, 90)) if rng.random() < 0.7 else 10 + _below(rng, 400)
    return f"{number}억원" if rng.random() < 0.93 else f"{number}억 {1 + _below(rng, 9)},000만원"


def dollars(rng: random.Random) -> str:
    """Return an amount in dollars: 12억달러, 3억 2,000만 달러."""
    number = 1 + _below(rng, 180)
    form = rng.random()
    if form < 0.5:
        return f"{number}억달러"
    if form < 0.7:
        return f"{number}억{1 + _below(rng, 9)}000만달러"
    if form < 0.9:
        return f"{number}억 달러"
    return f"{number}억 {1 + _below(rng, 9)},{_below(rng, 10)}00만 달러"


def price(rng: random.Random) -> str:
    """Return the price of a thing: 89만원, 3만9,900원, 12,500원."""
    form = rng.random()
    if form < 0.35:
        return f"{1 + _below(rng, 399)}만원"
    if form < 0.65:
        return f"{1 + _below(rng, 199)}만{1 + _below(rng, 9)},{pick(rng, ('000', '900', '500'))}원"
    if form < 0.8:
        return f"{1 + _below(rng, 199)}만 {1 + _below(rng, 9)}{pick(rng, ('000', '900', '500'))}원"
    return f"{1 + _below(rng, 99)},{pick(rng, ('000', '500', '900', '200', '800'))}원"


def share_price(rng: random.Random) -> str:
    """Return a share price: 12만3,500원, 8,420원."""
    form = rng.random()
    if form < 0.45:
        return f"{1 + _below(rng, 89)}만{1 + _below(rng, 9)}{_below(rng, 10)}00원"
    if form < 0.75:
        return f"{1 + _below(rng, 9)},{_below(rng, 100):02d}0원"
    if form < 0.9:
        return f"{1 + _below(rng, 120)}만원"
    return f"{1 + _below(rng, 60)}만 {1 + _below(rng, 9)},{_below(rng, 10)}00원"


def percent(rng: random.Random) -> str:
    """Return a rate: 12.4%, 8%."""
    if rng.random() < 0.7:
        return f"{_below(rng, 60)}.{1 + _below(rng, 9)}%"
    return f"{2 + _below(rng, 70)}%"


def small_percent(rng: random.Random) -> str:
    """Return a daily change or an interest rate: 0.84%, 3.5%."""
    if rng.random() < 0.6:
        return f"{_below(rng, 9)}.{_below(rng, 10)}{1 + _below(rng, 9)}%"
    return f"{1 + _below(rng, 9)}.{1 + _below(rng, 9)}%"


def rate(rng: random.Random) -> str:
    """Return an exchange rate: 1,342.5원."""
    return f"1,{_below(rng, 1000):03d}.{_below(rng, 10)}원"


def points(rng: random.Random) -> str:
    """Return the level of an index: 2,634.7."""
    return f"{1 + _below(rng, 39)},{_below(rng, 1000):03d}.{_below(rng, 100):02d}"


def score(rng: random.Random) -> str:
    """Return the level of a survey's index: 98.4."""
    return f"{70 + _below(rng, 50)}.{1 + _below(rng, 9)}"


def people(rng: random.Random) -> str:
    """Return a number of people: 320명, 1,200여명."""
    number = 10 * (1 + _below(rng, 250)) if rng.random() < 0.7 else 20 + _below(rng, 900)
    return f"{number:,}{'여' if rng.random() < 0.2 else ''}명"


def units(rng: random.Random) -> str:
    """Return a number of things made or sold: 3만2,000대, 850대."""
    form = rng.random()
    word = pick(rng, ("대", "개", "대", "개", "세트"))
    if form < 0.4:
        return f"{1 + _below(rng, 90)}만{1 + _below(rng, 9)},{_below(rng, 10)}00{word}"
    if form < 0.75:
        return f"{1 + _below(rng, 120)}만{word}"
    return f"{1 + _below(rng, 9)},{_below(rng, 1000):03d}{word}"


def cars(rng: random.Random) -> str:
    """Return a number of machines called back: 3,214대."""
    form = rng.random()
    if form < 0.3:
        return f"{1 + _below(rng, 30)}만{1 + _below(rng, 9)}{_below(rng, 1000):03d}대"
    return f"{1 + _below(rng, 90)},{_below(rng, 1000):03d}대"


def homes(rng: random.Random) -> str:
    """Return a number of homes: 1,240가구."""
    return f"{100 + _below(rng, 2900):,}가구"


def ratio(rng: random.Random) -> str:
    """Return a competition ratio: 24.3 대 1 or 24.3대1."""
    number = f"{1 + _below(rng, 160)}.{1 + _below(rng, 9)}"
    return f"{number}대1" if rng.random() < 0.75 else f"{number} 대 1"


def home_price(rng: random.Random) -> str:
    """Return the price of a home: 9억8000만원, 12억원."""
    form = rng.random()
    number = 2 + _below(rng, 28)
    if form < 0.5:
        return f"{number}억{1 + _below(rng, 9)}{_below(rng, 10)}00만원"
    return f"{number}억원" if form < 0.8 else f"{number}억 {1 + _below(rng, 9)},000만원"


def limit(rng: random.Random) -> str:
    """Return how much a customer may pay in or borrow: 5000만원, 3억원."""
    if rng.random() < 0.2:
        return f"{1 + _below(rng, 7)}억원"
    return f"{100 * (1 + _below(rng, 99)):,}만원"


def shops(rng: random.Random) -> str:
    """Return a number of shops: 124곳, 30개."""
    return f"{3 + _below(rng, 480)}{pick(rng, ('곳', '개'))}"


def day(rng: random.Random) -> str:
    """Return a date: 12일, 3월 5일, 지난 7일."""
    number = 1 + _below(rng, 28)
    form = rng.random()
    if form < 0.5:
        return f"{number}일"
    if form < 0.82:
        return f"{1 + _below(rng, 12)}월 {number}일"
    if form < 0.9:
        return f"지난 {number}일"
    return f"{2023 + _below(rng, 4)}년 {1 + _below(rng, 12)}월 {number}일"


def date(rng: random.Random) -> str:
    """Return a date that may be past or to come: 12일, 3월 5일, 2026년 3월 5일."""
    number = 1 + _below(rng, 28)
    form = rng.random()
    if form < 0.4:
        return f"{number}일"
    if form < 0.8:
        return f"{1 + _below(rng, 12)}월 {number}일"
    return f"2026년 {1 + _below(rng, 12)}월 {number}일"


def future(rng: random.Random) -> str:
    """Return a coming time: 내년 상반기, 2028년, 오는 10월."""
    form = rng.random()
    if form < 0.3:
        return f"{2026 + _below(rng, 8)}년"
    if form < 0.55:
        return f"내년 {pick(rng, _SEASONS)}"
    if form < 0.75:
        return f"{2026 + _below(rng, 6)}년 {pick(rng, _SEASONS)}"
    if form < 0.92:
        return f"오는 {1 + _below(rng, 12)}월"
    return f"{2026 + _below(rng, 3)}년 {1 + _below(rng, 12)}월 {1 + _below(rng, 28)}일"


def season(rng: random.Random) -> str:
    """Return a time soon to come: 오는 9월, 내년 상반기."""
    if rng.random() < 0.5:
        return f"오는 {1 + _below(rng, 12)}월"
    return f"{pick(rng, ('올해', '내년', '내년'))} {pick(rng, ('상반기', '하반기', '봄', '가을', '초', '말'))}"


def year(rng: random.Random) -> str:
    """Return a past year: 2014년."""
    return f"{1996 + _below(rng, 28)}년"


def place(rng: random.Random) -> str:
    """Return where a factory stands: 평택, 충북 청주, 베트남 하노이."""
    form = rng.random()
    if form < 0.5:
        return pick(rng, _CITIES)
    if form < 0.7:
        return pick(rng, _PLACES) if form < 0.6 else f"{pick(rng, _PROVINCES)} 산업단지"
    return pick(rng, _ABROAD)


def duration(rng: random.Random) -> str:
    """Return a term: 3년, 18개월."""
    return f"{2 + _below(rng, 14)}년" if rng.random() < 0.7 else f"{6 * (1 + _below(rng, 9))}개월"


def bank_product(rng: random.Random, savers: Sequence[str] = _SAVERS) -> str:
    """Return a financial product, named after whom it is for: 청년 적금."""
    return f"{pick(rng, savers)} {pick(rng, _ACCOUNTS)}"


def _one_of(items: tuple[str, ...] | list[str]) -> Callable[[random.Random], str]:
    return lambda rng: pick(rng, items)


VALUES: dict[str, Callable[[random.Random], str]] = {
    **PHRASES,
    "won": won,
    "sales": sales,
    "profit": profit,
    "dividend": dividend,
    "fund": fund,
    "dollars": dollars,
    "price": price,
    "share": share_price,
    "percent": percent,
    "small": small_percent,
    "rate": rate,
    "points": points,
    "score": score,
    "people": people,
    "units": units,
    "cars": cars,
    "homes": homes,
    "ratio": ratio,
    "homeprice": home_price,
    "limit": limit,
    "shops": shops,
    "day": day,
    "date": date,
    "future": future,
    "season": season,
    "year": year,
    "place": place,
    "duration": duration,
    "bankproduct": bank_product,
    "goods": _one_of(_GOODS),
    "field": _one_of(_FIELDS),
    "service": _one_of(_SERVICES),
    "role": _one_of(_ROLES),
    "origin": _one_of(_ORIGINS),
    "court": _one_of(_COURTS),
    "matter": _one_of(_MATTERS),
    "country": _one_of(_COUNTRIES),
    "district": _one_of(_DISTRICTS),
    "export": _one_of(_EXPORTS),
    "currency": _one_of(_CURRENCIES),
    "index": _one_of(_INDICES),
    "ministry": _one_of(_MINISTRIES),
    "period": _one_of(_PERIODS),
}

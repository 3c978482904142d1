"""Coined companies, products and estates, and people; a fixed part is kept for the test split."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

_T = TypeVar("_T")


def words(text: str) -> tuple[str, ...]:
    """Return the words of ``text``; shorter to write than a tuple of strings."""
    return tuple(text.split())


RESERVED_SIZE = 320
RESERVED_SEED = "reserved-names-1"
# Every reserved key has this length, so one set of trigrams finds any of them in a text.
RESERVED_LENGTH = 3

_STEM_FIRST = (
    "가건경고광구규그글금기길꿈나남네넥노녹누늘다단달담대더덕데도돈동두드든디라람래레려로루류르리린마만맑메멜명모무문미민"
    "밀바반밝백버벤벨별보본봄부브블비빅빛사산상새샘서선성세센셀소손솔송수숲쉬슈스승시신심썬씨아안알애양어에엔엘여연열영"
    "예오온올와용우운울원위유윤율은음이인일자장재저정제조종주준중지진차찬참창채천첨청초추충카캐컨케코콘퀀크큐키킨타탄태터"
    "테텍토투트티파팔퍼페평포폴푸풀풍퓨프플피핀하한해행향헤현형호홍화환효후휘흥희히"
)
_STEM_LATER = (
    "가강건결경고공관광국그금기나난남넬노녹누눅니다단달담대더덕데도돌동두드든디라란람랑래량런레렌려련로론롬루룬류륜르름리린림"
    "마만맥메면명모문미민밀바반벡벨별보본봉비빈빛사산상새샘생서석선설성세센셀소솔송수숙순스슬승시신실씨아안알암양언에엔엘"
    "여역연열영예오온올완용우욱운웅원월유윤율은음이익인일임자장재전정제조종주준중즈지진찬창채천철청체초촌춘치카칸커컨코콘"
    "쿠크클키타탄탑태터테텍텔토톤톰통트티틱파판팜퍼편평포폰풍프플피핀필하한함합해향헌현형호홍화환활효훈휘흥희"
)
_BANNED_PARTS = words(
    "삼성 현대 대한 한화 롯데 신한 국민 우리 하나 기업 대우 두산 효성 포스 한국 한진 금호 동양 삼양 "
    "대림 쌍용 태광 동아 유한 대웅 녹십 셀트 카카 네이 미래 세아 풍산 고려 영풍 남양 동원 사조 "
    "오리온 농심 하림 대상 제일 동국 서울 부산 엘지 기아 한미 일동 광동 동화 보령 한솔 한샘 코스 "
    "나스 이마트 대신 교보 흥국 메리 키움 유안 신영 한양 호반 중흥 태영 계룡 한온 만도 테슬 애플 "
    "구글 아마 소니 도요 혼다 인텔 퀄컴 엔비 쿠팡 토스 넥슨 엔씨 넷마 크래 하이 아시 진에어 티웨 "
    "시발 씨발 자지 보지 창녀 병신 개새 지랄 년놈 성교 사기 살인 자살 음란 성기 치매 사망 도박 마약"
)

INDUSTRIES = words(
    "전자 바이오 화학 물산 건설 모빌리티 제약 소재 로보틱스 에너지 반도체 식품 유통 해운 중공업 산업 "
    "정밀 시스템 테크 소프트 네트웍스 게임즈 엔터테인먼트 미디어 패션 생활건강 제과 음료 철강 제강 "
    "금속 전기 전선 기계 자동차 모터스 항공 물류 통신 텔레콤 헬스케어 메디칼 솔루션 데이터 클라우드 "
    "플랫폼 디스플레이 머티리얼즈 가구 제지 시멘트 조선 오토 엔진 배터리 리테일 홈쇼핑 여행 호텔 "
    "푸드 뷰티 케미칼 인더스트리"
)
BUILDERS = ("건설", "산업개발", "종합건설", "주택", "이앤씨", "토건", "개발")
BANKS = ("은행", "저축은행", "뱅크", "상호금융", "종합금융", "금융")
BROKERS = ("증권", "투자증권", "자산운용", "인베스트먼트", "벤처스", "파트너스")
STARTUPS = (
    "랩",
    "랩스",
    "테크",
    "소프트",
    "로보틱스",
    "바이오",
    "데이터",
    "페이",
    "에듀",
    "팜",
    "AI",
    "모빌리티",
)
ESTATE_WORDS = ("파크", "힐스", "시티", "포레", "스퀘어", "리버뷰", "센트럴", "캐슬", "하우스", "타운")

_SURNAMES = (
    "김김김김김김이이이이이박박박박최최최정정정강강조조윤윤장장임임한한오오서서신신권권황황안안송송류전홍고문양손배백허"
    "유남심노하곽성차주우구민나진지엄채원천방공현함변염여추도소석선설마길연위표명기반왕금옥육인맹제모탁국어은편용"
)
_GIVEN_FIRST = (
    "가강건경계관광규근금기나남다대덕도동두라로명무문미민배범병보복봉부상서석선성세소솔수숙순슬승시신아안애양여연영예오"
    "옥용우운원유윤율은을의이인일자재정제조종주준중지진찬창채천철청춘충태하한해향혁현형혜호홍화환회효훈휘흥희"
)
_GIVEN_SECOND = (
    "강건경곤관광구국권규균근기길나남녀대덕도동라란람래령례록룡리린림만명모무문미민배백범별복봉비빈산상서석선섭성세솔송"
    "수숙순슬승식신아안애연열영예옥온완용우욱운웅원유윤율은을음의이익인일임자재정제조종주준중지진찬창채천철춘탁태택하"
    "한해향혁현형혜호홍화환회효훈휘흠희"
)

_PRODUCT_FIRST = (
    "가그글노누뉴다데도드디라레로루리마메모무미바베벨보브블비빌사새샤세셀소솔슈스시실아알에엔엘오온올우울위유율이제젠조"
    "주지카칼케코쿠쿨크클키타테토투트티파페펠포폴푸프플피핀하헤호후휴히"
)
_PRODUCT_LATER = (
    "가그나너노누뉴니다더던데도돌드든디라란람런레렌로론루룬르리린릿마멘모무미민바벤벨보브블비빈빌사세센셀소손솔스시신"
    "씨아안어에엔엘온올우움웨윈유이인일제젠조즈지진츠카칸커케코콘쿠크큼클키킨타탄터테텍토톤트티틱틴파페펜포폰프플피핀하핸헬호"
)
_PRODUCT_SUFFIXES = (
    "", "", "", "", "", "", "", "", "", "", "", "",
    " 프로", " 플러스", " X3", " S", " 2", " 미니", " 맥스", " V7", " 에어", " R", " 5G",
    " 8", " 라이트", " K9",
)  # fmt: skip
_LATIN_STEMS = ("HN", "KV", "DS", "JW", "TK", "MR", "BL", "EN", "SY", "NX", "AT", "UN")
_LATIN_SHARE = 0.04


def pick(rng: random.Random, items: Sequence[_T]) -> _T:
    """Return one of ``items``; faster than ``rng.choice`` and equal on every version."""
    return items[int(rng.random() * len(items))]


def _banned(word: str) -> bool:
    return any(part in word for part in _BANNED_PARTS)


def _coin(rng: random.Random, first: str, later: str, length: int) -> str:
    """Return a word of ``length`` different syllables."""
    while True:
        word = pick(rng, first) + "".join([pick(rng, later) for _ in range(length - 1)])
        if len(set(word)) == length and not _banned(word):
            return word


def coin_stem(rng: random.Random, length: int) -> str:
    """Return a company stem of ``length`` syllables."""
    return _coin(rng, _STEM_FIRST, _STEM_LATER, length)


def coin_person(rng: random.Random) -> str:
    """Return a surname with a given name of two syllables."""
    return pick(rng, _SURNAMES) + _coin(rng, _GIVEN_FIRST, _GIVEN_SECOND, 2)


def coin_product(rng: random.Random, length: int) -> str:
    """Return a product name of ``length`` syllables, without a suffix."""
    return _coin(rng, _PRODUCT_FIRST, _PRODUCT_LATER, length)


# Whom the savings products of the test split are for; names of three syllables, as all that are kept for it.
RESERVED_SAVERS = words(
    "새내기 은퇴자 유학생 자취생 농업인 어업인 예술인 항해사 등산객 독서가 요리사 간호사 소방관 다자녀"
)


@lru_cache(maxsize=1)
def _reserved_pools() -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return the stems, people and products that only the test split uses."""
    rng = random.Random(RESERVED_SEED)
    stems: dict[str, None] = {}
    people: dict[str, None] = {}
    products: dict[str, None] = {}
    while len(stems) < RESERVED_SIZE:
        stems[coin_stem(rng, RESERVED_LENGTH)] = None
    while len(people) < RESERVED_SIZE:
        people[coin_person(rng)] = None
    while len(products) < RESERVED_SIZE:
        products[coin_product(rng, RESERVED_LENGTH)] = None
    return tuple(stems), tuple(people), tuple(products)


@lru_cache(maxsize=1)
def reserved_names() -> frozenset[str]:
    """Return the names no text outside the test split may contain.

    Companies and estates are represented by their stems and products by their names
    without a suffix: a text without the stem cannot contain the whole name.
    """
    return frozenset(RESERVED_SAVERS).union(*_reserved_pools())


@lru_cache(maxsize=1)
def _coined() -> frozenset[str]:
    return frozenset().union(*_reserved_pools())


def contains_reserved(text: str) -> bool:
    """Tell whether a reserved name that is coined, and may be coined by chance, occurs anywhere in ``text``."""
    trigrams = map("".join, zip(text, text[1:], text[2:], strict=False))
    return not _coined().isdisjoint(trigrams)


class NameSource:
    """Draws names that are new within an article."""

    def __init__(self, rng: random.Random, reserved: bool) -> None:
        self._rng = rng
        self._reserved = reserved
        self._stems, self._people, self._products = _reserved_pools()
        self._used: list[str] = []

    def start_article(self) -> None:
        """Forget the names of the previous article."""
        self._used.clear()

    def company(self, industries: Sequence[str]) -> str:
        """Return a company of one of the ``industries``."""
        rng = self._rng
        while True:
            stem = pick(rng, _LATIN_STEMS) if not self._reserved and rng.random() < _LATIN_SHARE else self._stem()
            if self._is_new(stem):
                return stem + pick(rng, industries)

    def estate(self) -> str:
        """Return the name of a housing estate."""
        while True:
            stem = self._stem()
            if self._is_new(stem):
                return stem + pick(self._rng, ESTATE_WORDS)

    def person(self) -> str:
        """Return a person."""
        while True:
            name = pick(self._rng, self._people) if self._reserved else coin_person(self._rng)
            if self._is_new(name):
                return name

    def product(self) -> str:
        """Return a product, some with a suffix."""
        rng = self._rng
        while True:
            name = pick(rng, self._products) if self._reserved else coin_product(rng, 2 + int(rng.random() * 2.4))
            if self._is_new(name):
                return name + pick(rng, _PRODUCT_SUFFIXES)

    def _stem(self) -> str:
        if self._reserved:
            return pick(self._rng, self._stems)
        return coin_stem(self._rng, 2 if self._rng.random() < 0.55 else 3)

    def _is_new(self, name: str) -> bool:
        """Note ``name`` unless it contains, or is part of, one used before."""
        for used in self._used:
            if name in used or used in name:
                return False
        self._used.append(name)
        return True

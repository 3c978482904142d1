"""What fills the slots of the patterns: amounts, dates, places and phrases, by kind."""

import random
from collections.abc import Callable, Sequence

from . import amounts, word_lists
from .amounts import below
from .names import pick
from .phrases import PHRASES


def day(rng: random.Random) -> str:
    """Return a date: 12일, 3월 5일, 지난 7일."""
    number = 1 + below(rng, 28)
    form = rng.random()
    if form < 0.5:
        return f"{number}일"
    if form < 0.82:
        return f"{1 + below(rng, 12)}월 {number}일"
    if form < 0.9:
        return f"지난 {number}일"
    return f"{2023 + below(rng, 4)}년 {1 + below(rng, 12)}월 {number}일"


def date(rng: random.Random) -> str:
    """Return a date that may be past or to come: 12일, 3월 5일, 2026년 3월 5일."""
    number = 1 + below(rng, 28)
    form = rng.random()
    if form < 0.4:
        return f"{number}일"
    if form < 0.8:
        return f"{1 + below(rng, 12)}월 {number}일"
    return f"2026년 {1 + below(rng, 12)}월 {number}일"


def future(rng: random.Random) -> str:
    """Return a coming time: 내년 상반기, 2028년, 오는 10월."""
    form = rng.random()
    if form < 0.3:
        return f"{2026 + below(rng, 8)}년"
    if form < 0.55:
        return f"내년 {pick(rng, word_lists.SEASONS)}"
    if form < 0.75:
        return f"{2026 + below(rng, 6)}년 {pick(rng, word_lists.SEASONS)}"
    if form < 0.92:
        return f"오는 {1 + below(rng, 12)}월"
    return f"{2026 + below(rng, 3)}년 {1 + below(rng, 12)}월 {1 + below(rng, 28)}일"


def season(rng: random.Random) -> str:
    """Return a time soon to come: 오는 9월, 내년 상반기."""
    if rng.random() < 0.5:
        return f"오는 {1 + below(rng, 12)}월"
    return f"{pick(rng, ('올해', '내년', '내년'))} {pick(rng, ('상반기', '하반기', '봄', '가을', '초', '말'))}"


def year(rng: random.Random) -> str:
    """Return a past year: 2014년."""
    return f"{1996 + below(rng, 28)}년"


def place(rng: random.Random) -> str:
    """Return where a factory stands: 평택, 충북 청주, 베트남 하노이."""
    form = rng.random()
    if form < 0.5:
        return pick(rng, word_lists.CITIES)
    if form < 0.7:
        return pick(rng, word_lists.PLACES) if form < 0.6 else f"{pick(rng, word_lists.PROVINCES)} 산업단지"
    return pick(rng, word_lists.ABROAD)


def duration(rng: random.Random) -> str:
    """Return a term: 3년, 18개월."""
    return f"{2 + below(rng, 14)}년" if rng.random() < 0.7 else f"{6 * (1 + below(rng, 9))}개월"


def bank_product(rng: random.Random, savers: Sequence[str] = word_lists.SAVERS) -> str:
    """Return a financial product, named after whom it is for: 청년 적금."""
    return f"{pick(rng, savers)} {pick(rng, word_lists.ACCOUNTS)}"


def _one_of(items: tuple[str, ...] | list[str]) -> Callable[[random.Random], str]:
    return lambda rng: pick(rng, items)


VALUES: dict[str, Callable[[random.Random], str]] = {
    **PHRASES,
    "won": amounts.won,
    "sales": amounts.sales,
    "profit": amounts.profit,
    "dividend": amounts.dividend,
    "fund": amounts.fund,
    "dollars": amounts.dollars,
    "price": amounts.price,
    "share": amounts.share_price,
    "percent": amounts.percent,
    "small": amounts.small_percent,
    "rate": amounts.rate,
    "points": amounts.points,
    "score": amounts.score,
    "people": amounts.people,
    "units": amounts.units,
    "cars": amounts.cars,
    "homes": amounts.homes,
    "ratio": amounts.ratio,
    "homeprice": amounts.home_price,
    "limit": amounts.limit,
    "shops": amounts.shops,
    "day": day,
    "date": date,
    "future": future,
    "season": season,
    "year": year,
    "place": place,
    "duration": duration,
    "bankproduct": bank_product,
    "goods": _one_of(word_lists.GOODS),
    "field": _one_of(word_lists.FIELDS),
    "service": _one_of(word_lists.SERVICES),
    "role": _one_of(word_lists.ROLES),
    "origin": _one_of(word_lists.ORIGINS),
    "court": _one_of(word_lists.COURTS),
    "matter": _one_of(word_lists.MATTERS),
    "country": _one_of(word_lists.COUNTRIES),
    "district": _one_of(word_lists.DISTRICTS),
    "export": _one_of(word_lists.EXPORTS),
    "currency": _one_of(word_lists.CURRENCIES),
    "index": _one_of(word_lists.INDICES),
    "ministry": _one_of(word_lists.MINISTRIES),
    "period": _one_of(word_lists.PERIODS),
}

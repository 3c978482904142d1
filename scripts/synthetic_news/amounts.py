"""Amounts of money, rates and counts, as reports give them."""

import random

from .names import pick


def below(rng: random.Random, count: int) -> int:
    """Return a number from 0 to ``count`` - 1."""
    return int(rng.random() * count)


def _round_number(rng: random.Random) -> int:
    """Return a number as reports give them: two to four digits, often round."""
    kind = rng.random()
    if kind < 0.3:
        return 10 * (1 + below(rng, 99))
    if kind < 0.65:
        return 100 + below(rng, 900)
    return 1000 + below(rng, 9000)


def won(rng: random.Random) -> str:
    """Return an amount of a company's size: 3420억원, 1조 2,340억원."""
    number = _round_number(rng)
    if rng.random() < 0.8:
        digits = f"{number:,}" if rng.random() < 0.5 else str(number)
        space = " " if rng.random() < 0.06 else ""
        return f"{digits}억{space}원"
    jo = 1 + below(rng, 30)
    return f"{jo}조 {number:,}억원" if rng.random() < 0.35 else f"{jo}조{number}억원"


def sales(rng: random.Random) -> str:
    """Return a company's sales, mostly more than its profit."""
    if rng.random() < 0.3:
        return won(rng)
    number = 1000 + below(rng, 9000)
    return f"{number:,}억원" if rng.random() < 0.5 else f"{number}억원"


def profit(rng: random.Random) -> str:
    """Return a company's profit."""
    if rng.random() < 0.15:
        return won(rng)
    number = 10 * (1 + below(rng, 99)) if rng.random() < 0.3 else 11 + below(rng, 989)
    return f"{number}억원"


def dividend(rng: random.Random) -> str:
    """Return a dividend per share: 350원, 1,250원."""
    number = 50 * (1 + below(rng, 99)) if rng.random() < 0.7 else 10 * (5 + below(rng, 900))
    return f"{number:,}원" if rng.random() < 0.7 else f"{number}원"


def fund(rng: random.Random) -> str:
    """Return an amount of a start-up's size: 120억원, 35억원."""
    number = 5 * (1 + below(rng, 90)) if rng.random() < 0.7 else 10 + below(rng, 400)
    return f"{number}억원" if rng.random() < 0.93 else f"{number}억 {1 + below(rng, 9)},000만원"


def dollars(rng: random.Random) -> str:
    """Return an amount in dollars: 12억달러, 3억 2,000만 달러."""
    number = 1 + below(rng, 180)
    form = rng.random()
    if form < 0.5:
        return f"{number}억달러"
    if form < 0.7:
        return f"{number}억{1 + below(rng, 9)}000만달러"
    if form < 0.9:
        return f"{number}억 달러"
    return f"{number}억 {1 + below(rng, 9)},{below(rng, 10)}00만 달러"


def price(rng: random.Random) -> str:
    """Return the price of a thing: 89만원, 3만9,900원, 12,500원."""
    form = rng.random()
    if form < 0.35:
        return f"{1 + below(rng, 399)}만원"
    if form < 0.65:
        return f"{1 + below(rng, 199)}만{1 + below(rng, 9)},{pick(rng, ('000', '900', '500'))}원"
    if form < 0.8:
        return f"{1 + below(rng, 199)}만 {1 + below(rng, 9)}{pick(rng, ('000', '900', '500'))}원"
    return f"{1 + below(rng, 99)},{pick(rng, ('000', '500', '900', '200', '800'))}원"


def share_price(rng: random.Random) -> str:
    """Return a share price: 12만3,500원, 8,420원."""
    form = rng.random()
    if form < 0.45:
        return f"{1 + below(rng, 89)}만{1 + below(rng, 9)}{below(rng, 10)}00원"
    if form < 0.75:
        return f"{1 + below(rng, 9)},{below(rng, 100):02d}0원"
    if form < 0.9:
        return f"{1 + below(rng, 120)}만원"
    return f"{1 + below(rng, 60)}만 {1 + below(rng, 9)},{below(rng, 10)}00원"


def percent(rng: random.Random) -> str:
    """Return a rate: 12.4%, 8%."""
    if rng.random() < 0.7:
        return f"{below(rng, 60)}.{1 + below(rng, 9)}%"
    return f"{2 + below(rng, 70)}%"


def small_percent(rng: random.Random) -> str:
    """Return a daily change or an interest rate: 0.84%, 3.5%."""
    if rng.random() < 0.6:
        return f"{below(rng, 9)}.{below(rng, 10)}{1 + below(rng, 9)}%"
    return f"{1 + below(rng, 9)}.{1 + below(rng, 9)}%"


def rate(rng: random.Random) -> str:
    """Return an exchange rate: 1,342.5원."""
    return f"1,{below(rng, 1000):03d}.{below(rng, 10)}원"


def points(rng: random.Random) -> str:
    """Return the level of an index: 2,634.7."""
    return f"{1 + below(rng, 39)},{below(rng, 1000):03d}.{below(rng, 100):02d}"


def score(rng: random.Random) -> str:
    """Return the level of a survey's index: 98.4."""
    return f"{70 + below(rng, 50)}.{1 + below(rng, 9)}"


def people(rng: random.Random) -> str:
    """Return a number of people: 320명, 1,200여명."""
    number = 10 * (1 + below(rng, 250)) if rng.random() < 0.7 else 20 + below(rng, 900)
    return f"{number:,}{'여' if rng.random() < 0.2 else ''}명"


def units(rng: random.Random) -> str:
    """Return a number of things made or sold: 3만2,000대, 850대."""
    form = rng.random()
    word = pick(rng, ("대", "개", "대", "개", "세트"))
    if form < 0.4:
        return f"{1 + below(rng, 90)}만{1 + below(rng, 9)},{below(rng, 10)}00{word}"
    if form < 0.75:
        return f"{1 + below(rng, 120)}만{word}"
    return f"{1 + below(rng, 9)},{below(rng, 1000):03d}{word}"


def cars(rng: random.Random) -> str:
    """Return a number of machines called back: 3,214대."""
    form = rng.random()
    if form < 0.3:
        return f"{1 + below(rng, 30)}만{1 + below(rng, 9)}{below(rng, 1000):03d}대"
    return f"{1 + below(rng, 90)},{below(rng, 1000):03d}대"


def homes(rng: random.Random) -> str:
    """Return a number of homes: 1,240가구."""
    return f"{100 + below(rng, 2900):,}가구"


def ratio(rng: random.Random) -> str:
    """Return a competition ratio: 24.3 대 1 or 24.3대1."""
    number = f"{1 + below(rng, 160)}.{1 + below(rng, 9)}"
    return f"{number}대1" if rng.random() < 0.75 else f"{number} 대 1"


def home_price(rng: random.Random) -> str:
    """Return the price of a home: 9억8000만원, 12억원."""
    form = rng.random()
    number = 2 + below(rng, 28)
    if form < 0.5:
        return f"{number}억{1 + below(rng, 9)}{below(rng, 10)}00만원"
    return f"{number}억원" if form < 0.8 else f"{number}억 {1 + below(rng, 9)},000만원"


def limit(rng: random.Random) -> str:
    """Return how much a customer may pay in or borrow: 5000만원, 3억원."""
    if rng.random() < 0.2:
        return f"{1 + below(rng, 7)}억원"
    return f"{100 * (1 + below(rng, 99)):,}만원"


def shops(rng: random.Random) -> str:
    """Return a number of shops: 124곳, 30개."""
    return f"{3 + below(rng, 480)}{pick(rng, ('곳', '개'))}"

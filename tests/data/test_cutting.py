from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kqa_lightning.data.cutting import ArticleCutter, Place, until_sentence_end, without_other_sentences


@pytest.mark.parametrize(
    ("context", "limit", "kept"),
    [
        ("하나다. 둘이다. 셋이다.", 9, "하나다. 둘이다."),
        ("하나다. 둘이다. 셋이다.", 8, "하나다."),
        ("하나다. 둘이다. 셋이다.", 3, "하나다"),  # not even one whole sentence
        ("그는 “했다.” 했다 또 했다", 13, "그는 “했다.”"),
        ("금리는 3.5%로 정해졌다 하고", 12, "금리는 3.5%로 정해"),  # a decimal point ends no sentence
        ("제목\n본문은 길다", 8, "제목"),
        ("왜? 그냥! 그래", 7, "왜? 그냥!"),
    ],
)
def test_until_sentence_end(context: str, limit: int, kept: str) -> None:
    assert until_sentence_end(context, limit) == kept


def cutter(template: int = 0) -> ArticleCutter:
    """Every character is a token, and the prefix has ``template`` more: its ids are those of the characters."""
    return ArticleCutter(
        lambda text: range(len(text)), lambda text: (0,) * template + tuple(map(ord, text)), template=template
    )


def cut(context: str, room: int, needed: Sequence[Place] = ()) -> str | None:
    found = cutter().cut(context, room, needed)
    if found is None:
        return None
    text = "".join(map(chr, found.ids))
    assert text == "".join(context[start:end] for start, end in found.kept)
    return text


def test_cut_goes_on_until_it_fits() -> None:
    # An encoder for which a shortened text is one token longer than its share of the whole.
    def encode(kept: str) -> tuple[int, ...]:
        return (0, 0, *range(len(kept) + 1))

    found = ArticleCutter(lambda text: range(len(text)), encode, template=2).cut(
        "가나다라 마바사 아자차카타파하", room=10
    )
    assert found is not None and len(found.ids) == 10


def test_no_room_for_any_of_the_article() -> None:
    assert cutter(template=5).cut("가나다", room=5) is None
    assert cut("  다", room=1) == "다"


@pytest.mark.parametrize(
    ("needed", "room", "kept"),
    [
        ([], 11, "하나다. 둘이다."),
        ([(0, 2)], 11, "하나다. 둘이다."),  # the end goes, as without
        ([(10, 12)], 11, "하나다. 셋이다."),  # the last sentence that nobody asks about
        ([(15, 17)], 11, "하나다. 넷이다."),
        ([(10, 12), (15, 17)], 11, "셋이다. 넷이다."),
        ([(0, 2), (15, 17)], 13, "하나다. 넷이다."),
        ([(0, 2), (5, 7), (10, 12), (15, 17)], 13, "하나다. 둘이다."),  # not all of them fit
        ([(15, 17)], 3, "넷이다"),
    ],
)
def test_what_is_asked_about_stays(needed: list[Place], room: int, kept: str) -> None:
    assert cut("하나다. 둘이다. 셋이다. 넷이다.", room, needed) == kept


@given(
    st.lists(st.text("가나다 ", min_size=1, max_size=8).filter(str.strip), min_size=2, max_size=8),
    st.integers(1, 40),
    st.data(),
)
def test_what_is_left_fits_and_is_made_of_whole_sentences(sentences: list[str], room: int, data: st.DataObject) -> None:
    context = " ".join(f"{sentence.strip()}." for sentence in sentences)
    start = data.draw(st.integers(0, len(context) - 1))
    needed = [(start, start + 1)]
    kept = cut(context, room, needed)
    if len(context) > room:
        assert kept is None or 0 < len(kept) <= room
    own = next(one for one in _spans(context) if one[0] <= start < one[1])
    own_text = context[own[0] : own[1]].strip()
    if len(own_text) <= room and len(context) > room:
        assert kept is not None and own_text in kept


def _spans(context: str) -> list[Place]:
    ends = [index + 1 for index, sign in enumerate(context) if sign == "."]
    return list(zip([0, *ends[:-1]], ends, strict=True))


def test_sentences_go_from_the_end() -> None:
    context = "하나다. 둘이다. 셋이다."

    def left(budget: int, needed: list[Place]) -> list[Place]:
        return without_other_sentences(context, range(len(context)), budget, needed)

    assert left(10, []) == [(0, 9)]
    assert left(10, [(11, 12)]) == [(0, 4), (9, 14)]
    assert left(100, []) == [(0, 14)]
    assert left(0, [(8, 11)]) == [(5, 14)]  # an answer of two sentences keeps both, as one place


def test_questions_share_a_cut_where_it_holds_what_they_need() -> None:
    """Each sentence is five characters; those of two questions fit, those of three do not."""
    context = "하나다. 둘이다. 셋이다. 넷이다."
    places = {name: [(context.index(name), context.index(name) + 1)] for name in "하둘셋넷"}

    def groups(needed: str, *rooms: int) -> list[tuple[list[int], str]]:
        found = cutter().cut_for_each(context, rooms or [11] * len(needed), [places.get(name, ()) for name in needed])
        return [(group, "".join(map(chr, cut.ids))) for group, cut in found if cut]

    assert groups("하둘하") == [([0, 1, 2], "하나다. 둘이다.")]
    assert groups("셋넷셋") == [([0, 1, 2], "셋이다. 넷이다.")]
    assert groups("하셋넷하") == [([0, 1, 3], "하나다. 셋이다."), ([2], "하나다. 넷이다.")]
    assert groups("하?넷셋") == [([0, 1, 2], "하나다. 넷이다."), ([3], "하나다. 셋이다.")]
    # A long question leaves less to those that share its cut, and none to a sentence that would not fit its own.
    assert groups("하넷셋", 11, 5, 11) == [([0, 2], "하나다. 셋이다."), ([1], "넷이다.")]
    places["넷"] = [(18, 19)]
    assert groups("넷하", 3, 11) == [([0, 1], "하나다")]  # given up: its place would not fit even alone
    assert cutter(template=5).cut_for_each(context, [5, 9], [(), ()]) == [([0, 1], None)]


def test_white_space_takes_no_room() -> None:
    encoded = []

    def encode(kept: str) -> tuple[int, ...]:
        encoded.append(kept)
        return tuple(map(ord, kept))

    long = ArticleCutter(lambda text: range(len(text)), encode, template=0)
    context = " " * 50_000 + "하나다. 둘이다."
    found = long.cut(context, 10)
    assert found is not None and "".join(map(chr, found.ids)) == "하나다. 둘이다."
    assert found.holds((50_005, 50_007)) and not found.holds((0, 1))
    assert cut(context, 6) == "하나다."
    assert cut(context, 6, [(50_005, 50_006)]) == "둘이다."
    assert len(encoded) == 1

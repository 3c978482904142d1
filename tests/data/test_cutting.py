import pytest

from kqa_lightning.data.cutting import cut_to_fit, until_sentence_end


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


def test_cut_goes_on_until_it_fits() -> None:
    # An encoder for which a shortened text is one token longer than its share of the whole.
    context = "가나다라 마바사 아자차카타파하"

    def encode(kept: str) -> tuple[int, ...]:
        return (0, 0, *range(len(kept) + 1))

    ids = cut_to_fit(context, range(len(context)), room=10, template=2, encode=encode)
    assert ids is not None and len(ids) == 10


def test_no_room_for_any_of_the_article() -> None:
    assert cut_to_fit("가나다", [0, 1, 2], room=5, template=5, encode=lambda kept: (0,) * (5 + len(kept))) is None
    assert cut_to_fit("  다", [0, 1, 2], room=7, template=5, encode=lambda kept: (0,) * (5 + len(kept))) is None

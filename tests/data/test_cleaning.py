import sys
import unicodedata

import pytest

from kqa_lightning.data.cleaning import clean, is_blank, is_clean


def test_every_character_by_the_rule() -> None:
    """Controls other than tab and line breaks, and three zero-width signs: nothing else is taken out."""
    gone = {"\u200b", "\u2060", "\ufeff"}
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        taken_out = (unicodedata.category(character) == "Cc" and character not in "\t\n\r") or character in gone
        text = f"가{character}나"
        assert clean(text)[1] == int(taken_out), hex(code)
        assert is_clean(text) == (clean(text)[0] == text), hex(code)


@pytest.mark.parametrize(("text", "cleaned", "count"), [("가\u200bᆨ", "각", 1), ("한\0\0글", "한글", 2), ("", "", 0)])
def test_text_is_composed_after_what_stood_between_is_gone(text: str, cleaned: str, count: int) -> None:
    assert clean(text) == (cleaned, count)


@pytest.mark.parametrize("text", ["가", "ㅋ", ".", "👨\u200d👩", "\u3164a", "ᄀ", "0", "\u0301"])
def test_what_a_reader_sees_is_not_blank(text: str) -> None:
    assert not is_blank(text)


def test_all_white_space_controls_and_formats_are_blank() -> None:
    # Signs that enclose numerals or lines of text show, although Unicode calls them formats.
    shown = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, *range(0xFFF9, 0xFFFC)}
    for code in set(range(sys.maxunicode + 1)) - shown - set(range(0x13430, 0x13440)):
        if unicodedata.category(chr(code)) in ("Cc", "Cf", "Zs", "Zl", "Zp"):
            assert is_blank(chr(code)), hex(code)

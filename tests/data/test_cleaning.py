import sys
import unicodedata

import pytest

from kqa_lightning.data.cleaning import clean


def test_every_character_by_the_rule() -> None:
    """Controls other than tab and line breaks, and three zero-width signs: nothing else is taken out."""
    gone = {"\u200b", "\u2060", "\ufeff"}
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        taken_out = (unicodedata.category(character) == "Cc" and character not in "\t\n\r") or character in gone
        assert clean(f"가{character}나")[1] == int(taken_out), hex(code)


@pytest.mark.parametrize(("text", "cleaned", "count"), [("가\u200bᆨ", "각", 1), ("한\0\0글", "한글", 2), ("", "", 0)])
def test_text_is_composed_after_what_stood_between_is_gone(text: str, cleaned: str, count: int) -> None:
    assert clean(text) == (cleaned, count)

"""Text as every model is to see it: composed Hangul, and no characters that no reader sees."""

import re
import unicodedata
from functools import lru_cache

# Zero-width space, word joiner, byte-order mark, and control characters other than tab and line breaks.
# The joiners U+200C and U+200D stay: emoji and some scripts are made with them.
_UNSEEN = re.compile("[\u200b\u2060\ufeff\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")

# White space, controls, and what Unicode shows as nothing (Default_Ignorable_Code_Point), such as the soft hyphen,
# the marks of writing direction and the fillers of Hangul; and the empty pattern of Braille.
_SHOWN = re.compile(
    "[^\\s\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def is_blank(text: str) -> bool:
    """Return whether a reader sees nothing of ``text``."""
    return not _SHOWN.search(text)


@lru_cache(maxsize=64)  # the rows of an article follow each other
def clean(text: str) -> tuple[str, int]:
    """Take out what no reader sees, and compose (Unicode's NFC).

    Returns:
        The text, and the number of characters taken out.
    """
    seen, count = _UNSEEN.subn("", text)
    return unicodedata.normalize("NFC", seen), count


def is_clean(text: str) -> bool:
    """Whether `clean` would leave a text as it is; then it would leave every part of it so."""
    return not _UNSEEN.search(text) and unicodedata.is_normalized("NFC", text)

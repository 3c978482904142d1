"""Text as every model is to see it: composed Hangul, and no characters that no reader sees."""

import re
import unicodedata
from functools import lru_cache

# Zero-width space, word joiner, byte-order mark, and control characters other than tab and line breaks.
# The joiners U+200C and U+200D stay: emoji and some scripts are made with them.
_UNSEEN = re.compile("[\u200b\u2060\ufeff\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


@lru_cache(maxsize=64)  # the rows of an article follow each other
def clean(text: str) -> tuple[str, int]:
    """Take out what no reader sees, and compose (Unicode's NFC).

    Returns:
        The text, and the number of characters taken out.
    """
    seen, count = _UNSEEN.subn("", text)
    return unicodedata.normalize("NFC", seen), count

"""Shorten an article to a number of tokens, at a sentence end where there is one."""

import re
from collections.abc import Callable, Sequence

# An end mark with the quotes and brackets that close after it, before white space; or the end of a line.
SENTENCE_END = re.compile(r"[.!?。…][\"'”’」』》〉)\]]*(?=\s)|\S(?=\s*\n)")


def cut_to_fit(
    context: str,
    token_starts: Sequence[int],
    room: int,
    template: int,
    encode: Callable[[str], tuple[int, ...]],
) -> tuple[int, ...] | None:
    """Return the ids of a prefix whose article was shortened until they fit.

    Args:
        context: the whole article.
        token_starts: the character at which each of its tokens begins.
        room: the most ids the prefix may have.
        template: about how many of them are not the article's.
        encode: the prefix ids of a shortened article.

    Returns:
        At most ``room`` ids, or None where not one character of the article fits.
    """
    keep = min(room - template, len(token_starts) - 1)
    while keep > 0:
        kept = until_sentence_end(context, token_starts[keep])
        ids = encode(kept)
        if kept.strip() and len(ids) <= room:
            return ids
        keep -= max(len(ids) - room, 1)
    return None


def until_sentence_end(context: str, limit: int) -> str:
    """Return the whole sentences among the first ``limit`` characters, or all where no sentence ends."""
    # One character beyond the limit tells whether a sentence ends exactly there.
    ends = [match.end() for match in SENTENCE_END.finditer(context[: limit + 1]) if match.end() <= limit]
    return context[: ends[-1]] if ends else context[:limit]

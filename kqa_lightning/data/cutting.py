"""Shorten an article to a number of tokens: at a sentence end where there is one, around what is asked about."""

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import pairwise

# An end mark with the quotes and brackets that close after it, before white space; or the end of a line.
SENTENCE_END = re.compile(r"[.!?。…][\"'”’」』》〉)\]]*(?=\s)|\S(?=\s*\n)")

Place = tuple[int, int]  # characters of the article: first, and one past the last


class ArticleCutter:
    """Shortens articles to what is left of a model's context.

    Args:
        token_starts: the character at which each token of a text begins.
        encode: the prefix ids of an article.
        template: about how many of them are not the article's.
    """

    def __init__(
        self,
        token_starts: Callable[[str], Sequence[int]],
        encode: Callable[[str], tuple[int, ...]],
        template: int,
    ) -> None:
        self._token_starts = token_starts
        self._encode = encode
        self._template = template

    def cut(self, context: str, room: int, needed: Sequence[Place] = ()) -> tuple[int, ...] | None:
        """Return the ids of a prefix whose article was shortened until they fit.

        The article loses its end. Where that would take a needed place, sentences without one go instead, the last
        ones first; only where the needed sentences alone are too long do they lose their end.

        Args:
            context: the whole article.
            room: the most ids the prefix may have.
            needed: the places of the answers, where they are known.

        Returns:
            At most ``room`` ids, or None where not one character of the article fits.
        """
        cut = self._cut_end(context, room)
        if cut is None or all(end <= len(cut[0]) for _, end in needed):
            return None if cut is None else cut[1]
        budget = room - self._template
        while budget > 0:
            shorter = without_other_sentences(context, self._token_starts(context), budget, needed)
            ids = self._encode(shorter)
            if len(ids) <= room:
                return ids
            if shorter == without_other_sentences(context, (), 0, needed):
                break
            budget -= len(ids) - room
        cut = self._cut_end(without_other_sentences(context, (), 0, needed), room)
        return None if cut is None else cut[1]

    def _cut_end(self, context: str, room: int) -> tuple[str, tuple[int, ...]] | None:
        """Return the beginning of the article that fits, and its prefix ids."""
        starts = self._token_starts(context)
        keep = min(room - self._template, len(starts) - 1)
        while keep > 0:
            kept = until_sentence_end(context, starts[keep])
            ids = self._encode(kept)
            if kept.strip() and len(ids) <= room:
                return kept, ids
            keep -= max(len(ids) - room, 1)
        return None


def until_sentence_end(context: str, limit: int) -> str:
    """Return the whole sentences among the first ``limit`` characters, or all where no sentence ends."""
    # One character beyond the limit tells whether a sentence ends exactly there.
    ends = [match.end() for match in SENTENCE_END.finditer(context[: limit + 1]) if match.end() <= limit]
    return context[: ends[-1]] if ends else context[:limit]


def without_other_sentences(context: str, token_starts: Sequence[int], budget: int, needed: Sequence[Place]) -> str:
    """Drop sentences from the end, but none that holds a needed place, until about ``budget`` tokens are left."""
    ends = [match.end() for match in SENTENCE_END.finditer(context)]
    bounds = sorted({0, *ends, len(context)})
    kept: list[str] = []
    left = len(token_starts)
    for start, end in reversed(list(pairwise(bounds))):
        holds = any(first < end and start < past for first, past in needed)
        if holds or 0 < left <= budget:
            kept.append(context[start:end])
        else:
            left -= bisect_left(token_starts, end) - bisect_left(token_starts, start)
    return "".join(reversed(kept)).strip()

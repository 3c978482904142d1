"""Shorten an article to a number of tokens: at a sentence end where there is one, around what is asked about."""

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

# An end mark with the quotes and brackets that close after it, before white space; or the end of a line.
SENTENCE_END = re.compile(r"[.!?。…][\"'”’」』》〉)\]]*(?=\s)|\S(?=\s*\n)")

Place = tuple[int, int]  # characters of the article: first, and one past the last


class Cut(NamedTuple):
    """What is left of an article.

    Args:
        ids: of the prefix that holds it.
        kept: its places in the whole article, in order.
    """

    ids: tuple[int, ...]
    kept: tuple[Place, ...]

    def holds(self, place: Place) -> bool:
        """Whether nothing of a place of the whole article is gone."""
        return any(first <= place[0] and place[1] <= past for first, past in self.kept)


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

    def cut(self, context: str, room: int, needed: Sequence[Place] = ()) -> Cut | None:
        """Return a part of the article that fits.

        The article loses its end. Where that would take a needed place, sentences without one go instead, the last
        ones first; only where the needed sentences alone are too long do they lose their end.

        Args:
            context: the whole article.
            room: the most ids the prefix may have.
            needed: the places of the answers, where they are known.

        Returns:
            At most ``room`` ids, or None where not one character of the article fits.
        """
        beginning = self._cut_end(context, [(0, len(context))], room)
        if beginning is None or all(map(beginning.holds, needed)):
            return beginning
        starts = self._token_starts(context)
        least = without_other_sentences(context, (), 0, needed)
        budget = room - self._template
        while budget > 0:
            spans = without_other_sentences(context, starts, budget, needed)
            ids = self._encode(_text(context, spans))
            if len(ids) <= room:
                return Cut(ids, tuple(spans))
            if spans == least:
                break
            budget -= len(ids) - room
        return self._cut_end(context, least, room) or beginning

    def cut_for_each(
        self, context: str, rooms: Sequence[int], needed: Sequence[Sequence[Place]]
    ) -> list[tuple[list[int], Cut | None]]:
        """Cut an article for several questions: once for all where that keeps what they need, else in groups.

        A question joins the first group whose cut can keep its places as well. Places that are too long for a
        question on its own are given up, so that they cost no other question anything.

        Args:
            context: the whole article.
            rooms: the most ids the prefix may have, for each question.
            needed: the places that each question needs.

        Returns:
            The questions of each group, by number, with its part of the article; None for a question that leaves
            no room for any.
        """

        def cut(group: Sequence[int]) -> Cut | None:
            return self.cut(context, min(rooms[one] for one in group), [p for one in group for p in needed[one]])

        def keeps(group: Sequence[int], found: Cut | None) -> bool:
            return found is None or all(found.holds(place) for one in group for place in needed[one])

        everyone = list(range(len(rooms)))
        shared = cut(everyone)
        if keeps(everyone, shared):
            return [(everyone, shared)]
        needed = [places if keeps([one], cut([one])) else () for one, places in enumerate(needed)]
        groups: list[tuple[list[int], Cut | None]] = []
        for one in everyone:
            for index, (group, _) in enumerate(groups):
                joint = cut([*group, one])
                if keeps([*group, one], joint):
                    groups[index] = ([*group, one], joint)
                    break
            else:
                groups.append(([one], cut([one])))
        return groups

    def _cut_end(self, context: str, spans: Sequence[Place], room: int) -> Cut | None:
        """Return the beginning that fits of these places of the article."""
        spans = _without_blank_start(context, spans)
        text = _text(context, spans)
        starts = self._token_starts(text)
        keep = min(room - self._template, len(starts))
        while keep > 0:
            kept = until_sentence_end(text, starts[keep]) if keep < len(starts) else text
            ids = self._encode(kept)
            if len(ids) <= room:
                return Cut(ids, tuple(_beginning(spans, len(kept)))) if kept.strip() else None
            keep -= len(ids) - room
        return None


def until_sentence_end(context: str, limit: int) -> str:
    """Return the whole sentences among the first ``limit`` characters, or all where no sentence ends."""
    # One character beyond the limit tells whether a sentence ends exactly there.
    ends = [match.end() for match in SENTENCE_END.finditer(context[: limit + 1]) if match.end() <= limit]
    return context[: ends[-1]] if ends else context[:limit]


def without_other_sentences(
    context: str, token_starts: Sequence[int], budget: int, needed: Sequence[Place]
) -> list[Place]:
    """Drop sentences from the end, but none that holds a needed place, until about ``budget`` tokens are left.

    Returns:
        The places that are left, neighbours as one.
    """
    ends = [match.end() for match in SENTENCE_END.finditer(context)]
    bounds = sorted({0, *ends, len(context)})
    kept: list[Place] = []
    left = len(token_starts)
    for start, end in reversed(list(pairwise(bounds))):
        holds = any(first < end and start < past for first, past in needed)
        if holds or 0 < left <= budget:
            # A place of two sentences is whole where both are.
            kept.append((start, kept.pop()[1]) if kept and kept[-1][0] == end else (start, end))
        else:
            left -= bisect_left(token_starts, end) - bisect_left(token_starts, start)
    return _without_blank_start(context, kept[::-1])


def _text(context: str, spans: Sequence[Place]) -> str:
    return "".join(context[start:end] for start, end in spans)


def _without_blank_start(context: str, spans: Sequence[Place]) -> list[Place]:
    """White space before a text says nothing, and where there is much of it, it would take all the room."""
    for index, (start, end) in enumerate(spans):
        if text := context[start:end].lstrip():
            return [(end - len(text), end), *spans[index + 1 :]]
    return []


def _beginning(spans: Sequence[Place], length: int) -> list[Place]:
    """The places that hold the first ``length`` characters of all of them."""
    kept: list[Place] = []
    for start, end in spans:
        if length > 0:
            kept.append((start, min(end, start + length)))
        length -= end - start
    return kept

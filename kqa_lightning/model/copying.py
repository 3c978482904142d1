"""Answers that are copied: only tokens that spell out a piece of the article, however it was tokenized itself."""

import re
from collections.abc import Sequence
from itertools import accumulate
from math import inf
from typing import TYPE_CHECKING

from kqa_lightning.data.questions import Question
from kqa_lightning.data.vocabulary import TokenBytes
from kqa_lightning.errors import KQAError
from kqa_lightning.model.decoding import Allowed

if TYPE_CHECKING:
    from kqa_lightning.data.encoding import EncodedArticle, PromptEncoder

_ENDING = -1  # in place of a place in the article: the answer is over, and its ending follows
_KEPT = 256  # articles; those of a batch are asked for again with each group of their questions
# A word, a sign, or a number within a word; not the fraction of a number.
_START = re.compile(r"(?<!\w)(?!(?<=\d[.,])\d)(?=\S)|(?<=[^\W\d])(?=\d)")
_STOP = re.compile(r"(?<=\S)(?!(?<=\d)[.,]?\d)(?!(?<=\d[.,])\d)(?!(?<=[A-Za-z])[A-Za-z])")


class CopyConstraint:
    """For each article, which ids may follow those of an answer so far.

    An answer is a piece of one line of the article that begins where a word does (or a number within one), with the
    space before it or without, and ends anywhere but within a number or a Latin word: particles follow Korean words
    without a space. Text is compared and not tokens: an answer is rarely tokenized as the same words in an article.

    Args:
        encoder: Of the prompts that are answered.
        max_new_tokens: Most tokens an answer gets; the last of them end where an answer may.
    """

    def __init__(self, encoder: "PromptEncoder", max_new_tokens: int) -> None:
        self._encoder, self._length = encoder, max_new_tokens
        self._tokens = TokenBytes(encoder.tokenizer)
        ending = encoder.encode_articles([("가", [Question(0, "가", "")])], "train")[0][0].questions[0].answer_ids
        first = next(place for place, one in enumerate(ending) if one in encoder.end_ids)
        self._ending = ending[: first + 1]
        self._around = self._template()
        self._known: dict[tuple[int, ...], Spans] = {}

    def __call__(self, article: "EncodedArticle") -> Allowed:
        """Which ids may follow those of an answer to a question on ``article``.

        Raises:
            KQAError: the tokenizer has tokens of which cannot be told what they write.
        """
        if article.prefix_ids not in self._known:
            if len(self._known) >= _KEPT:
                self._known.clear()
            text, ends = self.text_of(article), self._encoder.end_ids
            self._known[article.prefix_ids] = Spans(text, self._tokens, self._ending, ends, self._length)
        return self._known[article.prefix_ids].allowed

    def text_of(self, article: "EncodedArticle") -> str:
        """The article, as much of it as the prompt has.

        Raises:
            KQAError: its tokens do not write what they decode to.
        """
        before, after = self._around
        prompt = self._encoder.text.decode(article.prefix_ids)
        text = prompt[before : len(prompt) - after]
        ids = self._encoder.text.encode(text)
        if b"".join(self._tokens.by_id.get(one, b"") for one in ids) != text.encode():
            raise KQAError(
                "--model.copy_answers true: of the tokens of this base model cannot be told what they write;"
                " pass --model.copy_answers false"
            )
        return text

    def _template(self) -> tuple[int, int]:
        """Characters of the prompt before and after an article."""
        articles = self._encoder.encode_articles([(text, [Question(0, "가")]) for text in ("가", "나")], "inference")
        one, other = (self._encoder.text.decode(article[0].prefix_ids) for article in articles)
        place = next(i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)
        return place, len(one) - place - 1


class Spans:
    """The pieces of one text that an answer may be.

    Args:
        text: The article.
        tokens: What each token writes.
        ending: The ids that end an answer in training: text before the end token, if any, and that token.
        end_ids: All ids that end an answer.
        length: Most tokens of an answer.
    """

    def __init__(
        self, text: str, tokens: TokenBytes, ending: Sequence[int], end_ids: Sequence[int], length: int
    ) -> None:
        self._tokens, self._ending, self._end_ids, self._length = tokens, tuple(ending), tuple(end_ids), length
        self._text = text.encode()
        starts, self._stops = _boundaries(text)
        self._fewest: dict[int, float] = {}
        self._continuations: dict[int, list[tuple[int, int]]] = {}
        self._states: dict[tuple[int, ...], frozenset[int]] = {(): frozenset(starts)}

    def allowed(self, so_far: tuple[int, ...]) -> list[int]:
        """The ids that may follow ``so_far``; never none."""
        places = self._places(so_far)
        if _ENDING in places:
            return [self._ending[self._ended_at(so_far)]]
        left = self._length - len(so_far) - 1
        found = {one for place in places for one, end in self._from(place) if self._fewest_to_stop(end) <= left}
        if not found or (so_far and not self._stops.isdisjoint(places)):
            found |= {*self._end_ids, self._ending[0]}
        return sorted(found)

    def _places(self, so_far: tuple[int, ...]) -> frozenset[int]:
        """Where in the text, in bytes, an answer so far ends."""
        if so_far not in self._states:
            *before, last = so_far
            places = self._places(tuple(before))
            found = {end for place in places if place != _ENDING for one, end in self._from(place) if one == last}
            # What is no piece of the text can only be its ending.
            self._states[so_far] = frozenset(found or {_ENDING})
        return self._states[so_far]

    def _fewest_to_stop(self, place: int) -> float:
        """The fewest tokens with which an answer goes on from ``place`` to where it may end; infinite where none do."""
        waiting = [place]
        while waiting:  # no recursion: a number may have thousands of digits
            last = waiting[-1]
            ends = [] if last in self._stops else [end for _, end in self._from(last)]
            if unknown := [end for end in ends if end not in self._fewest]:
                waiting += unknown
                continue
            after = min((self._fewest[end] for end in ends), default=inf)
            self._fewest[last] = 0 if last in self._stops else 1 + after
            waiting.pop()
        return self._fewest[place]

    def _from(self, place: int) -> list[tuple[int, int]]:
        if place not in self._continuations:
            line_end = self._text.find(b"\n", place)
            text = self._text if line_end < 0 else self._text[:line_end]  # an answer is one line
            self._continuations[place] = self._tokens.continuations(text, place)
        return self._continuations[place]

    def _ended_at(self, so_far: tuple[int, ...]) -> int:
        """How many ids of the ending there are."""
        count = 1
        while count < len(so_far) and _ENDING in self._places(so_far[:-count]):
            count += 1
        return min(count, len(self._ending) - 1)


def _boundaries(text: str) -> tuple[list[int], set[int]]:
    """Where answers may begin and where they may end, in bytes of UTF-8."""
    places = [0, *accumulate(len(sign.encode()) for sign in text)]
    starts = [match.start() for match in _START.finditer(text)]
    with_space = [start - 1 for start in starts if start and text[start - 1] == " "]
    return [places[start] for start in (*starts, *with_space)], {places[m.start()] for m in _STOP.finditer(text)}

"""Where an answer stands in its article, and how near to what the question speaks of.

Questions and articles inflect the same word differently, so that they are compared by pairs of neighbouring
characters; a pair that few sentences have says more about where to look than one that all have.
"""

import math
import re
from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate

from kqa_lightning.metrics.functional import normalize_answer

CLUES = ("in question", "in article", "is whole word", "occurrences", "place", "nearness", "nearness lead", "distance")
_SENTENCE_END = re.compile(r"(?<=[.?!])\s+|\n+")


class Article:
    """An article cut into sentences, each normalised as answers are.

    Args:
        text: the article.
    """

    def __init__(self, text: str) -> None:
        sentences = filter(None, map(normalize_answer, _SENTENCE_END.split(text)))
        self.spaced = [f" {sentence} " for sentence in sentences]
        self.sentences = [sentence.replace(" ", "") for sentence in self.spaced]
        self.whole = "\n".join(self.sentences)  # no answer has a line break once it is normalised
        self.ends = list(accumulate(len(sentence) + 1 for sentence in self.sentences))
        self._holders: dict[str, list[int]] = {}  # of the pairs asked for so far

    def holders(self, pair: str) -> list[int]:
        """The places of the sentences that have a pair within one of their words, ascending."""
        found = self._holders.get(pair)
        if found is None:
            found = self._holders[pair] = [place for place, spaced in enumerate(self.spaced) if pair in spaced]
        return found

    def holding(self, text: str) -> dict[int, int]:
        """The sentences that a text without spaces stands in, first to last, and how often it does."""
        found: dict[int, int] = {}
        start = self.whole.find(text)
        while start >= 0:
            place = bisect_right(self.ends, start)
            found[place] = found.get(place, 0) + 1
            start = self.whole.find(text, start + len(text))
        return found


class Clues:
    """What an article and a question say about answers.

    Args:
        context: the article.
        question: the question.
    """

    def __init__(self, context: str, question: str) -> None:
        article = self._article = _article(context)
        normalized = normalize_answer(question)
        self._question = normalized.replace(" ", "")
        holders = {pair: places for pair in _pairs(normalized) if (places := article.holders(pair))}
        asked = {pair: math.log((1 + len(article.spaced)) / len(places)) for pair, places in holders.items()}
        # Of each sentence the pairs of the question that it has, the rarest first.
        self._spoken: list[list[tuple[float, str]]] = [[] for _ in article.sentences]
        for spoken in sorted(((rarity, pair) for pair, rarity in asked.items()), reverse=True):
            for place in holders[spoken[1]]:
                self._spoken[place].append(spoken)
        # Exact, since a set has another order in each process.
        total = math.fsum(asked.values()) or 1.0
        self._nearness = [math.fsum([rarity for rarity, _ in one]) / total for one in self._spoken]
        self._nearest = [*sorted(self._nearness, reverse=True)[:2], 0.0]  # 0 for the other of one sentence

    def of(self, answer: str) -> list[float]:
        """The clues to one normalised answer, in the order of `CLUES`; NaN for those of an answer that is not there.

        ``nearness`` is the share of what the question speaks of that the best sentence with the answer speaks of
        too, from 0 to 1; ``nearness lead`` that less the nearness of the best sentence without the answer;
        ``distance`` how many characters there lie from where the rarest pair of the question begins to where the
        answer does, or the other way.
        """
        text = answer.replace(" ", "")
        in_question = float(bool(text) and text in self._question)
        article, nearness = self._article, self._nearness
        first = article.whole.find(text) if text else -1
        if first < 0:
            return [in_question, 0.0, 0.0, 0.0, *[math.nan] * 4]
        if article.whole.find(text, first + 1) < 0:  # once, as nearly every answer
            best, count = bisect_right(article.ends, first), 1
            starts_word = _starts_word(answer, article.spaced[best])
            other = self._nearest[nearness[best] == self._nearest[0]]
            starts = [first - article.ends[best] + len(article.sentences[best]) + 1]
        else:
            holding = article.holding(text)
            best, count = max(holding, key=nearness.__getitem__), sum(holding.values())
            starts_word = any(_starts_word(answer, article.spaced[place]) for place in holding)
            other = max((near for place, near in enumerate(nearness) if place not in holding), default=0.0)
            starts = _starts(text, article.sentences[best])
        near = nearness[best]
        distance = self._distance(text, best, starts)
        return [in_question, 1.0, float(starts_word), float(count), best / len(nearness), near, near - other, distance]

    def _distance(self, text: str, place: int, starts: list[int]) -> float:
        sentence = self._article.sentences[place]
        spots: list[int] = []
        most = 0.0
        for rarity, pair in self._spoken[place]:
            if spots and rarity < most:
                break
            if pair not in text:
                spots.append(sentence.find(pair))
                most = rarity
        if not spots:
            return math.nan
        return float(min([abs(start - spot) for start in starts for spot in spots]))


def _starts_word(answer: str, spaced: str) -> bool:
    """Whether an answer begins a word of a sentence, and a number in it is a whole one: 3 is none in 30명."""
    word = f" {answer}"
    if not answer[-1].isdigit():
        return word in spaced
    return any(not spaced[start + len(word)].isdigit() for start in _starts(word, spaced))


@lru_cache(maxsize=256)  # the questions on one article mostly follow each other
def _article(text: str) -> Article:
    return Article(text)


def _pairs(text: str) -> set[str]:
    """The pairs of neighbouring characters within the words of a text."""
    return {word[place : place + 2] for word in text.split() for place in range(len(word) - 1)}


def _starts(text: str, sentence: str) -> list[int]:
    starts = []
    start = sentence.find(text)
    while start >= 0:
        starts.append(start)
        start = sentence.find(text, start + 1)
    return starts

"""Where an answer stands in its article, and how near to what the question speaks of.

Questions and articles inflect the same word differently, so that they are compared by pairs of neighbouring
characters; a pair that few sentences have says more about where to look than one that all have.
"""

import math
import re
from bisect import bisect_right
from collections import Counter
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
        self.pairs = [_pairs(sentence) for sentence in self.spaced]
        holders = Counter(pair for pairs in self.pairs for pair in pairs)
        self.rarity = {pair: math.log((1 + len(self.pairs)) / count) for pair, count in holders.items()}
        self._whole = "\n".join(self.sentences)  # no answer has a line break once it is normalised
        self._ends = list(accumulate(len(sentence) + 1 for sentence in self.sentences))

    def holding(self, text: str) -> dict[int, int]:
        """The sentences that a text without spaces stands in, first to last, and how often it does."""
        found: dict[int, int] = {}
        start = self._whole.find(text)
        while start >= 0:
            place = bisect_right(self._ends, start)
            found[place] = found.get(place, 0) + 1
            start = self._whole.find(text, start + len(text))
        return found


class Clues:
    """What an article and a question say about answers.

    Args:
        context: the article.
        question: the question.
    """

    def __init__(self, context: str, question: str) -> None:
        self._article = _article(context)
        normalized = normalize_answer(question)
        self._question = normalized.replace(" ", "")
        self._asked = {pair for pair in _pairs(normalized) if pair in self._article.rarity}
        total = self._weight(self._asked) or 1.0
        self._nearness = [self._weight(self._asked & pairs) / total for pairs in self._article.pairs]
        self._nearest_first = sorted(range(len(self._nearness)), key=self._nearness.__getitem__, reverse=True)
        self._landmarks: dict[int, list[tuple[float, str, int]]] = {}

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
        holding = article.holding(text) if text else {}
        if not holding:
            return [in_question, 0.0, 0.0, 0.0, *[math.nan] * 4]
        best = max(holding, key=nearness.__getitem__)
        other = next((nearness[place] for place in self._nearest_first if place not in holding), 0.0)
        return [
            in_question,
            1.0,
            float(any(_starts_word(answer, article.spaced[place]) for place in holding)),
            float(sum(holding.values())),
            best / len(nearness),
            nearness[best],
            nearness[best] - other,
            self._distance(text, best),
        ]

    def _weight(self, pairs: set[str]) -> float:
        # Exact, since a set has another order in each process.
        return math.fsum(self._article.rarity[pair] for pair in pairs)

    def _distance(self, text: str, place: int) -> float:
        if place not in self._landmarks:
            self._landmarks[place] = self._landmarks_of(place)
        spots: list[int] = []
        most = 0.0
        for rarity, pair, spot in self._landmarks[place]:
            if spots and rarity < most:
                break
            if pair not in text:
                spots.append(spot)
                most = rarity
        if not spots:
            return math.nan
        starts = _starts(text, self._article.sentences[place])
        return float(min(abs(start - spot) for start in starts for spot in spots))

    def _landmarks_of(self, place: int) -> list[tuple[float, str, int]]:
        """What a sentence has of the question, rarest first: how rare, the pair, where it is first."""
        article = self._article
        pairs = self._asked & article.pairs[place]
        return sorted(
            ((article.rarity[pair], pair, article.sentences[place].find(pair)) for pair in pairs), reverse=True
        )


def _starts_word(answer: str, spaced: str) -> bool:
    """Whether an answer begins a word of a sentence, and a number in it is a whole one: 3 is none in 30명."""
    starts, size = _starts(f" {answer}", spaced), len(answer) + 1
    return any(not (answer[-1].isdigit() and spaced[start + size].isdigit()) for start in starts)


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

"""Where an answer stands in its article, and how near to what the question speaks of.

Questions and articles inflect the same word differently, so that they are compared by pairs of neighbouring
characters; a pair that few sentences have says more about where to look than one that all have.
"""

import math
import re
from collections import Counter
from functools import lru_cache

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

    def of(self, answer: str) -> list[float]:
        """The clues to one normalised answer, in the order of `CLUES`; NaN for those of an answer that is not there.

        ``nearness`` is the share of what the question speaks of that the best sentence with the answer speaks of
        too, from 0 to 1; ``nearness lead`` that less the nearness of the best sentence without the answer;
        ``distance`` how many characters there lie from where the rarest pair of the question begins to where the
        answer does, or the other way.
        """
        text = answer.replace(" ", "")
        in_question = float(bool(text) and text in self._question)
        counts = [sentence.count(text) for sentence in self._article.sentences] if text else []
        holding = [place for place, count in enumerate(counts) if count]
        if not holding:
            return [in_question, 0.0, 0.0, 0.0, *[math.nan] * 4]
        best = max(holding, key=self._nearness.__getitem__)
        others = [nearness for count, nearness in zip(counts, self._nearness, strict=True) if not count]
        return [
            in_question,
            1.0,
            float(any(_starts_word(answer, self._article.spaced[place]) for place in holding)),
            float(sum(counts)),
            best / len(counts),
            self._nearness[best],
            self._nearness[best] - max(others, default=0.0),
            self._distance(text, best),
        ]

    def _weight(self, pairs: set[str]) -> float:
        # Exact, since a set has another order in each process.
        return math.fsum(self._article.rarity[pair] for pair in pairs)

    def _distance(self, text: str, place: int) -> float:
        sentence = self._article.sentences[place]
        known = [pair for pair in self._asked & self._article.pairs[place] if pair not in text]
        if not known:
            return math.nan
        most = max(self._article.rarity[pair] for pair in known)
        spots = [sentence.find(pair) for pair in known if self._article.rarity[pair] == most]
        return float(min(abs(start - spot) for start in _starts(text, sentence) for spot in spots))


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

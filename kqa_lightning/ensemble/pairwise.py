"""Character F1 of many pairs of answers at once, equal to the last bit to `metrics.functional.char_f1`.

The characters that two answers share are a multiset intersection. It becomes one of sets, which sorting finds,
when the second 가 of an answer counts as another character than the first.
"""

from collections.abc import Iterable, Sequence
from itertools import chain, islice, pairwise

import numpy as np
from numpy.typing import NDArray

from kqa_lightning.ensemble.parallel import in_parts, spread
from kqa_lightning.metrics.functional import normalize_answer

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

_AT_ONCE = 4_000_000  # characters compared in one step: some 100 MB
_TO_NORMALIZE = 200_000  # answers, which takes a second
_CODES = 0x110000  # as many characters as Unicode has room for


class AnswerTable:
    """The distinct normalised answers of a set that may grow, each with a number to name it by.

    One table for all that is compared in a run: an answer is normalised once, however often it is asked for.

    Args:
        answers: those that it starts with, as they stand; repetitions cost little.

    Attributes:
        texts: the normalised answers, by number.

    >>> table = AnswerTable(["25명", "'25명'", "1710명"])
    >>> table.numbers(["'25명'", "1710명", "25 명"]), table.f1(np.array([0]), np.array([1]))
    (array([0, 1, 2]), array([0.25]))
    """

    def __init__(self, answers: Iterable[str] = ()) -> None:
        self.texts: list[str] = []
        self._numbers: dict[str, int] = {}  # of answers as they stand
        self._of_text: dict[str, int] = {}  # and of normalised ones
        self._characters: Integers = np.zeros(0, np.int64)
        self._starts: Integers = np.zeros(1, np.int64)
        self._kinds = 1
        self._add(answers)

    def numbers(self, answers: Sequence[str]) -> Integers:
        """The number of each answer, (answers,): the same for answers that are equal after normalisation."""
        try:
            return np.fromiter(map(self._numbers.__getitem__, answers), np.int64, len(answers))
        except KeyError:
            self._add(answers)
            return self.numbers(answers)

    def sizes(self, numbers: Integers) -> Integers:
        """How many characters that count each of the answers has, (answers,)."""
        return self._starts[numbers + 1] - self._starts[numbers]

    def shared(self, first: Integers, second: Integers) -> Integers:
        """How many characters the answers of each pair have in common, (pairs,)."""
        work = np.cumsum(self.sizes(first) + self.sizes(second) + 1)
        steps = np.arange(_AT_ONCE, work[-1] if len(work) else 0, _AT_ONCE)
        parts = [0, *np.searchsorted(work, steps), len(first)]
        counts = [self._shared(first[start:end], second[start:end]) for start, end in pairwise(parts)]
        return np.concatenate(counts)

    def f1(self, first: Integers, second: Integers) -> Floats:
        """Character F1 of each pair, (pairs,), from 0 to 1; nothing shared is 0, also where both are empty.

        Args:
            first: numbers of the pairs' first answers, (pairs,).
            second: numbers of their second answers, (pairs,).
        """
        total = self.sizes(first) + self.sizes(second)
        return 2 * self.shared(first, second) / np.maximum(total, 1)

    def f1_within(self, sets: Integers) -> Floats:
        """Character F1 of every answer of a set with every one of the same set, itself included.

        Args:
            sets: numbers of answers, (sets, answers).

        Returns:
            F1, (sets, answers, answers).
        """
        count, answers = sets.shape
        sizes = self.sizes(sets.ravel())
        owner, characters = np.divmod(self._keys(sets.ravel()), self._kinds)
        keys = np.sort((owner // answers * self._kinds + characters) * answers + owner % answers)
        # Each set numbers the characters that occur in it from 0: few enough for a matrix of answers by characters.
        spots, answer = np.divmod(keys, answers)
        owning = spots // self._kinds
        local = np.cumsum(np.diff(spots, prepend=-1) != 0) - 1
        local -= local[np.searchsorted(owning, np.arange(count))[owning]]
        width = int(local.max(initial=0)) + 1
        if count > 1 and count * answers * width > _AT_ONCE:  # one answer as long as an article is enough for that
            half = count // 2
            return np.concatenate([self.f1_within(sets[:half]), self.f1_within(sets[half:])])
        holds = np.zeros((count, answers, width), np.float32)
        holds[owning, answer, local] = 1
        shared = (holds @ holds.transpose(0, 2, 1)).astype(np.float64)
        totals = sizes.reshape(count, answers, 1) + sizes.reshape(count, 1, answers)
        return 2 * shared / np.maximum(totals, 1)

    def _add(self, answers: Iterable[str]) -> None:
        new = [answer for answer in dict.fromkeys(answers) if answer not in self._numbers]
        normalized = chain.from_iterable(spread(_normalize, in_parts(new, _TO_NORMALIZE)))
        for answer, text in zip(new, normalized, strict=True):
            self._numbers[answer] = self._of_text.setdefault(text, len(self._of_text))
        texts = list(islice(self._of_text, len(self.texts), None))
        characters, starts = _as_sets([text.replace(" ", "") for text in texts])
        self.texts += texts
        self._characters = np.concatenate([self._characters, characters])
        self._starts = np.concatenate([self._starts, self._starts[-1] + starts[1:]])
        self._kinds = max(self._kinds, int(characters.max(initial=0)) + 1)

    def _shared(self, first: Integers, second: Integers) -> Integers:
        # A character that stands in both answers of a pair comes up twice under that pair.
        keys = np.sort(np.concatenate([self._keys(first), self._keys(second)]))
        twice = keys[1:][keys[1:] == keys[:-1]]
        return np.bincount(twice // self._kinds, minlength=len(first))

    def _keys(self, numbers: Integers) -> Integers:
        """The characters of these answers, marked with their place among them: place times kinds plus kind."""
        sizes = self.sizes(numbers)
        ends = np.cumsum(sizes)
        within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - sizes, sizes)
        characters = self._characters[np.repeat(self._starts[numbers], sizes) + within]
        return np.repeat(np.arange(len(numbers)), sizes) * self._kinds + characters


def pairwise_f1(first: Sequence[str], second: Sequence[str]) -> Floats:
    """Character F1 of each answer of one list with its neighbour in the other, (pairs,).

    Raises:
        ValueError: the lists differ in length.

    >>> pairwise_f1(["25명", "14일", ""], ["1710명", "14일, 다섯 차례", ""])
    array([0.25, 0.6 , 0.  ])
    """
    if len(first) != len(second):
        raise ValueError(f"pairs need two answers each; there are {len(first)} and {len(second)}")
    table = AnswerTable(chain(first, second))
    return table.f1(table.numbers(first), table.numbers(second))


def _normalize(answers: Sequence[str]) -> list[str]:
    return list(map(normalize_answer, answers))


def _as_sets(texts: Sequence[str]) -> tuple[Integers, Integers]:
    """The characters of each text as numbers that differ from each other, and where each text starts.

    Returns:
        Characters, (characters of all texts,), and starts, (texts + 1,).
    """
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.int64)
    sizes = np.fromiter(map(len, texts), np.int64, count=len(texts))
    # Sorted by text and code, equal characters of a text stand side by side, and a running count tells them apart.
    keys = np.sort(np.repeat(np.arange(len(texts)), sizes) * _CODES + codes)
    places = np.arange(len(keys))
    first_of_its_kind = np.maximum.accumulate(np.where(np.diff(keys, prepend=-1) != 0, places, 0))
    return (places - first_of_its_kind) * _CODES + keys % _CODES, np.concatenate([[0], np.cumsum(sizes)])

"""The distinct answers to each question, and how far they agree: what the learned strategies score.

Candidates that are equal after normalisation are one hypothesis. Their weights add up; the one listed first lends
its surface form.
"""

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from kqa_lightning.ensemble.candidates import CandidatePool
from kqa_lightning.ensemble.pairwise import Floats, Integers

TIE = 1e-12  # sums of F1 closer than this differ by rounding alone
_AT_ONCE = 2_000_000  # places in a block of matrices: some 100 MB


class Hypotheses:
    """The distinct normalised answers to the questions of a pool, sorted by question, then by first mention.

    Attributes:
        pool: the candidates.
        table: theirs.
        number: of each hypothesis the number of its answer in the table of all, (hypotheses,).
        first: of each the place of the first candidate that gives it, (hypotheses,).
        question: of each the place of its question, (hypotheses,), ascending.
        starts: of each question the place of its first hypothesis, (questions,).
        of: of each candidate its hypothesis, (candidates,).
        is_empty: whether nothing is left of it after normalisation: an abstention, (hypotheses,).

    Args:
        pool: the candidates.
    """

    def __init__(self, pool: CandidatePool) -> None:
        self.pool = pool
        self.table = pool.table
        numbers = pool.numbers
        keys = pool.question * (int(numbers.max()) + 1) + numbers
        _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        order = np.argsort(first)  # candidates are sorted by question, so that hypotheses are too
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        self.first: Integers = first[order]
        self.of: Integers = place[inverse]
        self.number: Integers = numbers[self.first]
        self.question: Integers = pool.question[self.first]
        self.starts: Integers = np.searchsorted(self.question, np.arange(len(pool.questions)))
        self.is_empty = self.table.sizes(self.number) == 0

    def __len__(self) -> int:
        """The number of hypotheses."""
        return len(self.first)

    @cached_property
    def votes(self) -> Floats:
        """Whether each hypothesis is the own answer of each model, 0 or 1, (hypotheses, models)."""
        return self.masses((self.pool.rank == 0).astype(np.float64))

    def masses(self, weights: Floats) -> Floats:
        """The weights of the candidates, (candidates,), added up by hypothesis and model: (hypotheses, models)."""
        models = len(self.pool.models)
        cells = self.of * models + self.pool.model
        sums = np.bincount(cells, weights, minlength=len(self) * models)
        return sums.astype(np.float64, copy=False).reshape(-1, models)

    def agreement(self, masses: Floats) -> Floats:
        """Character F1 of each hypothesis with all those of its question, itself included, summed by their masses.

        Args:
            masses: (hypotheses, columns), each column by itself.

        Returns:
            Sums, (hypotheses, columns). An empty hypothesis agrees with nothing, not even with itself.
        """
        sums = np.empty_like(masses)
        for rows in self._blocks():
            # rows: (questions, hypotheses of each), and so f1 is (questions, hypotheses, hypotheses)
            sums[rows] = self.table.f1_within(self.number[rows]) @ masses[rows]
        return sums

    def pick(self, scores: Floats, weights: Floats) -> Integers:
        """The hypothesis with the highest score; at a tie that with more weight, then the one mentioned first.

        Args:
            scores: (hypotheses,); those closer than `TIE` tie.
            weights: (hypotheses,); the same.

        Returns:
            Of each question the place of the first candidate that gives it, (questions,). An abstention is chosen
            only where there is nothing else.
        """
        left = ~self.is_empty | (self._sizes() == 1)[self.question]
        for values in (scores, weights):
            among = np.where(left, values, -np.inf)
            left &= among >= np.maximum.reduceat(among, self.starts)[self.question] - TIE
        chosen = np.flatnonzero(left)
        return self.first[chosen[np.searchsorted(self.question[chosen], np.arange(len(self.starts)))]]

    def _sizes(self) -> Integers:
        """Of each question how many hypotheses it has, (questions,)."""
        return np.diff(self.starts, append=len(self))

    def _blocks(self) -> Iterator[Integers]:
        """The hypotheses by question, as blocks of questions that have equally many: (questions, hypotheses)."""
        sizes = self._sizes()
        for size in np.unique(sizes):
            starts = self.starts[sizes == size]
            step = max(1, _AT_ONCE // (int(size) * max(int(size), 32)))
            for begin in range(0, len(starts), step):
                yield starts[begin : begin + step, None] + np.arange(size)

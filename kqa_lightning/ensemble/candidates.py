"""All candidates of all models to the same questions, in columns: what the learned strategies choose from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import compress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kqa_lightning.ensemble.candidate_files import ModelCandidates
from kqa_lightning.ensemble.pairwise import AnswerTable, Floats, Integers
from kqa_lightning.ensemble.predictions import check_same_ids
from kqa_lightning.ensemble.reading import read_files


@dataclass(frozen=True)
class CandidatePool:
    """The candidates, by question, then in the order of the models, then in that of a model's file, best first.

    Attributes:
        models: the models' names.
        questions: the ids.
        answers: of each candidate its answer as it stands, in NFC.
        question: of each candidate the place of its question, (candidates,), ascending.
        model: of each candidate the place of its model, (candidates,).
        rank: of each candidate its place among its model's candidates to the question, from 0, (candidates,).
        logprob_sum: of each candidate its log-probability, NaN where it is not known, (candidates,).
        logprob_mean: the same by token.
        table: numbers the answers, of this pool and of all that is compared with them.
    """

    models: tuple[str, ...]
    questions: tuple[str, ...]
    answers: list[str]
    question: Integers
    model: Integers
    rank: Integers
    logprob_sum: Floats
    logprob_mean: Floats
    table: AnswerTable = field(default_factory=AnswerTable, repr=False, compare=False)

    @cached_property
    def numbers(self) -> Integers:
        """The number in the table of each candidate's answer, (candidates,)."""
        return self.table.numbers(self.answers)

    def part(self, chosen: NDArray[np.bool_]) -> "CandidatePool":
        """The candidates of some of the questions.

        Args:
            chosen: whether each question is among them, (questions,).
        """
        kept = chosen[self.question]
        return replace(
            self,
            questions=tuple(compress(self.questions, chosen)),
            answers=list(compress(self.answers, kept)),
            question=(np.cumsum(chosen) - 1)[self.question[kept]],
            model=self.model[kept],
            rank=self.rank[kept],
            logprob_sum=self.logprob_sum[kept],
            logprob_mean=self.logprob_mean[kept],
        )

    def first_answers(self) -> dict[str, dict[str, str]]:
        """Each model's own answer, which is the first of its candidates: {model: {id: answer}}."""
        firsts = {}
        for model, name in enumerate(self.models):
            places = np.flatnonzero((self.rank == 0) & (self.model == model)).tolist()  # one a question, in its order
            firsts[name] = dict(zip(self.questions, map(self.answers.__getitem__, places), strict=True))
        return firsts


def read_pool(sources: Mapping[str, Path], own: bool = False) -> CandidatePool:
    """The candidates of every model's file, the questions in the order of the first.

    Args:
        sources: {model: its file}.
        own: whether the models' own answers will do.

    Raises:
        KQAError: a file is missing or malformed, or two files answer different questions.
    """
    return pool_of(sources, read_files(list(sources.values()), own).candidates)


def pool_of(sources: Mapping[str, Path], candidates: Sequence[ModelCandidates]) -> CandidatePool:
    """The same from what the files had in them, in their order.

    Raises:
        KQAError: two files answer different questions.
    """
    read = dict(zip(sources, candidates, strict=True))
    first, *others = read
    for other in others:
        check_same_ids(sources[first], read[first].ids, sources[other], read[other].ids)
    return make_pool(read)


def make_pool(read: Mapping[str, ModelCandidates]) -> CandidatePool:
    """The same from candidates in memory: {model: its candidates}, each with the same ids."""
    questions = next(iter(read.values())).ids
    places = {name: place for place, name in enumerate(questions)}
    counts = [np.array(one.counts) for one in read.values()]
    asked = [
        np.repeat([places[name] for name in one.ids], count) for one, count in zip(read.values(), counts, strict=True)
    ]
    order = np.argsort(np.concatenate(asked), kind="stable")  # a model's candidates stay in their order
    answers = [answer for one in read.values() for answer in one.answers]
    ranks = [np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) for count in counts]

    def column(parts: list[Integers] | list[list[float]]) -> np.ndarray:
        return np.concatenate(parts)[order]

    return CandidatePool(
        models=tuple(read),
        questions=tuple(questions),
        answers=list(map(answers.__getitem__, order.tolist())),
        question=column(asked),
        model=column([np.full(len(part), number) for number, part in enumerate(asked)]),
        rank=column(ranks),
        logprob_sum=column([one.logprob_sum for one in read.values()]),
        logprob_mean=column([one.logprob_mean for one in read.values()]),
    )

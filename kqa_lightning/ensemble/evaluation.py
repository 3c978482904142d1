"""What models, ensemble rules and the best possible choice score against gold answers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from kqa_lightning.ensemble.hypotheses import Hypotheses
from kqa_lightning.ensemble.pairwise import AnswerTable, Floats, Integers
from kqa_lightning.ensemble.strategies import combine, make_strategies


@dataclass(frozen=True)
class Score:
    """Means over the questions.

    Attributes:
        char_f1: character F1, from 0 to 1.
        exact_match: share of exact matches, from 0 to 1.
    """

    char_f1: float
    exact_match: float


@dataclass(frozen=True)
class EnsembleScores:
    """The scores of one set of predictions.

    Attributes:
        models: of each model, by name, in the order given.
        rules: of each strategy, by name.
        oracle: of the best of the models' answers to each question, which no choice among them can exceed.
        questions: how many questions were scored.
        candidate_oracle: of the best of all candidates, where a model has more than one to some question.
    """

    models: dict[str, Score]
    rules: dict[str, Score]
    oracle: Score
    questions: int
    candidate_oracle: Score | None = None


@dataclass(frozen=True)
class Marks:
    """The scores of one answer to each question, each (questions,) and from 0 to 1."""

    char_f1: Floats
    exact_match: Floats

    @property
    def mean(self) -> Score:
        """The score over all questions."""
        return Score(*(math.fsum(marks) / len(marks) for marks in (self.char_f1, self.exact_match)))


@dataclass(frozen=True)
class EnsembleMarks:
    """The scores of one set of predictions, question by question; what is what as in `EnsembleScores`."""

    models: dict[str, Marks]
    rules: dict[str, Marks]
    oracle: Marks
    candidate_oracle: Marks | None = None

    @property
    def scores(self) -> EnsembleScores:
        """The means over the questions."""
        return EnsembleScores(
            models={name: marks.mean for name, marks in self.models.items()},
            rules={name: marks.mean for name, marks in self.rules.items()},
            oracle=self.oracle.mean,
            questions=len(self.oracle.char_f1),
            candidate_oracle=self.candidate_oracle.mean if self.candidate_oracle else None,
        )


def evaluate(
    predictions: Mapping[str, Mapping[str, str]],
    gold: Mapping[str, Sequence[str]],
    priority: str | None = None,
) -> EnsembleScores:
    """Score every model, every strategy that learns nothing, and the oracle on the questions predicted.

    Args:
        predictions: {model: {id: answer}}, every model with the same ids.
        gold: {id: gold answers} of at least these ids.
        priority: the model that ``vote_priority`` trusts at a tie; the first one if not given.

    Raises:
        KQAError: no model has the name `priority`.
    """
    strategies = make_strategies(list(predictions), priority)
    rules = {name: combine(predictions, strategy) for name, strategy in strategies.items()}
    return mark(predictions, rules, gold).scores


def mark(
    predictions: Mapping[str, Mapping[str, str]],
    rules: Mapping[str, Mapping[str, str]],
    gold: Mapping[str, Sequence[str]],
    hypotheses: Hypotheses | None = None,
) -> EnsembleMarks:
    """Score every answer of the models and of the rules.

    Args:
        predictions: {model: {id: answer}}, every model with the same ids.
        rules: {strategy: {id: answer}}, with the same ids.
        gold: {id: gold answers} of at least these ids.
        hypotheses: all that the models answered, for the oracle over it.
    """
    questions = list(next(iter(predictions.values())))
    systems = [[by_id[question] for question in questions] for by_id in (*predictions.values(), *rules.values())]
    table = None if hypotheses is None else hypotheses.table
    marks = mark_answers(systems, [gold[question] for question in questions], table)
    models = marks[: len(predictions)]
    has_more = hypotheses is not None and hypotheses.pool.rank.any()
    return EnsembleMarks(
        models=dict(zip(predictions, models, strict=True)),
        rules=dict(zip(rules, marks[len(predictions) :], strict=True)),
        oracle=Marks(
            np.max([model.char_f1 for model in models], axis=0),
            np.max([model.exact_match for model in models], axis=0),
        ),
        candidate_oracle=mark_best(hypotheses, gold) if hypotheses and has_more else None,
    )


def mark_best(hypotheses: Hypotheses, gold: Mapping[str, Sequence[str]]) -> Marks:
    """The scores of the best of all answers to each question, in the pool's order; ``gold`` as in `mark`."""
    marks = mark_hypotheses(hypotheses, gold)
    return Marks(*(np.maximum.reduceat(values, hypotheses.starts) for values in (marks.char_f1, marks.exact_match)))


def mark_hypotheses(hypotheses: Hypotheses, gold: Mapping[str, Sequence[str]]) -> Marks:
    """The scores of every hypothesis; ``gold`` as in `mark`."""
    golds = _Golds(hypotheses.table, [gold[name] for name in hypotheses.pool.questions])
    return golds.mark(hypotheses.number, hypotheses.question)


def mark_answers(
    systems: Sequence[Sequence[str]], gold: Sequence[Sequence[str]], table: AnswerTable | None = None
) -> list[Marks]:
    """Score several lists of answers to the same questions.

    Args:
        systems: lists of one answer a question.
        gold: of each question its gold answers, of which the best counts.
        table: that knows some of the answers already, where there is one.

    Raises:
        ValueError: a question has no gold answer.
    """
    table = table or AnswerTable()
    golds = _Golds(table, gold)
    return [golds.mark(table.numbers(answers), np.arange(len(gold))) for answers in systems]


class _Golds:
    """The gold answers to questions, as numbers.

    Args:
        table: that numbers them.
        gold: of each question its gold answers.

    Raises:
        ValueError: a question has none.
    """

    def __init__(self, table: AnswerTable, gold: Sequence[Sequence[str]]) -> None:
        self._table = table
        self._counts = np.fromiter(map(len, gold), np.int64, len(gold))
        if not self._counts.all():
            raise ValueError("no gold answer to compare with: leave such a question out of the score")
        self._numbers = table.numbers(list(chain(*gold)))
        self._starts = np.cumsum(self._counts) - self._counts

    def mark(self, answers: Integers, questions: Integers) -> Marks:
        """The scores of answers by number, each to one of the questions: (answers,) and (answers,)."""
        counts = self._counts[questions]
        starts = np.cumsum(counts) - counts
        within = np.arange(counts.sum()) - np.repeat(starts, counts)
        golds = self._numbers[np.repeat(self._starts[questions], counts) + within]
        given = np.repeat(answers, counts)
        return Marks(
            np.maximum.reduceat(self._table.f1(given, golds), starts),
            np.maximum.reduceat((given == golds).astype(np.float64), starts),
        )

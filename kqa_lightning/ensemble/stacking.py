"""A re-ranker: the answer whose character F1 with gold is predicted to be highest.

Stacked generalisation (Wolpert 1992): a regression learns each answer's F1 from `features`, on out-of-fold
predictions, where the models have not read the gold answers. Which regression is decided by cross-validation over
articles, since questions on one article, or paraphrases of one question, on both sides would make any of them
look good.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kqa_lightning.ensemble.features import numeric_features, question_features, text_features
from kqa_lightning.ensemble.hypotheses import TIE, Hypotheses
from kqa_lightning.ensemble.pairwise import Floats, Integers
from kqa_lightning.ensemble.questions import Question
from kqa_lightning.errors import KQAError

FOLDS = 3  # enough to tell two regressions apart; the better one is fitted to everything
SHORTLIST = 8  # answers to a question that are looked at closely
MISSING = -1e6  # below all that a column can hold
Table = Mapping[str, Question]


@dataclass(frozen=True)
class Stacking:
    """The answer with the highest predicted character F1.

    Equal candidates are one answer. An abstention is never written where there is another answer. At a tie the
    answer with more votes is written, then the one mentioned first; its surface form is that of the candidate
    listed first.

    Attributes:
        models: whose candidates it learned from, in their order.
        reads_articles: whether it knows questions and articles.
        articles: how many it learned from.
        learner: the name of the regression.
        scores: of each regression the mean character F1 of the answers it chose in cross-validation, from 0 to 1.
        regression: the fitted one.
    """

    models: tuple[str, ...]
    reads_articles: bool
    articles: int
    learner: str
    scores: dict[str, float]
    regression: Any

    def choose(self, hypotheses: Hypotheses, table: Table | None = None) -> Integers:
        """Of each question the place of the candidate to write, (questions,).

        Args:
            hypotheses: the answers of the models that it learned from.
            table: articles and questions, where it reads them, as far as they are known.

        Raises:
            KQAError: the answers are those of other models, or it knows articles and there are none.
        """
        if hypotheses.pool.models != self.models:
            given, learned = (", ".join(names) for names in (hypotheses.pool.models, self.models))
            raise KQAError(f"stacking was learned from {learned} and cannot choose among answers of {given}")
        if self.reads_articles and not count_texts(table, hypotheses.pool.questions):
            raise KQAError("stacking was learned with articles and questions and cannot choose without them")
        rows, values = look_closely(hypotheses, table if self.reads_articles else None)
        return _pick(hypotheses, rows, self.regression.predict(values))


def train_stacking(
    hypotheses: Hypotheses,
    marks: Floats,
    articles: Sequence[int],
    table: Table | None = None,
    seed: int = 0,
) -> Stacking:
    """Train each regression in cross-validation over articles, and the best of them on everything.

    Args:
        hypotheses: out-of-fold answers.
        marks: of each hypothesis its character F1 with gold, (hypotheses,).
        articles: of each question the number of its article.
        table: articles and questions, as far as they are known; without it nothing is learned from them.
        seed: of the regressions; the same seed gives the same choices.

    Raises:
        KQAError: scikit-learn is not installed, or there are fewer than two articles.
    """
    check_installed()
    from sklearn.base import clone
    from sklearn.model_selection import GroupKFold

    article_of = np.asarray(articles)
    count = len(np.unique(article_of))
    if count < 2:
        raise KQAError("stacking learns from the questions on two articles or more; there is one")
    rows, values = look_closely(hypotheses, table)
    targets, groups = marks[rows], article_of[hypotheses.question[rows]]
    parts = list(GroupKFold(min(FOLDS, count)).split(values, groups=groups))
    scores = {}
    for name, regression in _regressions(seed).items():
        predicted = np.empty(len(rows))
        for train, held_out in parts:
            predicted[held_out] = clone(regression).fit(values[train], targets[train]).predict(values[held_out])
        scores[name] = float(marks[hypotheses.of[_pick(hypotheses, rows, predicted)]].mean())
    best = next(name for name, score in scores.items() if score >= max(scores.values()) - TIE)
    regression = _regressions(seed)[best].fit(values, targets)
    return Stacking(hypotheses.pool.models, table is not None, count, best, scores, regression)


def look_closely(hypotheses: Hypotheses, table: Table | None) -> tuple[Integers, Floats]:
    """The answers among which stacking chooses, and all that is known of them.

    Args:
        hypotheses: the answers.
        table: articles and questions, as far as they are known, if these are to be used.

    Returns:
        The places of the answers, ascending, (rows,), and their features, (rows, columns); NaN is what is not known.
    """
    names, numeric = numeric_features(hypotheses)
    rows = shortlist(hypotheses, numeric[:, names.index("expected F1")])
    parts = [numeric[rows], text_features(hypotheses, rows)[1]]
    if table is not None:
        parts.append(question_features(hypotheses, rows, table)[1])
    return rows, np.hstack(parts)


def shortlist(hypotheses: Hypotheses, expected: Floats) -> Integers:
    """The models' own answers, and those that agree best with all candidates.

    Of those that no model gives as its own, as many as make `SHORTLIST` answers a question. To learn the place of
    every one of eight candidates of three models in its article takes a minute for 100,000 questions, and the
    others are hardly ever right.

    Args:
        hypotheses: the answers.
        expected: their agreement with all candidates, (hypotheses,).

    Returns:
        Their places, ascending.
    """
    own = hypotheses.votes.sum(axis=1) > 0
    order = np.lexsort((-expected, ~own, hypotheses.question))
    place = np.empty_like(order)
    place[order] = np.arange(len(order)) - hypotheses.starts[hypotheses.question[order]]
    return np.flatnonzero(own | (place < SHORTLIST))


def count_texts(table: Table | None, questions: Sequence[str]) -> int:
    """Of how many of these ids a table has an article and a question; what the others lack counts as unknown."""
    rows = (table.get(name) if table else None for name in questions)
    return sum(row is not None and row.context is not None and row.question is not None for row in rows)


def check_installed() -> None:
    """Refuse to go on without scikit-learn.

    Raises:
        KQAError: naming the extra to install.
    """
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise KQAError("stacking needs scikit-learn: pip install 'kqa-lightning[stacking]'") from error


def _regressions(seed: int) -> dict[str, Any]:
    """Few questions suit the line, many the trees, which see that a model may be good at one kind of question."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    means = SimpleImputer(add_indicator=True, keep_empty_features=True)
    # The trees know what is missing, but not how to make of it a column in which everything is.
    constant = SimpleImputer(strategy="constant", fill_value=MISSING, keep_empty_features=True)
    # Stopping early would hold out rows, not articles.
    trees = HistGradientBoostingRegressor(
        learning_rate=0.08, max_iter=100, max_leaf_nodes=15, early_stopping=False, random_state=seed
    )
    return {
        "ridge": make_pipeline(means, StandardScaler(), Ridge(alpha=100.0)),
        "boosted trees": make_pipeline(constant, trees),
    }


def _pick(hypotheses: Hypotheses, rows: Integers, predicted: Floats) -> Integers:
    scores = np.full(len(hypotheses), -np.inf)
    scores[rows] = predicted
    return hypotheses.pick(scores, hypotheses.votes.sum(axis=1))

"""What the ensemble script prints where gold answers are known: scores, vote patterns, agreement."""

import math
from collections.abc import Sequence

from kqa_lightning.ensemble.agreement import Agreement, format_pattern
from kqa_lightning.ensemble.bootstrap import LEVEL, Comparison, Interval, Uncertainty
from kqa_lightning.ensemble.evaluation import EnsembleScores, Score
from kqa_lightning.ensemble.text_tables import format_table

ORACLE = "best of one answer a model"
CANDIDATE_ORACLE = "best of all candidates"
FEW = 20  # of fewer articles, percentiles make narrower intervals than they should


def format_summary(
    scores: EnsembleScores,
    comparison: Comparison,
    agreement: Agreement,
    has_articles: bool,
    written: str | None = None,
) -> str:
    """All of it, as text tables under each other.

    Args:
        scores: of the models, the rules and the oracle.
        comparison: of the same.
        agreement: of the same models.
        has_articles: whether `comparison` knew which questions share an article.
        written: the strategy to mark as the one that was written to a file.
    """
    parts = [
        f"{scores.questions} questions; {_describe(comparison, has_articles)}",
        format_scores(scores, comparison, written),
        format_votes(agreement),
        format_agreement(agreement, list(scores.models)),
    ]
    return "\n\n".join(parts)


def format_scores(scores: EnsembleScores, comparison: Comparison, written: str | None = None) -> str:
    """The scores in points of 100, with their intervals and the differences to the best single model."""
    interval = f"{LEVEL:.0%} interval"
    head = ["", "", "char F1", interval, f"against {comparison.best}", interval, "exact match", "gap closed"]
    best = scores.models[comparison.best].char_f1
    rows = [head]
    for name, score in scores.models.items():
        row = _row("model", name, score, comparison.models[name])
        if name == comparison.best:
            row[4] = row[5] = ""  # it has no difference to itself
        rows.append(row)
    for name, score in scores.rules.items():
        mark = ["<- written"] if name == written else []
        closed = share_closed(score.char_f1, best, scores.oracle.char_f1)
        rows.append([*_row("rule", name, score, comparison.rules[name]), closed, *mark])
    rows.append(_row("oracle", ORACLE, scores.oracle, comparison.oracle))
    if scores.candidate_oracle and comparison.candidate_oracle:
        rows.append(_row("oracle", CANDIDATE_ORACLE, scores.candidate_oracle, comparison.candidate_oracle))
    return format_table(rows, left=2)


def share_closed(score: float, best: float, oracle: float) -> str:
    """How much of the way from the best single model to the oracle over one answer a model a rule goes."""
    return f"{(score - best) / (oracle - best):.0%}" if oracle > best else "-"


def format_votes(agreement: Agreement) -> str:
    """How many questions show each vote pattern."""
    total = sum(agreement.patterns.values())
    rows = [
        [format_pattern(pattern), str(count), f"{100 * count / total:.1f} %"]
        for pattern, count in agreement.patterns.items()
    ]
    return format_table([["votes", "questions", "share"], *rows])


def format_agreement(agreement: Agreement, models: Sequence[str]) -> str:
    """The share of equal normalised answers of each two models, as a triangle."""
    rows = [
        [other, *(f"{100 * agreement.shares[one, other]:.1f} %" for one in models[:place])]
        for place, other in enumerate(models)
        if place
    ]
    return format_table([["same answer", *models[:-1]], *rows])


def _describe(comparison: Comparison, has_articles: bool) -> str:
    draws = f"intervals from {comparison.resamples} draws"
    few = f"; fewer than {FEW} are too few: the intervals look surer than they are" if comparison.articles < FEW else ""
    if has_articles:
        return f"{draws} of {comparison.articles} articles{few}"
    return (
        f"{draws} of single questions, too narrow where some share an article:"
        f" --table TABLE (id, context) names the articles{few}"
    )


def _row(kind: str, name: str, score: Score, uncertainty: Uncertainty) -> list[str]:
    return [
        kind,
        name,
        f"{100 * score.char_f1:.2f}",
        _interval(uncertainty.interval, ""),
        f"{100 * uncertainty.difference:+.2f}",
        _interval(uncertainty.difference_interval, "+"),
        f"{100 * score.exact_match:.2f}",
    ]


def _interval(interval: Interval, sign: str) -> str:
    if math.isnan(interval.low):
        return "-"  # one article says nothing about another
    low, high = (f"{100 * end:{sign}.2f}" for end in (interval.low, interval.high))
    return f"[{low}, {high}]"

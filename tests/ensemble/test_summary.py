"""The tables that are printed: their figures, and that they line up."""

import unicodedata
from dataclasses import replace

import pytest

from kqa_lightning.ensemble.agreement import Agreement
from kqa_lightning.ensemble.bootstrap import Comparison, Interval, Uncertainty
from kqa_lightning.ensemble.evaluation import EnsembleScores, Score
from kqa_lightning.ensemble.summary import format_summary
from kqa_lightning.ensemble.text_tables import format_table

NONE = Interval(float("nan"), float("nan"))
SCORES = EnsembleScores(
    models={"젬마": Score(0.9, 0.5), "a": Score(0.7, 1 / 3)},
    rules={"f1_sum": Score(0.90252, 0.0)},
    oracle=Score(1.0, 1.0),
    questions=3,
)
COMPARISON = Comparison(
    best="젬마",
    models={
        "젬마": Uncertainty(Interval(0.8, 1.0), 0.0, Interval(0.0, 0.0)),
        "a": Uncertainty(Interval(0.655, 0.745), -0.2, Interval(-0.3, 0.001)),
    },
    rules={"f1_sum": Uncertainty(NONE, 0.00252, NONE)},
    oracle=Uncertainty(Interval(1.0, 1.0), 0.1, Interval(0.05, 0.15)),
    articles=20,
    resamples=4000,
)
AGREEMENT = Agreement(patterns={(2, 0): 2, (1, 1): 1}, shares={("젬마", "a"): 2 / 3})


def test_the_whole_summary() -> None:
    assert format_summary(SCORES, COMPARISON, AGREEMENT, True, "f1_sum").splitlines() == [
        "3 questions; intervals from 4000 draws of 20 articles",
        "",
        "                                    char F1      95% interval  against 젬마     95% interval  exact match  gap closed",  # noqa: E501
        "model   젬마                          90.00   [80.00, 100.00]                                       50.00",
        "model   a                             70.00    [65.50, 74.50]        -20.00  [-30.00, +0.10]        33.33",
        "rule    f1_sum                        90.25                 -         +0.25                -         0.00          3%  <- written",  # noqa: E501
        "oracle  best of one answer a model   100.00  [100.00, 100.00]        +10.00  [+5.00, +15.00]       100.00",
        "",
        "votes  questions   share",
        "2:0            2  66.7 %",
        "1:1            1  33.3 %",
        "",
        "same answer    젬마",
        "a            66.7 %",
    ]


@pytest.mark.parametrize(("articles", "warned"), [(1, True), (19, True), (20, False)])
def test_few_articles_make_no_sure_interval(articles: int, warned: bool) -> None:
    for known in (True, False):
        text = format_summary(SCORES, replace(COMPARISON, articles=articles), AGREEMENT, has_articles=known)
        assert ("fewer than 20 are too few" in text.splitlines()[0]) is warned


def test_without_articles_it_says_so() -> None:
    first = format_summary(SCORES, COMPARISON, AGREEMENT, has_articles=False).splitlines()[0]
    assert "draws of single questions, too narrow where some share an article" in first and "--table" in first


def test_a_model_named_like_a_rule_is_not_marked_as_written() -> None:
    scores = EnsembleScores({"f1_sum": Score(0, 0)}, {"f1_sum": Score(0, 0)}, Score(0, 0), 1)
    same = {"f1_sum": Uncertainty(NONE, 0, NONE)}
    comparison = Comparison("f1_sum", same, same, same["f1_sum"], 1, 10)
    text = format_summary(scores, comparison, AGREEMENT, True, "f1_sum")
    assert [line.split()[0] for line in text.splitlines() if "<- written" in line] == ["rule"]


def test_tables_line_up_whatever_the_names() -> None:
    names = ["gemma2", "이브", "ｗｉｄｅ", unicodedata.normalize("NFD", "é"), "a name longer than any of the others"]
    for name, line in zip(names, format_table([[name, "1.0"] for name in names]).splitlines(), strict=True):
        columns = sum({"W": 2, "F": 2}.get(unicodedata.east_asian_width(c), 1) for c in name if c != "\u0301")
        assert line == name + " " * (36 - columns) + "  1.0"


def test_the_oracle_over_all_candidates_has_a_line_of_its_own() -> None:
    scores = replace(SCORES, candidate_oracle=Score(1.0, 1.0))
    comparison = replace(COMPARISON, candidate_oracle=Uncertainty(Interval(1.0, 1.0), 0.1, Interval(0.05, 0.15)))
    lines = format_summary(scores, comparison, AGREEMENT, True).splitlines()
    assert lines[7].split()[:5] == ["oracle", "best", "of", "all", "candidates"] and lines[7].split()[5] == "100.00"

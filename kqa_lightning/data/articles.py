"""A table's rows grouped by article and encoded, ready to be packed."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import datasets
from datasets.utils import tqdm

from kqa_lightning.data.encoding import EncodedArticle, PromptEncoder, Question, TooLong
from kqa_lightning.data.packing import split_article
from kqa_lightning.data.problems import list_rows
from kqa_lightning.data.prompts import Stage
from kqa_lightning.errors import KQAError

log = logging.getLogger(__name__)

CHUNK = 512  # articles encoded at a time
PROGRESS_FROM = 4 * CHUNK  # smaller tables are encoded before a progress bar could be read


def group_by_article(table: datasets.Dataset) -> list[tuple[str, list[Question]]]:
    """Gather the questions of each article, articles in the order of their first row.

    The first of several gold answers is the one to be learned.
    """
    articles: dict[str, list[Question]] = {}
    columns = zip(table["context"], table["question"], table["answers"], strict=True)
    for row, (context, question, answers) in enumerate(columns):
        articles.setdefault(context, []).append((row, question, answers[0] if answers else None))
    return list(articles.items())


def encode_table(
    table: datasets.Dataset,
    encoder: PromptEncoder,
    stage: Stage,
    row_limit: int,
    share_articles: bool = True,
    name: str = "the table",
) -> list[EncodedArticle]:
    """Encode a checked table.

    Args:
        table: as `load_table` returns it.
        encoder: tokenizer and prompt.
        stage: whether the training or the inference prompt is used.
        row_limit: the most tokens of a packed row; an article with more has several rows.
        share_articles: whether all questions of an article share a row, or each has its own.
        name: how the table is called in messages.

    Returns:
        The rows to be packed, articles in the order of their first question.

    Raises:
        KQAError: where questions leave no room for an article, with the ids of all of them.
    """
    groups = group_by_article(table)
    encoded: list[EncodedArticle] = []
    too_long: list[int] = []
    with tqdm(total=len(groups), desc=f"encoding {name}", disable=len(groups) < PROGRESS_FROM) as progress:
        for start in range(0, len(groups), CHUNK):
            chunk = groups[start : start + CHUNK]
            try:
                encoded += encoder.encode_articles(chunk, stage)
            except TooLong as error:
                too_long += error.rows
            progress.update(len(chunk))
    if too_long:
        ids = table["id"]
        rows = {row + 1: f"id {ids[row]!r}" for row in sorted(too_long)}
        raise KQAError(
            f"{name}: question and answer alone exceed max_length {encoder.max_length} tokens:"
            f" {list_rows(rows)}; raise --data.max_length"
        )
    _report_cuts(encoded, encoder.max_length, name)
    return arrange(encoded, row_limit, share_articles)


def arrange(articles: Sequence[EncodedArticle], row_limit: int, share_articles: bool) -> list[EncodedArticle]:
    """Give every article as few rows as ``row_limit`` tokens allow, or every question its own."""
    if share_articles:
        return [row for article in articles for row in split_article(article, row_limit)]
    return [replace(article, questions=(one,)) for article in articles for one in article.questions]


def _report_cuts(articles: Sequence[EncodedArticle], max_length: int, name: str) -> None:
    if cuts := [article for article in articles if article.cut]:
        questions = sum(len(article.questions) for article in cuts)
        log.warning(
            "%s: %d of %d articles (%d questions) were cut to fit max_length %d",
            *(name, len(cuts), len(articles), questions, max_length),
        )

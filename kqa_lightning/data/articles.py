"""A table's rows grouped by article and encoded, ready to be packed."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple, overload

import datasets
from tqdm import tqdm

from kqa_lightning.data.cache import cached, table_fingerprint
from kqa_lightning.data.encoding import EncodedArticle, EncodedQuestion, PromptEncoder, TooLong
from kqa_lightning.data.packing import split_article
from kqa_lightning.data.problems import list_rows
from kqa_lightning.data.prompts import Stage
from kqa_lightning.data.questions import Question
from kqa_lightning.errors import KQAError

log = logging.getLogger(__name__)

CHUNK = 512  # articles encoded at a time
PROGRESS_FROM = 4 * CHUNK  # smaller tables are encoded before a progress bar could be read
CACHED_FROM = 2000  # rows

_IDS = datasets.List(datasets.Value("int32"))
FEATURES = datasets.Features(
    {
        "prefix_ids": _IDS,
        "rows": _IDS,
        "question_ids": datasets.List(_IDS),
        "answer_ids": datasets.List(_IDS),
        "lost": datasets.List(datasets.Value("bool")),
        "cut": datasets.Value("bool"),
        "article": datasets.Value("int32"),
        "length": datasets.Value("int32"),
    }
)


class Cuts(NamedTuple):
    """How much of a table was cut.

    Args:
        articles: all of its articles.
        cut: those of them that were cut.
        questions: the questions on these.
        lost: the questions whose answer is not in what is left of their article.
    """

    articles: int
    cut: int
    questions: int
    lost: int


class EncodedTable(Sequence[EncodedArticle]):
    """The rows to be packed, read from Arrow as they are asked for.

    Args:
        table: with the columns of ``FEATURES``.
    """

    def __init__(self, table: datasets.Dataset) -> None:
        self._table = table
        self.lengths: list[int] = table["length"][:]
        self.question_rows: list[list[int]] = table["rows"][:]  # of each row, its questions' rows of the original table

    def __len__(self) -> int:
        """Rows."""
        return len(self._table)

    @overload
    def __getitem__(self, index: int) -> EncodedArticle: ...
    @overload
    def __getitem__(self, index: slice) -> list[EncodedArticle]: ...
    def __getitem__(self, index: int | slice) -> EncodedArticle | list[EncodedArticle]:
        """One row, or several."""
        if isinstance(index, slice):
            return [self[one] for one in range(len(self))[index]]
        row = self._table[index]
        questions = zip(row["rows"], row["question_ids"], row["answer_ids"], row["lost"], strict=True)
        return EncodedArticle(
            tuple(row["prefix_ids"]),
            tuple(EncodedQuestion(number, tuple(ask), tuple(answer), lost) for number, ask, answer, lost in questions),
            row["cut"],
        )

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all that the rows hold; reckoned once, since every checkpoint holds it."""
        return table_fingerprint(self._table)

    def find_rows(self) -> list[int]:
        """Where to find the questions: for each row of the table they came from, the index of its packed row."""
        owners = {row: index for index, rows in enumerate(self._table["rows"][:]) for row in rows}
        return [owners[row] for row in range(len(owners))]

    def cuts(self) -> Cuts:
        """Count what did not fit."""
        columns = self._table.select_columns(["article", "cut", "lost"]).to_dict()
        cut = [index for index, one in enumerate(columns["cut"]) if one]
        lost = [one for index in cut for one in columns["lost"][index]]
        return Cuts(
            len(set(columns["article"])), len({columns["article"][index] for index in cut}), len(lost), sum(lost)
        )


def group_by_article(table: datasets.Dataset) -> list[tuple[str, list[Question]]]:
    """Gather the questions of each article, articles in the order of their first row.

    The first of several gold answers is the one to be learned.
    """
    articles: dict[str, list[Question]] = {}
    columns = (table[name][:] for name in ("context", "question", "answers", "answer_starts"))
    for row, (context, question, answers, starts) in enumerate(zip(*columns, strict=True)):
        answer = answers[0] if answers else None
        start = starts[0] if starts and starts[0] >= 0 else None
        articles.setdefault(context, []).append(Question(row, question, answer, start))
    return list(articles.items())


def encode_table(
    table: datasets.Dataset,
    encoder: PromptEncoder,
    stage: Stage,
    row_limit: int,
    share_articles: bool = True,
    name: str = "the table",
) -> EncodedTable:
    """Encode a checked table; a large one is kept in the cache, found by its content and all settings here.

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

    def decides() -> list[str]:
        return [table_fingerprint(table), encoder.fingerprint(stage), repr((stage, row_limit, share_articles))]

    def rows() -> Iterator[dict[str, Any]]:
        for number, article in enumerate(_encode(table, encoder, stage, name)):
            for row in arrange(article, row_limit, share_articles):
                yield _as_record(row, number)

    encoded = EncodedTable(cached(rows, FEATURES, decides if len(table) >= CACHED_FROM else None))
    cuts = encoded.cuts()
    if cuts.cut:
        log.warning(
            "%s: %d of %d articles (%d questions) were cut to fit max_length %d; %d answers are not in what is left",
            *(name, cuts.cut, cuts.articles, cuts.questions, encoder.max_length, cuts.lost),
        )
    return encoded


def arrange(articles: Sequence[EncodedArticle], row_limit: int, share_articles: bool) -> list[EncodedArticle]:
    """Give every article as few rows as its cuts and ``row_limit`` tokens allow, or every question its own."""
    if share_articles:
        return [row for article in articles for row in split_article(article, row_limit)]
    return [replace(article, questions=(one,)) for article in articles for one in article.questions]


def _encode(table: datasets.Dataset, encoder: PromptEncoder, stage: Stage, name: str) -> Iterator[list[EncodedArticle]]:
    groups = group_by_article(table)
    too_long: list[int] = []
    with tqdm(total=len(groups), desc=f"encoding {name}", disable=len(groups) < PROGRESS_FROM) as progress:
        for start in range(0, len(groups), CHUNK):
            chunk = groups[start : start + CHUNK]
            try:
                yield from encoder.encode_articles(chunk, stage)
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


def _as_record(row: EncodedArticle, article: int) -> dict[str, Any]:
    return {
        "prefix_ids": row.prefix_ids,
        "rows": [question.row for question in row.questions],
        "question_ids": [question.question_ids for question in row.questions],
        "answer_ids": [question.answer_ids for question in row.questions],
        "lost": [question.lost for question in row.questions],
        "cut": row.cut,
        "article": article,
        "length": len(row),
    }

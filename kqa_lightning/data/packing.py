"""Encoded articles as tensors: one row holds an article and all its questions, so it is computed once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from kqa_lightning.data.encoding import EncodedArticle

IGNORED = -100  # torch's cross-entropy leaves this label out
PADDING = -1  # the segment of padding


@dataclass(frozen=True, eq=False)
class PackedBatch:
    """Articles with their questions, one a row, padded on the right.

    A question sees the article and itself; its positions begin where the article ends, as if it stood
    there alone.

    Args:
        input_ids: int64 [articles, length].
        position_ids: int64 [articles, length]; 0 on padding.
        segments: int64 [articles, length]; 0 for the article, k for the k-th question and its answer, -1
            for padding.
        labels: int64 [articles, length], already shifted: the id to be predicted at this position, -100 where
            nothing is supervised.
        articles: what the rows were made of.
    """

    input_ids: Tensor
    position_ids: Tensor
    segments: Tensor
    labels: Tensor
    articles: tuple[EncodedArticle, ...]

    def to(self, device: Any, **kwargs: Any) -> "PackedBatch":
        """Return the batch with its tensors on ``device``."""
        names = ("input_ids", "position_ids", "segments", "labels")
        return replace(self, **{name: getattr(self, name).to(device, **kwargs) for name in names})

    @property
    def answer_lengths(self) -> list[int]:
        """Tokens of each gold answer, its end tokens included: [answers], row by row."""
        lengths = (len(question.answer_ids) for article in self.articles for question in article.questions)
        return [length for length in lengths if length]


def pack(articles: Sequence[EncodedArticle], pad_id: int) -> PackedBatch:
    """Pack articles, of which there may be none, into one batch, as long as the longest of them."""
    shape = (len(articles), max(map(len, articles), default=0))
    input_ids = torch.full(shape, pad_id)
    position_ids = torch.zeros(shape, dtype=torch.int64)
    segments = torch.full(shape, PADDING)
    labels = torch.full(shape, IGNORED)
    for index, article in enumerate(articles):
        ids, positions, owners, targets = _row(article)
        input_ids[index, : len(ids)] = torch.tensor(ids)
        position_ids[index, : len(ids)] = torch.tensor(positions)
        segments[index, : len(ids)] = torch.tensor(owners)
        labels[index, : len(ids)] = torch.tensor(targets)
    return PackedBatch(input_ids, position_ids, segments, labels, tuple(articles))


def _row(article: EncodedArticle) -> tuple[list[int], list[int], list[int], list[int]]:
    start = len(article.prefix_ids)
    ids, positions = list(article.prefix_ids), list(range(start))
    segments, labels = [0] * start, [IGNORED] * start
    for number, question in enumerate(article.questions, start=1):
        ids += question.question_ids + question.answer_ids
        positions += range(start, start + len(question))
        segments += [number] * len(question)
        # The last token of the question predicts the answer's first, and the last end token predicts nothing.
        labels += [IGNORED] * (len(question.question_ids) - 1) + list(question.answer_ids) + [IGNORED]
    return ids, positions, segments, labels


def split_article(article: EncodedArticle, limit: int) -> list[EncodedArticle]:
    """Divide an article's questions among rows of at most ``limit`` tokens, the article repeated in each.

    A question that is too long for the limit together with the article has a row of its own.
    """
    rows: list[list[Any]] = [[]]
    length = len(article.prefix_ids)
    for question in article.questions:
        if rows[-1] and length + len(question) > limit:
            rows.append([])
            length = len(article.prefix_ids)
        rows[-1].append(question)
        length += len(question)
    return [replace(article, questions=tuple(questions)) for questions in rows]

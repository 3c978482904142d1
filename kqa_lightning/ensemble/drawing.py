"""Which questions of a large table are learned from."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kqa_lightning.ensemble.questions import number_keys

LEARN_FROM = 10_000  # questions; stacking learns from them in ten seconds, and from ten times as many in minutes


def draw(questions: Sequence[str], articles: Sequence[int], seed: int) -> NDArray[np.bool_]:
    """Whether to learn from each question: articles at random, until there are `LEARN_FROM` questions on them.

    Of an article with more than half as many questions, that many of these are drawn: there are always two articles
    to learn from. The order of the questions makes no difference.

    Args:
        questions: the ids.
        articles: of each question the number of its article.
        seed: of the draw.

    Returns:
        bool, (questions,).
    """
    most = LEARN_FROM // 2
    chance = np.random.default_rng(seed)
    numbers, article, counts = np.unique(articles, return_inverse=True, return_counts=True)
    order = chance.permutation(len(numbers))
    kept = np.minimum(counts, most)
    before = np.empty_like(counts)  # how many questions the articles drawn earlier have
    before[order] = np.cumsum(kept[order]) - kept[order]
    # Among the questions of its article, each has a place that is drawn by its id.
    drawn = np.lexsort((chance.permutation(len(questions))[number_keys(questions)], article))
    place = np.empty(len(questions), np.int64)
    place[drawn] = np.arange(len(questions)) - np.repeat(np.cumsum(counts) - counts, counts)
    return (before < LEARN_FROM)[article] & (place < most)

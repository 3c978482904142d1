"""Splits that keep an article whole, so that no article of one side is known from the other."""

import hashlib
import unicodedata
from collections.abc import Sequence

from kqa_lightning.errors import KQAError


def article_key(context: str) -> str:
    """Return what makes two contexts the same article: all but case, width and white space."""
    return "".join(unicodedata.normalize("NFKC", context).casefold().split())


def split_articles(contexts: Sequence[str], fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """Split rows into training and validation rows, every article on one side.

    Articles are ordered by a hash of the seed and their text, and the first ``fraction`` of them are
    validated on: the same seed gives the same articles on every machine and in every order of rows.

    Args:
        contexts: the article of each row.
        fraction: the share of articles to validate on, between 0 and 1.
        seed: any integer.

    Returns:
        The rows of the training and of the validation part, both in ascending order and neither empty.

    Raises:
        KQAError: where there are fewer than two articles.
    """
    keys = [article_key(context) for context in contexts]
    articles = sorted(set(keys), key=lambda key: (_rank(key, seed), key))
    if len(articles) < 2:
        raise KQAError(
            "the training table has one article, which cannot be split into a training and a validation part;"
            " pass --data.val_path"
        )
    count = min(max(round(fraction * len(articles)), 1), len(articles) - 1)
    chosen = set(articles[:count])
    train = [row for row, key in enumerate(keys) if key not in chosen]
    val = [row for row, key in enumerate(keys) if key in chosen]
    return train, val


def _rank(key: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\n{key}".encode()).digest()

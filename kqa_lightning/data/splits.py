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
    keys, articles = _ranked(contexts, seed)
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


def split_folds(contexts: Sequence[str], folds: int, seed: int) -> list[list[int]]:
    """Split rows into folds for cross-fitting, every article in one of them.

    Args:
        contexts: the article of each row.
        folds: how many, at least 2.
        seed: any integer; the same one gives the same folds on every machine and in every order of rows.

    Returns:
        The rows of each fold in ascending order. Folds differ by at most one article, and none is empty.

    Raises:
        KQAError: where there are fewer articles than folds, or fewer than two folds.
    """
    keys, articles = _ranked(contexts, seed)
    if len(articles) < 2:
        raise KQAError(
            "the training table has one article, which cannot be dealt to folds: cross-fitting needs two or more in "
            "--data.train_path"
        )
    if not 2 <= folds <= len(articles):
        raise KQAError(f"--crossfit.folds {folds}: {len(articles)} articles make 2 to {len(articles)} folds")
    fold_of = {key: rank % folds for rank, key in enumerate(articles)}
    rows: list[list[int]] = [[] for _ in range(folds)]
    for row, key in enumerate(keys):
        rows[fold_of[key]].append(row)
    return rows


def _ranked(contexts: Sequence[str], seed: int) -> tuple[list[str], list[str]]:
    """The article of each row by its key, and all articles in the order that the seed gives them."""
    contexts = list(contexts)
    key_of = {context: article_key(context) for context in dict.fromkeys(contexts)}
    articles = sorted(set(key_of.values()), key=lambda key: (_rank(key, seed), key))
    return [key_of[context] for context in contexts], articles


def _rank(key: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\n{key}".encode()).digest()

"""Which articles are computed, and which questions decoded, together; and how much of either memory allows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kqa_lightning.data.encoding import EncodedArticle


@dataclass(frozen=True)
class Row:
    """One question to decode.

    Args:
        article: Which of the articles it asks about.
        index: Which of that article's questions it is.
        shared: Tokens of its prompt that all of the article's questions begin with, the article among them.
        own: The ids of its prompt after these; at least one.
    """

    article: int
    index: int
    shared: int
    own: tuple[int, ...]

    def __len__(self) -> int:
        """Tokens of the whole prompt."""
        return self.shared + len(self.own)


@dataclass(frozen=True)
class Prefix:
    """What all questions of an article begin with: ids that are computed once, and the questions, longest first."""

    ids: tuple[int, ...]
    rows: tuple[Row, ...]


@dataclass
class TokenBudget:
    """Most tokens that are computed at once; less once that was too much for the memory.

    Args:
        articles: Articles times the longest of them.
        answers: Rows times columns of what is decoded, without articles that are shared.
    """

    articles: int = 16384
    answers: int = 32768

    def become(self, other: "TokenBudget") -> None:
        """Take over the bounds of another; whoever else holds this one has them too."""
        self.articles, self.answers = other.articles, other.answers


def share_prefixes(articles: "Sequence[EncodedArticle]") -> list[Prefix]:
    """Divide the prompts of each article with questions into what they share and what is each one's own.

    Returns:
        Longest first, so that what is computed together is of about one length.
    """
    prefixes = []
    for number, article in enumerate(articles):
        if not article.questions:
            continue
        asked = [question.question_ids for question in article.questions]
        # The last token of a prompt gives the first of the answer and is computed with its question.
        same = takewhile(lambda column: len(set(column)) == 1, zip(*(ids[:-1] for ids in asked), strict=False))
        common = len(list(same)) if len(asked) > 1 else 0
        ids = article.prefix_ids + asked[0][:common]
        rows = [Row(number, index, len(ids), one[common:]) for index, one in enumerate(asked)]
        prefixes.append(Prefix(ids, tuple(sorted(rows, key=len, reverse=True))))
    return sorted(prefixes, key=lambda prefix: len(prefix.ids), reverse=True)


def first_prefixes(prefixes: Sequence[Prefix], limit: int) -> int:
    """How many of ``prefixes``, the first of which is the longest, may be computed together: at least one."""
    return max(1, min(len(prefixes), limit // len(prefixes[0].ids)))


def alike(lengths: Sequence[int], most: int | None = None) -> Iterator[slice]:
    """Divide lengths, the longest first, into runs of at most a fifth of padding, or of eight tokens.

    Args:
        lengths: Of what is to be computed.
        most: Tokens of a run, padding and all, unless one alone has more.
    """
    start = 0
    for place, length in enumerate(lengths):
        too_many = most is not None and place > start and (place + 1 - start) * lengths[start] > most
        if too_many or lengths[start] - length > max(8, lengths[start] // 5):
            yield slice(start, place)
            start = place
    yield slice(start, len(lengths))


def first_rows(rows: Sequence[Row], limit: int, new_tokens: int, candidates: int, *, copies: bool) -> int:
    """How many of ``rows`` may be decoded together: at least one."""
    for count in range(1, len(rows) + 1):
        if tokens_of(rows[:count], new_tokens, candidates, copies=copies) > limit:
            return max(1, count - 1)
    return len(rows)


def tokens_of(rows: Sequence[Row], new_tokens: int, candidates: int, *, copies: bool) -> int:
    """Tokens that are held for ``rows`` while they are decoded, the articles that they share apart.

    Args:
        rows: The questions.
        new_tokens: Most tokens of an answer.
        candidates: Answers to each question.
        copies: Whether each answer has its article for itself.
    """
    width = max(len(row.own) for row in rows) + new_tokens + (max(row.shared for row in rows) if copies else 0)
    return len(rows) * candidates * width

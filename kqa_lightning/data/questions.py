"""A question on an article, and where the article answers it."""

import re
from typing import NamedTuple

from kqa_lightning.data.cutting import Place


class Question(NamedTuple):
    """One row of a table, without its article.

    Args:
        row: its index in the table.
        text: the question.
        answer: the gold answer to be learned, where it is known.
        answer_start: the character of the article at which the answer stands; None where the table does not say.
    """

    row: int
    text: str
    answer: str | None = None
    answer_start: int | None = None

    def places(self, context: str) -> list[Place]:
        """Where the article states the answer: as the table says, else wherever it stands, as a word where it does.

        A word begins with the answer; a particle may follow it.
        """
        answer = (self.answer or "").strip()
        if not answer:
            return []
        if self.answer_start is not None:
            start = context.find(answer, self.answer_start)
            return [(start, start + len(answer))] if start >= 0 else []
        before = r"(?<!\w)(?<!\d[.,])" if answer[0].isalnum() else ""
        after = r"(?![.,]?\d)" if answer[-1].isdigit() else r"(?![A-Za-z])" if answer[-1].isascii() else ""
        words = [match.span() for match in re.finditer(f"{before}{re.escape(answer)}{after}", context)]
        return words or [match.span() for match in re.finditer(re.escape(answer), context)]

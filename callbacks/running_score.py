"""How many questions are answered so far, and how well."""

from collections.abc import Sequence

from kqa_lightning.metrics.functional import char_f1


class RunningScore:
    """The answers so far, counted, and scored where gold answers are known.

    >>> score = RunningScore()
    >>> score.add(["은행", "3%"], [["국민은행"], []])
    >>> score.answered, round(score.char_f1, 3)
    (2, 0.667)
    """

    def __init__(self) -> None:
        self.answered = 0
        self._total, self._scored = 0.0, 0

    @property
    def char_f1(self) -> float | None:
        """Mean character F1 of the answers to questions that have a gold answer, from 0 to 1; None where none has."""
        return self._total / self._scored if self._scored else None

    def add(self, answers: Sequence[str], golds: Sequence[Sequence[str]]) -> None:
        """Count and score the answers to some more questions.

        Args:
            answers: One answer a question.
            golds: The gold answers of each of the same questions; none where they are not known.
        """
        self.answered += len(answers)
        scores = [char_f1(answer, known) for answer, known in zip(answers, golds, strict=True) if known]
        self._total += sum(scores)
        self._scored += len(scores)

"""Questions about the facts of an article."""

import random

from .articles import Question, Split
from .facts import Fact
from .names import pick
from .particles import mend_topic

_PARAPHRASE_SHARE = 0.2
_HELD_QUESTION_SHARE = 0.24
# Where only some facts are asked about: how readily, by the number of words in the answer, the last for four and more.
# Two thirds of the facts have an answer of one word.
_ANSWER_WEIGHTS = (0.75, 1.3, 3.0, 1.2)


class QuestionWriter:
    """Draws questions; in the test split some of patterns that occur nowhere else."""

    def __init__(self, rng: random.Random, split: Split) -> None:
        self._rng = rng
        self._split = split

    def ask(self, facts: list[Fact], max_questions: int | None) -> tuple[Question, ...]:
        """Return a question for each fact, or at most ``max_questions``, by the lengths of the answers."""
        rng = self._rng
        if max_questions is None:
            return tuple(self._question(fact) for fact in facts)
        chosen = _weighted_order(rng, facts)[:max_questions]
        questions = [self._question(fact) for fact in chosen]
        if rng.random() < _PARAPHRASE_SHARE and max_questions > 1:
            again = self._question(chosen[0])
            if again.text != questions[0].text:
                questions = [questions[0], again, *questions[1 : max_questions - 1]]
        return tuple(questions)

    def _question(self, fact: Fact) -> Question:
        rng = self._rng
        option = fact.option
        use_held_out = self._split == "test" and option.held_out and rng.random() < _HELD_QUESTION_SHARE
        template = pick(rng, option.held_out if use_held_out else option.seen)
        text = "".join(template.render(fact.values))
        return Question(
            # The bundled bases have learned from questions as they were: 대표은 누구.
            text=text if self._split == "pretrain" else mend_topic(text),
            answer=fact.answer,
            sentence_pattern=fact.sentence.id,
            question_pattern=template.id,
            unseen=template.held_out or fact.sentence.held_out,
        )


def _weighted_order(rng: random.Random, facts: list[Fact]) -> list[Fact]:
    """Return the facts in random order, those with heavier answers sooner."""

    def key(fact: Fact) -> float:
        words = min(fact.answer.count(" "), len(_ANSWER_WEIGHTS) - 1)
        return float(rng.random() ** (1.0 / _ANSWER_WEIGHTS[words]))

    return sorted(facts, key=key, reverse=True)

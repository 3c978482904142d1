"""Gold answers to score predictions with."""

from collections.abc import Iterable, Mapping

from kqa_lightning.ensemble.questions import GOLD, Question, read_questions
from kqa_lightning.ensemble.tables import first_few
from kqa_lightning.errors import KQAError


def read_gold(source: str, questions: Iterable[str] = ()) -> dict[str, tuple[str, ...]]:
    """The gold answers of a table: {id: answers}, in the table's order.

    Args:
        source: a table with the columns id and answer (or answers), as `read_questions` reads it.
        questions: the ids that must have a gold answer.

    Raises:
        KQAError: the file is missing or malformed, or some of the questions have no gold answer in it.
    """
    return gold_answers(read_questions("--gold", source, GOLD), questions, source)


def gold_answers(
    table: Mapping[str, Question], questions: Iterable[str], source: str, flag: str = "--gold"
) -> dict[str, tuple[str, ...]]:
    """The same of a table that is read already; ``flag`` and ``source`` name it in messages.

    A question whose answers are all blank has none and is left out.

    Raises:
        KQAError: some of the questions have no gold answer.
    """
    gold = {name: question.answers for name, question in table.items() if question.answers}
    missing = [question for question in questions if question not in gold]
    if missing:
        raise KQAError(f"{flag} {source}: no gold answer for the ids {first_few(missing)}")
    return gold

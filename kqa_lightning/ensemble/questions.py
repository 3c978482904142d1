"""Articles, questions and gold answers by id, from any table that `data.readers` reads or the bundled sample."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kqa_lightning.assets import SAMPLE, sample_table
from kqa_lightning.data.cleaning import clean
from kqa_lightning.data.problems import Problems
from kqa_lightning.data.readers import RawTable, read_file
from kqa_lightning.data.splits import article_key
from kqa_lightning.ensemble.tables import Ids, cell_text, first_few
from kqa_lightning.errors import KQAError
from kqa_lightning.files import user_path

GOLD = ("answer", "answers")  # the names of a column of gold answers
ARTICLE = ("context",)


@dataclass(frozen=True)
class Question:
    """A row of a table, its text cleaned as the models' is.

    Attributes:
        context: the article, None where the table has none.
        question: None where the table has none.
        answers: the gold answers, none of them blank.
    """

    context: str | None = None
    question: str | None = None
    answers: tuple[str, ...] = ()


def read_questions(flag: str, source: str, needed: tuple[str, ...]) -> dict[str, Question]:
    """The rows of a table by id, in its order.

    Args:
        flag: the option that names the table, for messages.
        source: a CSV, TSV, JSONL or Parquet file with the columns id, context, question and answer (or answers),
            a KorQuAD/SQuAD ``.json``, or ``sample``, the bundled test split.
        needed: names of one column, any of which will do, that the table must have besides its ids.

    Raises:
        KQAError: the file is missing or malformed, lacks a column or rows, has blank or duplicate ids, or gold answers
            under two names.
    """
    problems = Problems(f"{flag} {source}")
    table = read_file(sample_table("test") if source == SAMPLE else user_path(source), problems)
    for names in (("id",), needed):
        if table.columns and not set(names) & set(table.columns):
            found = first_few(map(repr, table.columns))
            raise KQAError(f"{problems.source} has no column {' or '.join(map(repr, names))}; found: {found}")
    for number, record in table.rows:
        if len(needed) > 1 and all(name in record for name in needed):
            problems.add(f"both {' and '.join(map(repr, needed))}, of which one is to be left out", number)
    questions = _by_id(table, problems)
    problems.raise_any()
    if not questions:
        raise KQAError(f"{problems.source}: there are no rows in it")
    return questions


def check_articles(table: Mapping[str, Question], questions: Iterable[str], source: str) -> None:
    """Refuse a table of articles that has none for some of the questions.

    Raises:
        KQAError: the message lists their ids.
    """
    missing = [question for question in questions if question not in table or table[question].context is None]
    if missing:
        raise KQAError(f"--table {source}: no article for the ids {first_few(missing)}")


def number_articles(table: Mapping[str, Question], questions: Sequence[str]) -> list[int] | None:
    """Of each question the number of its article, from 0; None where the table has no article of any of them.

    Articles are the same as in splits and folds: but for case, width and white space. A question without one counts
    as one of its own. Neither the order of the questions nor that of the table matters to the numbers.
    """
    contexts = [table[question].context if question in table else None for question in questions]
    if not any(contexts):
        return None
    key_of = {context: article_key(context) for context in set(contexts) if context is not None}
    # No question without an article can be taken for an article.
    keys = [
        (context is None, name if context is None else key_of[context])
        for name, context in zip(questions, contexts, strict=True)
    ]
    return number_keys(keys)


def number_keys(keys: Sequence[Any]) -> list[int]:
    """The number of each key, from 0, the same for equal ones, in the order of the keys sorted."""
    numbers = {key: number for number, key in enumerate(sorted(set(keys)))}
    return [numbers[key] for key in keys]


def _by_id(table: RawTable, problems: Problems) -> dict[str, Question]:
    questions: dict[str, Question] = {}
    ids = Ids(problems)
    for number, record in table.rows:
        name = _text(record.get("id"), "id", number, problems)
        if ids.add(name, number) and name is not None:
            context, question = (_text(record.get(key), key, number, problems) for key in ("context", "question"))
            answers = _answers(record, number, problems)
            questions[name] = Question(context and clean(context)[0], question and clean(question)[0], answers)
    return questions


def _answers(record: Mapping[str, Any], row: int, problems: Problems) -> tuple[str, ...]:
    """The gold answers of a row: a text, a list of texts, or SQuAD's ``{"text": [...]}``; without blank ones."""
    value = record["answers"] if "answers" in record else record.get("answer")
    if isinstance(value, Mapping):
        value = value.get("text")
    values = value if isinstance(value, list) else [value]
    texts = (_text(one, "answer", row, problems) for one in values)
    return tuple(clean(text)[0] for text in texts if text is not None)


def _text(value: Any, name: str, row: int, problems: Problems) -> str | None:
    """A cell as text, None where it is blank."""
    text = value if type(value) is str else cell_text(value, name, row, problems)
    return text if text and text.strip() else None

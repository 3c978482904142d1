"""Reading all files of a combination at once, beside one another where they are long."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from kqa_lightning.assets import SAMPLE
from kqa_lightning.ensemble.candidate_files import ModelCandidates, read_candidates
from kqa_lightning.ensemble.parallel import spread
from kqa_lightning.ensemble.questions import Question, read_questions
from kqa_lightning.files import user_path

_LONG = 1 << 26  # bytes of files that take more than a second or two to read


class Table(NamedTuple):
    """A table to read, as `read_questions` takes it.

    Attributes:
        flag: the option that names it.
        source: what it names.
        needed: names of one column, any of which will do, that the table must have besides its ids.
    """

    flag: str
    source: str
    needed: tuple[str, ...]


class ReadFiles(NamedTuple):
    """What was read, in the order in which it was asked for."""

    candidates: list[ModelCandidates]
    tables: list[dict[str, Question]]


def read_files(predictions: Sequence[Path], own: bool = False, tables: Sequence[Table] = ()) -> ReadFiles:
    """Read predictions and tables, each in a process of its own where all together are long.

    Args:
        predictions: files of answers, as `read_candidates` takes them.
        own: whether the models' own answers will do.
        tables: articles, questions and gold answers.

    Raises:
        KQAError: as `read_candidates` or `read_questions`, of the first file that has something wrong with it.
    """
    work: list[Callable[[], Any]] = [
        *(partial(read_candidates, path, own) for path in predictions),
        *(partial(read_questions, *table) for table in tables),
    ]
    paths = [*predictions, *(user_path(table.source) for table in tables if table.source != SAMPLE)]
    is_long = sum(path.stat().st_size for path in paths if path.is_file()) > _LONG
    found = spread(_call, work) if is_long else list(map(_call, work))
    return ReadFiles(found[: len(predictions)], found[len(predictions) :])


def _call(work: Callable[[], Any]) -> Any:
    return work()

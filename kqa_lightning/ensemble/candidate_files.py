"""Reading every candidate of a model, with its log-probabilities, from what ``predict`` writes.

``predictions.jsonl`` has a line ``{"id", "candidates": [{"answer", "raw", "logprob_sum", "logprob_mean"}]}`` for
each question, the model's own answer first. ``predictions.csv``, and a ``.jsonl`` with lines ``{"id", "answer"}``, are
read as one candidate a question without scores; the ``.jsonl`` beside a ``.csv`` is another file, which is read only
where it is named.
"""

import json
import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kqa_lightning.data.cleaning import clean
from kqa_lightning.data.decoding import extension
from kqa_lightning.data.problems import Problems
from kqa_lightning.data.readers import open_file
from kqa_lightning.ensemble.tables import Ids, read_answers

_ROUNDING = 1e-3  # by how much a log-probability may miss 0
_LEAST = -1e4  # what is below is as good as impossible; of minus infinity no regression could learn
_LONG = 1 << 20  # characters of a file that is worth reading by columns


@dataclass
class ModelCandidates:
    """The candidates of one model: columns of equal length, the questions' candidates one after the other.

    Attributes:
        ids: the questions, in the order of the file.
        counts: of each question the number of its candidates, one or more.
        answers: of each candidate its answer, cleaned as articles are.
        logprob_sum: of each candidate its log-probability, at least -10,000, NaN where the file has none.
        logprob_mean: the same by token.
    """

    ids: list[str] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    logprob_sum: list[float] = field(default_factory=list)
    logprob_mean: list[float] = field(default_factory=list)


def read_candidates(path: Path, own: bool = False) -> ModelCandidates:
    """The candidates in a ``.jsonl`` as ``predict`` writes it, or in another table with the columns id and answer.

    Args:
        path: the file.
        own: whether the model's own answers, the first of its candidates, will do; the others are not looked at.

    Raises:
        KQAError: the file is missing or malformed, lacks a column or rows, or has blank or duplicate ids.
    """
    if extension(path)[0] == ".jsonl":
        problems = Problems(str(path))
        text = str(open_file(path, problems).data)
        if '"candidates"' in text or '"answer"' not in text:  # within a text a quotation mark is escaped
            return (_read_columns(text, own) if len(text) > _LONG else None) or _read_lines(text, problems, own)
    answers = read_answers(path)
    missing = [math.nan] * len(answers)
    return ModelCandidates(list(answers), [1] * len(answers), list(answers.values()), missing, missing.copy())


def _read_columns(text: str, own: bool) -> ModelCandidates | None:
    """What `_read_lines` gives, where there is nothing unusual in it; else None."""
    from kqa_lightning.ensemble.candidate_columns import read_columns  # late: Arrow takes longer than a short file

    columns = read_columns(text, own)
    if columns is None:
        return None
    scores = columns.logprob_sum, columns.logprob_mean
    if any((values > _ROUNDING).any() for values in scores):
        return None
    figures = (np.maximum(values, _LEAST).tolist() for values in scores)
    return ModelCandidates(columns.ids, columns.counts, columns.answers, *figures)


def _read_lines(text: str, problems: Problems, own: bool) -> ModelCandidates:
    found = ModelCandidates()
    ids = Ids(problems)
    row = 0
    # Not splitlines(): U+2028 and its like may stand inside a JSON string.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        row += 1
        try:
            question = _add(found, line, own)
        except ValueError as error:
            problems.add(str(error), row, f"line {number}")
        else:
            ids.add(question, row)
    problems.raise_any()
    return found


def _add(found: ModelCandidates, line: str, own: bool) -> str:
    """Append one line's candidates and return its id; a ValueError says what is wrong with it."""
    try:
        record = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"broken JSON ({error})") from None
    if "\\u" in line and "\\ud" in line.lower() and _has_half_a_pair(record):
        raise ValueError("half of a surrogate pair, which no file can hold")
    if type(record) is not dict:
        raise ValueError("no JSON object")
    question, candidates = record.get("id"), record.get("candidates")
    if not isinstance(question, str):
        raise ValueError("needs an id that is a text")
    if not isinstance(candidates, list) or not candidates:
        raise ValueError("needs 'candidates', a list of one or more, as predictions.jsonl has them")
    # Nothing in it is escaped, unseen or decomposed, and so nothing is in its answers.
    is_clean = "\\" not in line and line.isprintable() and unicodedata.is_normalized("NFC", line)
    for candidate in candidates[:1] if own else candidates:
        answer = candidate.get("answer") if type(candidate) is dict else None
        if type(answer) is not str:
            raise ValueError("each candidate needs an 'answer' that is a text")
        found.answers.append(answer if is_clean else clean(answer)[0])
        found.logprob_sum.append(_score(candidate, "logprob_sum"))
        found.logprob_mean.append(_score(candidate, "logprob_mean"))
    found.ids.append(question)
    found.counts.append(1 if own else len(candidates))
    return question


def _score(candidate: Mapping[str, Any], name: str) -> float:
    """A log-probability, NaN where there is none."""
    value = candidate.get(name)
    if type(value) is float and _LEAST <= value <= _ROUNDING:  # as nearly all are
        return value
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is no number")
    try:
        number = float(value)
    except OverflowError:
        raise ValueError(f"{name} is beyond all bounds") from None
    if number > _ROUNDING:
        raise ValueError(f"{name} is above 0, which no log-probability is")
    return max(number, _LEAST) if number == number else math.nan


def _has_half_a_pair(value: Any) -> bool:
    text = json.dumps(value, ensure_ascii=False)
    return any("\ud800" <= character <= "\udfff" for character in text)

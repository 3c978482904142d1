"""JSON Lines, and JSON: KorQuAD/SQuAD or a list of objects."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kqa_lightning.data.problems import Problems
from kqa_lightning.data.raw_table import Format, RawTable
from kqa_lightning.errors import KQAError

# Every question of a KorQuAD/SQuAD file or a list of objects has one.
_QUESTION = re.compile(r'"question"\s*:')


def parse_json(text: str) -> Any:
    """Parse JSON with every number kept as the characters that stand there.

    Raises:
        ValueError: no JSON, nested too deeply, or a name more than once in one object.
    """
    try:
        return json.loads(text, parse_int=str, parse_float=str, parse_constant=str, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        beginning = ", ".join(f"{name!r}: {value!r}" for name, value in pairs)[:80]
        raise ValueError(f"{twice!r} stands more than once in the object {{{beginning}…")
    return found


def _parse_jsonl(text: str, problems: Problems) -> RawTable:
    rows: list[tuple[int, Mapping[str, Any]]] = []
    # Not splitlines(): U+2028 and its like may stand inside a JSON string.
    lines = enumerate(text.split("\n"), start=1)
    for number, (line_number, line) in enumerate(((n, line) for n, line in lines if line.strip()), start=1):
        try:
            record = parse_json(line)
        except ValueError as error:
            problems.add("broken JSON", number, f"line {line_number}: {error}")
            continue
        if isinstance(record, dict):
            rows.append((number, record))
        else:
            problems.add("no JSON object", number, f"line {line_number}")
    return RawTable(_columns(rows), rows)


def _parse_json(text: str, problems: Problems) -> RawTable:
    try:
        document = parse_json(text)
    except ValueError as error:
        if "Extra data" in str(error):  # one object a line, as the hub's .json files often are
            return _parse_jsonl(text, problems)
        raise KQAError(f"{problems.source}: broken JSON: {error}") from error
    records = document if isinstance(document, list) else _squad_rows(document, problems)
    rows: list[tuple[int, Mapping[str, Any]]] = []
    for number, record in enumerate(records, start=1):
        if isinstance(record, dict):
            rows.append((number, record))
        else:
            problems.add("no JSON object", number)
    return RawTable(_columns(rows), rows)


def _squad_rows(document: Any, problems: Problems) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    try:
        records.extend(squad_records(document))  # on an error, those before it are in the list
    except (KeyError, TypeError, AttributeError) as error:
        raise KQAError(
            f"{problems.source} is neither KorQuAD/SQuAD JSON (data, paragraphs, context, qas) nor a list"
            f" of objects: {type(error).__name__} {error} after row {len(records)}"
        ) from error
    return records


def squad_records(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield one record a question of a KorQuAD/SQuAD document, all its gold answers kept."""
    for article in document["data"]:
        for paragraph in article["paragraphs"]:
            context = paragraph["context"]
            for qa in paragraph["qas"]:
                record = {"id": qa.get("id"), "context": context, "question": qa.get("question")}
                if "answers" in qa:
                    record["answers"] = _squad_answers(qa["answers"])
                yield record


def _squad_answers(answers: Any) -> Any:
    """The texts of a list of answers and where they stand; an answer that is none is left for the check of its row."""
    if not isinstance(answers, list):
        return answers
    return {
        "text": [one.get("text") if isinstance(one, dict) else one for one in answers],
        "answer_start": [one.get("answer_start") if isinstance(one, dict) else None for one in answers],
    }


def _columns(rows: Iterable[tuple[int, Mapping[str, Any]]]) -> list[str]:
    return list(dict.fromkeys(name for _, record in rows for name in record))


def _line_at_end(text: str) -> int:
    return sum(1 for line in f"{text}x".split("\n") if line.strip())


def _question_at_end(text: str) -> int:
    return len(_QUESTION.findall(text))


JSON = Format(_parse_json, _question_at_end)
JSONL = Format(_parse_jsonl, _line_at_end)

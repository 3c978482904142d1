"""Prediction files (id, answer) of several models, read, checked against each other and written.

Everything is text: an answer ``NA`` stays ``NA``, an id ``001`` stays ``001``.
"""

import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from kqa_lightning.ensemble.tables import first_few, nfc, read_answers
from kqa_lightning.errors import KQAError
from kqa_lightning.files import user_path
from kqa_lightning.prediction_files import write_answers


def parse_sources(arguments: Sequence[str], flag: str = "", least: int = 2) -> dict[str, Path]:
    """``NAME=FILE`` arguments as {name: file}, in their order, each name once.

    Args:
        arguments: what was given.
        flag: the option that they were given to, for messages.
        least: how many there must be.
    """
    sources: dict[str, Path] = {}
    owners: dict[str, str] = {}
    for argument in arguments:
        shown = f"{flag} {argument!r}".strip()
        name, separator, path = argument.partition("=")
        name = nfc(name.strip())
        if not (name and separator and path.strip()):
            raise KQAError(f"{shown}: prediction files are given as NAME=FILE")
        if name in sources:
            raise KQAError(f"{shown}: the name {name!r} is given twice; each model needs its own")
        if not name.isprintable():
            raise KQAError(f"{shown}: a name is one line of characters that can be seen")
        sources[name] = user_path(path)
        if (owner := owners.setdefault(os.path.realpath(sources[name]), name)) != name:
            raise KQAError(f"{shown}: that is the file of {owner!r}; each needs its own answers")
    if len(sources) < least:
        raise KQAError(f"an ensemble needs at least two prediction files, {len(sources)} given: NAME=FILE NAME=FILE")
    return sources


def read_all_predictions(sources: Mapping[str, Path]) -> dict[str, dict[str, str]]:
    """The answers of every model: {name: {id: answer}}, each in the order of the first file.

    Raises:
        KQAError: as `read_answers`, or two files answer different questions.
    """
    predictions = {name: read_answers(path) for name, path in sources.items()}
    first, *others = predictions
    for other in others:
        check_same_ids(sources[first], predictions[first], sources[other], predictions[other])
    return {
        name: {question: answers[question] for question in predictions[first]} for name, answers in predictions.items()
    }


def check_same_ids(path: Path, ids: Iterable[str], other_path: Path, other_ids: Iterable[str]) -> None:
    """Refuse two files that answer different questions; the order does not matter."""
    ours, theirs = dict.fromkeys(ids), dict.fromkeys(other_ids)
    only = {
        path: [question for question in ours if question not in theirs],
        other_path: [question for question in theirs if question not in ours],
    }
    # Ids that look the same are shown with every character that cannot be seen.
    alike = bool(set(map(_seen, only[path])) & set(map(_seen, only[other_path])))
    differences = [
        f"only in {file}: {first_few(map(ascii, missing) if alike else missing)}"
        for file, missing in only.items()
        if missing
    ]
    if differences:
        if alike:
            differences.append("some differ only in what cannot be seen")
        raise KQAError(f"{path} and {other_path} answer different questions; {'; '.join(differences)}")


def _seen(text: str) -> str:
    """A text without what cannot be seen of it: white space, signs of no width, how its characters are composed."""
    plain = unicodedata.normalize("NFKC", text)
    return "".join(character for character in plain if character.isprintable() and not character.isspace())


def check_output(output: Path, inputs: Sequence[Path], flag: str = "--output") -> None:
    """Refuse, before any work is done, a file that could not be written or that is one of the inputs."""
    folder = output.absolute().parent
    if not folder.is_dir():
        raise KQAError(f"{flag} {output}: there is no folder {folder}")
    if not os.access(folder, os.W_OK):
        raise KQAError(f"{flag} {output}: the folder {folder} cannot be written to")
    try:
        if output.exists() and not output.is_file():
            raise KQAError(f"{flag} {output}: that is not a file")
    except OSError as error:  # a name that is too long, for one
        raise KQAError(f"{flag} {output}: cannot be written ({error.strerror or error})") from error
    if output.exists() and any(source.exists() and output.samefile(source) for source in inputs):
        raise KQAError(f"{flag} {output}: that is an input; name another file")


def write_predictions(output: Path, answers: Mapping[str, str]) -> None:
    """Write a CSV (id, answer; UTF-8) whole or not at all: a reader never sees half of it.

    Raises:
        KQAError: the file cannot be written; what stood there before stands there still.
    """
    try:
        write_answers(output.resolve(), answers)  # a link goes on pointing at the file it named
    except OSError as error:
        raise KQAError(f"--output {output}: cannot be written ({error.strerror or error})") from error

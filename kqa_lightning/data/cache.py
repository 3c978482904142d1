"""Tables made once and kept: ``datasets``' Arrow cache, found again by everything that decides what is in it."""

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import datasets
from datasets.exceptions import DatasetGenerationError

log = logging.getLogger(__name__)

Rows = Iterable[dict[str, Any]]


def cached(
    make: Callable[[], Rows], features: datasets.Features, decides: Callable[[], Iterable[str | bytes]] | None
) -> datasets.Dataset:
    """Return the rows that ``make`` gives, from the cache where an equal call made them before.

    Written whole or not at all, by one process while others wait. Where the cache cannot be written, the rows are
    kept in memory, which is said.

    Args:
        make: gives the rows; called where the cache has none.
        features: their columns.
        decides: gives all that the rows depend on beside this package's code; None for rows that are made sooner
            than found again, which are kept in memory.

    Raises:
        KQAError: as ``make`` raises it.
    """
    if decides is None:
        return datasets.Dataset.from_list(list(make()), features=features)
    key = fingerprint(_code(), *decides())
    try:
        with _own_progress():
            return datasets.Dataset.from_generator(lambda: iter(make()), features=features, fingerprint=key)
    except (DatasetGenerationError, OSError) as error:
        cause = error.__cause__ if isinstance(error, DatasetGenerationError) else error
        if not isinstance(cause, OSError):
            raise (cause or error) from None
        folder = datasets.config.HF_DATASETS_CACHE
        log.warning("the cache %s cannot be written (%s): going on without it", folder, cause)
        return datasets.Dataset.from_list(list(make()), features=features)


def fingerprint(*parts: str | bytes) -> str:
    """Return a hash of ``parts`` and of where each of them ends."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()[:32]


def table_fingerprint(table: datasets.Dataset) -> str:
    """Return a hash of all that a table holds, whatever file it came from."""
    batches = (repr(batch) for batch in table.iter(batch_size=1000))
    return fingerprint(*batches)


@cache
def _code() -> str:
    """What decides beside the arguments: the code that reads and encodes, and the library that tokenizes."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return fingerprint(version("tokenizers"), *(file.read_bytes() for file in files))


@contextmanager
def _own_progress() -> Iterator[None]:
    """Leave progress bars to ``make``: for a small table none is worth its line."""
    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()

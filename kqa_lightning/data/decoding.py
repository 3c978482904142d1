"""The bytes of a file, unpacked, and their text: UTF-8, else cp949, which is reported; nothing else is guessed."""

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import cast

from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]
from fsspec.utils import infer_compression  # type: ignore[import-untyped]

from kqa_lightning.data.problems import Problems
from kqa_lightning.errors import KQAError

log = logging.getLogger(__name__)

_HANGUL = re.compile("[가-힣]")
# Of text in UTF-16 about every second byte is NUL where it is ASCII; stray ones are rare.
_NUL_SHARE_OF_UTF16 = 0.1


def extension(path: Path) -> tuple[str, str | None]:
    """Return the extension that tells the format, in lower case, and the compression named after it."""
    compression = infer_compression(path.name.lower())
    return (Path(path.stem).suffix if compression else path.suffix).lower(), compression


def read_bytes(path: Path, problems: Problems) -> bytes:
    """Return what is in a file, unpacked where its name ends in .gz, .bz2, .xz, .zip or another that fsspec knows.

    Raises:
        KQAError: where the file cannot be read or unpacked.
    """
    try:
        with LocalFileSystem().open(str(path.absolute()), "rb", compression=extension(path)[1]) as file:
            return cast(bytes, file.read())
    except Exception as error:  # OSError, and what each of the compression libraries raises for a damaged file
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise KQAError(f"{problems.source} cannot be read: {reason}") from error


def decode(data: bytes, problems: Problems, count_rows: Callable[[str], int]) -> str:
    """Return the text of a file: UTF-8 with or without byte-order mark, else cp949, which is reported.

    Args:
        data: the file's bytes.
        problems: names the file in messages.
        count_rows: the number of the row in which the text before a place ends.

    Raises:
        KQAError: where the bytes are neither, with the first byte that is wrong and its row; or no text.
    """
    if not data.strip():
        raise KQAError(f"{problems.source} is empty")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", errors="replace")
        try:
            # Hangul before the fault is UTF-8 that was damaged: cp949 has no such bytes.
            if _HANGUL.search(before):
                raise error
            text = data.decode("cp949")
        except UnicodeDecodeError:
            line = data.count(b"\n", 0, error.start) + 1
            raise KQAError(
                f"{problems.source}: byte 0x{data[error.start]:02x} at offset {error.start} (row {count_rows(before)},"
                f" line {line}) is neither UTF-8 nor cp949; save the file as UTF-8"
            ) from error
        log.warning("%s is not UTF-8 and was read as cp949", problems.source)
    if text.count("\0") > _NUL_SHARE_OF_UTF16 * len(text):
        raise KQAError(f"{problems.source} is full of NUL bytes, as UTF-16 is; save the file as UTF-8")
    return text

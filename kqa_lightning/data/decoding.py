"""The bytes of a file, unpacked, and their text: UTF-8, else cp949, which is reported; nothing else is guessed."""

import codecs
import logging
import re
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import cast

from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]
from fsspec.utils import infer_compression  # type: ignore[import-untyped]

from kqa_lightning.data.problems import Problems
from kqa_lightning.errors import KQAError

log = logging.getLogger(__name__)

_HANGUL = re.compile("[가-힣]")
# Of text in UTF-16 about every second byte is NUL where it is ASCII; stray ones are rare.
_NUL_SHARE_OF_UTF16 = 0.1
# Japanese (EUC-JP) and Chinese (GBK) read as cp949 give Hangul among Chinese characters: half to two thirds of their
# letters, while KorQuAD's article with the most foreign ones has 77 %, and all of them together 99.5 %.
_LEAST_HANGUL = 0.7


def extension(path: Path) -> tuple[str, str | None]:
    """Return the extension that tells the format, in lower case, and the compression named after it."""
    compression = infer_compression(path.name.lower())
    return (Path(path.stem).suffix if compression else path.suffix).lower(), compression


def read_bytes(path: Path, problems: Problems) -> bytes:
    """Return what is in a file, unpacked where its name ends in .gz, .bz2, .xz, .zip or another that fsspec knows.

    Raises:
        KQAError: where the file cannot be read or unpacked, or an archive holds not exactly one file.
    """
    compression = extension(path)[1]
    try:
        if compression == "zip":
            return _read_zip(path, problems)
        with LocalFileSystem().open(str(path.absolute()), "rb", compression=compression) as file:
            return cast(bytes, file.read())
    except KQAError:
        raise
    except Exception as error:  # OSError, and what each of the compression libraries raises for a damaged file
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise KQAError(f"{problems.source} cannot be read: {reason}") from error


def _read_zip(path: Path, problems: Problems) -> bytes:
    """Read the one file of an archive; folders and what macOS adds (__MACOSX/._a.csv, .DS_Store) are no files."""
    with zipfile.ZipFile(path) as archive:
        names = [
            member.filename
            for member in archive.infolist()
            if not member.is_dir() and not PurePosixPath(member.filename).name.startswith(".")
        ]
        if len(names) != 1:
            found = ", ".join(names[:20]) or "none"
            raise KQAError(f"{problems.source} holds {len(names)} files ({found}); pack one table alone")
        return archive.read(names[0])


def decode(data: bytes, problems: Problems, count_rows: Callable[[str], int]) -> str:
    """Return the text of a file: UTF-8 with or without byte-order mark, else cp949, which is reported.

    Args:
        data: the file's bytes.
        problems: names the file in messages.
        count_rows: the number of the row in which the text before a place ends.

    Raises:
        KQAError: where the bytes are neither, with the first byte that is wrong and its row; or no text.
    """
    mark = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
    body = data.removeprefix(mark)
    if not body.strip():
        raise KQAError(f"{problems.source} is empty")
    try:
        text, encoding = _decode(body, marked=bool(mark))
    except UnicodeDecodeError as error:
        before, line = body[: error.start].decode(error.encoding), body.count(b"\n", 0, error.start) + 1
        raise KQAError(
            f"{problems.source}: byte 0x{body[error.start]:02x} at offset {len(mark) + error.start}"
            f" (row {count_rows(before)}, line {line}) is neither UTF-8 nor cp949{error.reason}; save the file as UTF-8"
        ) from error
    if encoding != "utf-8":
        log.warning("%s is not UTF-8 and was read as %s", problems.source, encoding)
    if text.count("\0") > _NUL_SHARE_OF_UTF16 * len(text):
        raise KQAError(f"{problems.source} is full of NUL bytes, as UTF-16 is; save the file as UTF-8")
    return text


def _decode(body: bytes, marked: bool) -> tuple[str, str]:
    """Return the text and its encoding.

    Raises:
        UnicodeDecodeError: at the first fault of the encoding that was meant, as far as that can be told.
    """
    try:
        return body.decode(), "utf-8"
    except UnicodeDecodeError as error:
        not_utf8 = error
    not_utf8.reason = ""
    # After a mark, or after Hangul, it is UTF-8 that was damaged: cp949 has no such bytes.
    if marked or _HANGUL.search(body[: not_utf8.start].decode()):
        raise not_utf8
    try:
        text = body.decode("cp949")
    except UnicodeDecodeError as not_cp949:
        not_cp949.reason = ""
        faults = {name: body.decode(name, errors="replace").count("\ufffd") for name in ("utf-8", "cp949")}
        raise (not_cp949 if faults["cp949"] < faults["utf-8"] else not_utf8) from None
    if _hangul_share(text) < _LEAST_HANGUL:
        not_utf8.reason = ", which makes no Korean of it"
        raise not_utf8
    return text, "cp949"


def _hangul_share(text: str) -> float:
    """How many of the letters beyond ASCII are Hangul syllables in use, which are those that EUC-KR has.

    The others of cp949 are what Shift-JIS looks like.
    """
    letters = {letter: count for letter, count in Counter(text).items() if not letter.isascii() and letter.isalpha()}
    used = sum(
        count for letter, count in letters.items() if "가" <= letter <= "힣" and min(letter.encode("cp949")) > 0xA0
    )
    return used / max(sum(letters.values()), 1)

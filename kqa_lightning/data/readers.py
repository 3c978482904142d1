"""One reader a file format: from a path to columns and numbered rows of plain Python values.

`open_file` unpacks and decodes; the parser of the format, which the extension tells, makes a table of that. None of
them guesses types: what stands in a file as ``NA``, ``null`` or ``007`` stays those characters. Rows are counted
from 1, the header of a CSV file not included.
"""

from dataclasses import dataclass
from pathlib import Path

from kqa_lightning.data.decoding import decode, extension, read_bytes
from kqa_lightning.data.json_tables import JSON, JSONL
from kqa_lightning.data.problems import Problems
from kqa_lightning.data.raw_table import Format, RawTable
from kqa_lightning.data.separated import separated
from kqa_lightning.errors import KQAError


def _parse_parquet(data: bytes, problems: Problems) -> RawTable:
    # pyarrow is imported where it is needed: it takes longer than most other tables take to read.
    from kqa_lightning.data.parquet_tables import parse_parquet

    return parse_parquet(data, problems)


FORMATS = {
    ".csv": separated(","),
    ".tsv": separated("\t"),
    ".jsonl": JSONL,
    ".parquet": Format(_parse_parquet),
    ".json": JSON,
}


@dataclass(frozen=True)
class Content:
    """What a file holds, unpacked and decoded, and not parsed yet.

    Args:
        source: how the file is named in messages.
        extension: the one that tells the format.
        data: text, or bytes where the format is a binary one.
    """

    source: str
    extension: str
    data: str | bytes

    def parse(self, problems: Problems) -> RawTable:
        """Make a table of it; what is wrong with single rows goes to ``problems``.

        Raises:
            KQAError: where nothing can be read at all.
        """
        return FORMATS[self.extension].parse(self.data, problems)


def open_file(path: Path, problems: Problems) -> Content:
    """Read ``path``, whose extension tells the format.

    Raises:
        KQAError: no such file, unknown extension, damaged archive, undecodable bytes.
    """
    if path.is_dir():
        raise KQAError(f"{problems.source} is a folder; give one file ({', '.join(FORMATS)})")
    if not path.exists():
        raise KQAError(f"{problems.source}: there is no such file")
    name = extension(path)[0]
    if name not in FORMATS:
        raise KQAError(
            f"{problems.source}: unknown extension {name!r}; known: {', '.join(FORMATS)},"
            " and these packed as .gz, .bz2, .xz or .zip"
        )
    data = read_bytes(path, problems)
    count_rows = FORMATS[name].count_rows
    return Content(problems.source, name, decode(data, problems, count_rows) if count_rows else data)


def read_file(path: Path, problems: Problems) -> RawTable:
    """Read and parse ``path``; what is wrong with single rows goes to ``problems``.

    Raises:
        KQAError: where nothing can be read at all.
    """
    return open_file(path, problems).parse(problems)

"""Reading ``predictions.jsonl`` by columns, with Arrow, in two thirds of the time that its lines take.

Only where nothing is unusual in what is read of any line. Everything else is left to `candidate_files`, which reads
line by line, takes what may be taken and says what is wrong where.
"""

from typing import NamedTuple

import numpy as np
import pyarrow  # type: ignore[import-untyped]
import pyarrow.json  # type: ignore[import-untyped]

from kqa_lightning.data.cleaning import clean, is_clean
from kqa_lightning.ensemble.pairwise import Floats

_SCORES = ("logprob_sum", "logprob_mean")
_CANDIDATE = [("answer", pyarrow.string()), *((name, pyarrow.float64()) for name in _SCORES)]
_SCHEMA = pyarrow.schema([("id", pyarrow.string()), ("candidates", pyarrow.list_(pyarrow.struct(_CANDIDATE)))])
_AT_ONCE = 1 << 24  # bytes; a line is to be shorter


class Columns(NamedTuple):
    """The candidates of a model, as in `candidate_files.ModelCandidates`.

    Attributes:
        ids: the questions, none blank and no two the same.
        counts: of each question the number of its candidates, one or more.
        answers: of each candidate its answer, cleaned.
        logprob_sum: of each candidate the number in the file, NaN where there is none.
        logprob_mean: the same.
    """

    ids: list[str]
    counts: list[int]
    answers: list[str]
    logprob_sum: Floats
    logprob_mean: Floats


def read_columns(text: str, own: bool) -> Columns | None:
    """The candidates in the lines of a text; None where any line is not as ``predict`` writes it.

    Args:
        text: a question in each line.
        own: whether the first candidate of each question will do.
    """
    if "\\ud" in text or "\\uD" in text:  # Hangul, or half of a pair
        return None
    # Arrow takes several records in a line and one in several lines, and dies of a null at the beginning. Within a
    # record no brace that closes comes right before one that opens, so that each line here has whole records.
    breaks = text.count("\n", 0, -1)
    if not text.startswith("{") or text.count("}\n{") + text.count("}\r\n{") != breaks:
        return None
    try:
        table = pyarrow.json.read_json(
            pyarrow.BufferReader(text.encode()),
            # In one thread: files are read beside one another.
            read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=_AT_ONCE),
            parse_options=pyarrow.json.ParseOptions(explicit_schema=_SCHEMA, unexpected_field_behavior="ignore"),
        )
    except (pyarrow.lib.ArrowException, UnicodeEncodeError):
        return None
    if table.num_rows != breaks + 1:
        return None
    ids, lists = (table[name].combine_chunks() for name in _SCHEMA.names)
    counts = lists.value_lengths()
    found = lists.flatten()
    if ids.null_count or lists.null_count or found.null_count or not counts.to_numpy().all():
        return None
    if own:
        ends = np.cumsum(counts.to_numpy())
        found, counts = found.take(pyarrow.array(ends - counts.to_numpy())), pyarrow.array(np.ones(len(ids), np.int64))
    return _checked(ids.to_pylist(), counts.to_pylist(), found)


def _checked(ids: list[str], counts: list[int], candidates: pyarrow.StructArray) -> Columns | None:
    answers = candidates.field("answer")
    if answers.null_count or not all(map(str.strip, ids)) or len(set(ids)) < len(ids):
        return None
    texts: list[str] = answers.to_pylist()
    if not is_clean("".join(texts)):
        texts = [clean(one)[0] for one in texts]
    scores = [candidates.field(name) for name in _SCORES]
    figures = [score.to_numpy(zero_copy_only=False) for score in scores]
    # What JSON has no number for, as -NaN, is one to Arrow.
    if any(
        np.isfinite(values).sum() + score.null_count < len(texts) for score, values in zip(scores, figures, strict=True)
    ):
        return None
    return Columns(ids, counts, texts, *figures)

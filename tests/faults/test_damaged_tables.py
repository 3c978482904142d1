"""Damaged tables: each is read whole or refused in one line that names it; no row is lost on the way."""

import bz2
import gzip
import io
import json
import lzma
import shutil
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from damaged_bytes import ANY_FILE, TEXT_FILE
from damaged_rows import ROWS, damaged_document, korquad, write
from fault_table import Tally
from outcomes import attempt
from small_runs import SmallRuns, read_rows
from table_rows import expected_ids

from kqa_lightning.__main__ import main

KIND = "damaged tables"
FORMATS = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
SHAPES = 12


def _zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("table.csv", data)
    return file.getvalue()


PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zip": _zipped,
}
CASES = [
    *((suffix, name) for suffix in FORMATS for name in ANY_FILE),
    *((suffix, name) for suffix in FORMATS if suffix != ".parquet" for name in TEXT_FILE),
    *((suffix, name) for name, fault in ROWS.items() for suffix in fault.formats),
    *((f".csv{packed}", name) for packed in PACK for name in ANY_FILE),
    *((".korquad.json", f"shape {number}") for number in range(SHAPES)),
]


def damaged(rows: list[dict], suffix: str, name: str, choose: Random) -> tuple[bytes, tuple[str, ...]]:
    """The bytes of a table so damaged, and what a refusal is to say beside its name."""
    if suffix == ".korquad.json":
        document = korquad(rows)
        return damaged_document(document, int(name.split()[1]), choose), ()
    if name in ROWS:
        rows, words = ROWS[name].make(rows, choose)
        return write(rows, suffix), words
    packed = next((packed for packed in PACK if suffix.endswith(packed)), None)
    plain = suffix.removesuffix(packed) if packed else suffix
    whole = write(rows, plain)
    if packed:
        whole = PACK[packed](whole)
    return (ANY_FILE | TEXT_FILE)[name](whole, choose), ()


@pytest.mark.parametrize(("suffix", "name"), CASES, ids=[f"{suffix[1:]}, {name}" for suffix, name in CASES])
def test_a_damaged_table(
    runs: SmallRuns, tally: Tally, tmp_path: Path, capfd: pytest.CaptureFixture[str], suffix: str, name: str
) -> None:
    choose = Random(zlib.crc32(f"{suffix} {name}".encode()))
    data, words = damaged(read_rows(runs.tables["test"]), suffix, name, choose)
    table = tmp_path / f"damaged{suffix}"
    table.write_bytes(data)
    tally.points += 1
    folder = tmp_path / "run"
    folder.mkdir()
    for kept in ("predictions.csv", "predictions.jsonl", "fit.yaml"):
        (folder / kept).write_text("of an earlier run", encoding="utf-8")

    def preview() -> int:
        return main(["preview", "--config", "tiny-nous.yaml", "--json", "--data.train_path", str(table)])

    shown = attempt(preview, capfd, tally, folder, (table.name,))
    expected = expected_ids(table)
    if shown.status == 0:
        same_rows([json.loads(line)["id"] for line in shown.out.splitlines()], expected, tally)
    else:
        assert all(word in shown.errors[0] for word in words), shown
        fit = runs.arguments("fit", str(folder), "--data.train_path", str(table))
        assert attempt(lambda: main(fit), capfd, tally, folder, (table.name,)).status == 2
    if name.startswith(("huge", "columns added")) and shown.status == 0:
        return  # answering them takes minutes, and reads them no otherwise
    predict = runs.arguments("predict", str(folder), "--data.predict_path", str(table))
    answered = attempt(lambda: main(predict), capfd, tally, folder, (table.name,))
    assert answered.status == 0 or shown.status == 2  # a table to predict on may lack answers, and nothing else
    if answered.status == 0:
        same_rows([row["id"] for row in read_rows(folder / "predictions.csv")], expected, tally)
    shutil.rmtree(folder)


def same_rows(found: list[str], expected: list[str] | int | None, tally: Tally) -> None:
    if expected is None:
        return
    same = found == expected if isinstance(expected, list) else len(found) == expected
    tally.equal += same
    tally.lost += not same
    assert same, (found, expected)

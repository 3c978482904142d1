"""Write the sample data set: synthetic Korean economic news with questions.

The test split holds names, sentence patterns and question patterns that occur in no other
split; ``test_patterns.csv`` tells which of its questions rely on a new pattern.
"""

from __future__ import annotations

import csv
import random
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from script_options import ScriptParser, run_script
from synthetic_news import Article, NewsGenerator, Split

# The test articles are of a seed of their own: they were drawn when every setting of the demo had been chosen.
SEEDS: dict[Split, int] = {"train": 20240, "val": 20240, "test": 20241129}
ARTICLES: dict[Split, int] = {"train": 440, "val": 90, "test": 200}
ID_FORMATS: dict[Split, str] = {"train": "TRAIN_{:05d}", "val": "VAL_{:04d}", "test": "TEST_{:04d}"}
# How many articles in a hundred get so many questions.
QUESTION_COUNTS = {2: 20, 3: 25, 4: 25, 5: 18, 6: 12}
# Shorter than the longest that the bases have read: room enough for two or three companies with their values.
MAX_SENTENCES = 6
SAMPLE = Path(__file__).parents[1] / "kqa_lightning" / "assets" / "sample"
COLUMNS = ("id", "context", "question", "answer")
PATTERN_COLUMNS = ("id", "sentence_pattern", "question_pattern", "unseen")


def make_articles(split: Split, seed: int) -> list[Article]:
    """Return the articles of a split, each with a random number of questions."""
    generator = NewsGenerator(seed, split)
    rng = random.Random(f"questions-{split}-{seed}")
    counts = [count for count, share in QUESTION_COUNTS.items() for _ in range(share)]
    sizes = (counts[int(rng.random() * len(counts))] for _ in range(ARTICLES[split]))
    return [generator.article(size, MAX_SENTENCES) for size in sizes]


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _write_split(output: Path, split: Split, articles: Sequence[Article]) -> None:
    """Write the rows of a split, and for the test split the patterns behind them."""
    rows: list[tuple[str, ...]] = []
    patterns: list[tuple[object, ...]] = []
    for article in articles:
        for question in article.questions:
            row_id = ID_FORMATS[split].format(len(rows))
            fields = (row_id, article.text, question.text, question.answer)
            rows.append(tuple(unicodedata.normalize("NFC", field) for field in fields))
            patterns.append((row_id, question.sentence_pattern, question.question_pattern, int(question.unseen)))
    _write_csv(output / f"{split}.csv", COLUMNS, rows)
    if split == "test":
        _write_csv(output / "test_patterns.csv", PATTERN_COLUMNS, patterns)


def write_sample_data(output: Path, seed: int | None = None) -> None:
    """Write train.csv, val.csv, test.csv and test_patterns.csv into ``output``.

    Args:
        output: Folder, made where it is missing.
        seed: Of all three splits; None for those of the bundled ones.
    """
    output.mkdir(parents=True, exist_ok=True)
    for split, bundled in SEEDS.items():
        _write_split(output, split, make_articles(split, bundled if seed is None else seed))


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the arguments and write the files."""
    parser = ScriptParser("Write the sample data set.")
    parser.add_argument("--output", type=Path, default=SAMPLE, help="folder for the CSV files")
    parser.add_argument("--seed", type=int, help="of all three splits (default: those of the bundled ones)")
    arguments = parser.parse(argv)
    write_sample_data(arguments.output, arguments.seed)


if __name__ == "__main__":
    sys.exit(run_script(main, None))

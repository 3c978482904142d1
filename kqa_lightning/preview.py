"""``preview``: what a model will be trained on, shown without loading one."""

import functools
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import datasets

from kqa_lightning.cli import KQACLI, run_cli
from kqa_lightning.data.articles import EncodedTable, encode_table
from kqa_lightning.data.datamodule import KQADataModule
from kqa_lightning.data.encoding import EncodedArticle, EncodedQuestion, PromptEncoder
from kqa_lightning.data.tables import load_table
from kqa_lightning.data.text_encoder import load_tokenizer
from kqa_lightning.errors import KQAError

EXAMPLES = 2
BINS = 12
BAR = 40
ARTICLES_KEPT = 256  # whose questions are apart in the table, so that each is not read again for every question
# How the supervised part is told from the rest: in green on a terminal, in brackets elsewhere.
COLOURS = ("\033[1;32m", "\033[0m")
BRACKETS = ("⟦", "⟧")


@dataclass(frozen=True)
class Row:
    """One question as a sequence of its own.

    Args:
        number: its row of the table.
        prompt_ids: everything before the answer.
        answer_ids: the answer and its end: what is supervised.
        cut: whether its article was cut.
    """

    number: int
    prompt_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]
    cut: bool

    def __len__(self) -> int:
        """Tokens of the sequence."""
        return len(self.prompt_ids) + len(self.answer_ids)


class Preview(KQACLI):
    """Parses the settings of any command, and shows the training table instead of training on it."""

    def __init__(self, args: list[str]) -> None:
        super().__init__(args, run=False)

    def add_arguments_to_parser(self, parser: Any) -> None:
        """The options of preview beside those that all commands share."""
        super().add_arguments_to_parser(parser)
        parser.add_argument("--json", action="store_true", help="Print one JSON line a row of the table, for tools.")

    def parse_arguments(self, parser: Any, args: Any) -> None:
        """Parse; there is no command among the arguments and no checkpoint."""
        self.config = parser.parse_args(args)

    def before_instantiate_classes(self) -> None:
        """Nothing is saved."""

    def instantiate_classes(self) -> None:
        """Make the data module alone."""
        self.datamodule: KQADataModule = self.parser.instantiate(self.config)["data"]

    def after_instantiate_classes(self) -> None:
        """Show the table."""
        data = self.datamodule
        data.check_settings()
        source = data.paths["train"]
        if source is None:
            raise KQAError("preview needs --data.train_path: a table, or sample")
        table = load_table(source, "train", data.columns, require_answers=True)
        encoder = PromptEncoder(load_tokenizer(data.base_model), data.prompt, data.max_length)
        encoded = encode_table(table, encoder, "train", data.row_limit, data.share_articles, name="the table")
        if self.config.json:
            print_json(table, encoded, encoder)
        else:
            print("\n".join(summary(table, encoded, encoder, colour=sys.stdout.isatty())))


def run(args: list[str]) -> int:
    """Run ``preview`` and return its exit status; see `kqa_lightning.__main__.main`."""
    return run_cli(lambda: _show(args[1:]))


def _show(args: list[str]) -> None:
    try:
        Preview(args)
        sys.stdout.flush()
    except BrokenPipeError:  # who reads has read enough; what is left would fail again at the end of the process
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def rows_of(encoded: EncodedTable) -> Iterator[Row]:
    """Every question as a sequence of its own, in the order of the table, each made as it is asked for."""
    article_of = functools.lru_cache(ARTICLES_KEPT)(encoded.__getitem__)
    for number, index in enumerate(encoded.find_rows()):
        article = article_of(index)
        yield from (row_of(article, question) for question in article.questions if question.row == number)


def row_of(article: EncodedArticle, question: EncodedQuestion) -> Row:
    """The sequence of one question."""
    return Row(question.row, article.prefix_ids + question.question_ids, question.answer_ids, article.cut)


def print_json(table: datasets.Dataset, encoded: EncodedTable, encoder: PromptEncoder) -> None:
    """Print one line a row, in the order of the table."""
    ids = table["id"][:]
    for row in rows_of(encoded):
        token_ids = [*row.prompt_ids, *row.answer_ids]
        record = {
            "id": ids[row.number],
            "text": encoder.text.decode(token_ids),
            "token_ids": token_ids,
            "supervised": [0] * len(row.prompt_ids) + [1] * len(row.answer_ids),
            "article_cut": int(row.cut),
        }
        print(json.dumps(record))  # in ASCII: JSON in whatever encoding the reader has


def summary(table: datasets.Dataset, encoded: EncodedTable, encoder: PromptEncoder, colour: bool) -> Iterator[str]:
    """Two examples, the lengths, and the counts, line by line."""
    opening, closing = COLOURS if colour else BRACKETS
    for row in islice(rows_of(encoded), EXAMPLES):
        yield f"── {table['id'][row.number]} ── {len(row)} tokens, supervised: {opening}{len(row.answer_ids)}{closing}"
        yield f"{encoder.text.decode(row.prompt_ids)}{opening}{encoder.text.decode(row.answer_ids)}{closing}"
        yield ""
    yield "tokens of a question with its article and answer"
    # Numbers alone are kept: the ids of a large table are more than the memory holds.
    sizes = [
        (len(article.prefix_ids) + len(question), len(question.answer_ids))
        for article in encoded
        for question in article.questions
    ]
    lengths = [length for length, _ in sizes]
    yield from histogram(lengths, encoder.max_length)
    yield ""
    cuts = encoded.cuts()
    per_article = Counter(Counter(table["context"][:]).values())
    supervised, computed = sum(answer for _, answer in sizes), sum(encoded.lengths)
    rows = len(lengths)
    limit = f"max_length {encoder.max_length:,}"
    yield f"rows                 {rows:>12,}"
    yield f"articles             {cuts.articles:>12,}"
    yield f"questions an article {rows / cuts.articles:>12.2f}   ({_spread(per_article)})"
    yield f"rows cut             {cuts.questions:>12,}   ({cuts.cut:,} articles; {limit})"
    yield f"answers cut off      {cuts.lost:>12,}"
    yield f"tokens computed      {computed:>12,}   ({sum(lengths):,} with a row a question)"
    yield f"tokens supervised    {supervised:>12,}   ({supervised / computed:.2%} of those computed)"


def histogram(lengths: list[int], limit: int) -> Iterator[str]:
    """Bars of how many sequences have how many tokens; the last bin ends at the longest one."""
    shortest, longest = min(lengths), max(lengths)
    width = max(1, -(-(longest - shortest + 1) // BINS))
    counts = Counter((length - shortest) // width for length in lengths)
    digits = len(f"{max(limit, longest):,}")
    for index in range((longest - shortest) // width + 1):
        first = shortest + index * width
        last = min(first + width - 1, longest)
        bar = "█" * max(round(BAR * counts[index] / max(counts.values())), 1) + " " if counts[index] else ""
        yield f"{first:>{digits},}–{last:<{digits},} {bar}{counts[index]:,}"


def _spread(counts: Counter[int]) -> str:
    """How many articles have how many questions: the most frequent numbers."""
    common = sorted(counts.most_common(6))
    return ", ".join(f"{number} × {count:,}" for number, count in common) + (", …" if len(counts) > len(common) else "")

"""The LightningDataModule: tables in, packed batches out, everything checked before a model is loaded."""

import logging
from collections.abc import Collection, Sequence
from functools import cached_property
from typing import Any

import datasets
import torch
from lightning.pytorch import LightningDataModule, Trainer
from torch.utils.data import DataLoader, Dataset

from kqa_lightning.assets import SAMPLE
from kqa_lightning.data.articles import EncodedTable, encode_table
from kqa_lightning.data.chat import ChatPrompt
from kqa_lightning.data.encoding import PromptEncoder
from kqa_lightning.data.packing import PackedBatch, pack
from kqa_lightning.data.prompts import Prompt
from kqa_lightning.data.sampling import ArticleBatchSampler, ResumableLoader
from kqa_lightning.data.splits import article_key, split_articles
from kqa_lightning.data.tables import PARTS, Part, load_table
from kqa_lightning.data.text_encoder import load_tokenizer
from kqa_lightning.errors import KQAError

log = logging.getLogger(__name__)

__all__ = ["ChatPrompt", "KQADataModule", "PackedArticles"]  # ChatPrompt: so that class_path knows its name

# What each stage of Lightning needs.
STAGE_PARTS: dict[str | None, tuple[Part, ...]] = {
    "fit": ("train", "val"),
    "validate": ("val",),
    "test": ("test",),
    "predict": ("predict",),
    None: PARTS,
}


class PackedArticles(Dataset[PackedBatch]):
    """Rows to be packed; indexed by a list of them, it gives the batch.

    Args:
        articles: the rows.
        pad_id: fills the shorter rows of a batch.
    """

    def __init__(self, articles: EncodedTable, pad_id: int) -> None:
        self.articles = articles
        self.pad_id = pad_id

    def __len__(self) -> int:
        """Rows, not batches."""
        return len(self.articles)

    def __getitem__(self, rows: int | list[int]) -> PackedBatch:
        """Return one row, or several, as a batch."""
        chosen = [rows] if isinstance(rows, int) else rows
        return pack([self.articles[row] for row in chosen], self.pad_id)


class KQADataModule(LightningDataModule):
    """Questions on articles, from tables to packed batches.

    A table is a CSV, TSV, JSONL, Parquet or KorQuAD/SQuAD JSON file, a hub data set (owner/name, or
    owner/name:split) or "sample", the bundled data. Its columns are id, context, question and answer; a
    table to predict on needs no answer.

    Args:
        base_model: Hub id or folder of the base model, for its tokenizer; tiny-gemma2, tiny-eeve and
            tiny-nous are bundled.
        prompt: The prompt of the base model's family: Gemma2Prompt, EEVEPrompt or NousPrompt; ChatPrompt for the
            chat template of any other instruct model.
        train_path: Table to train on; "sample" brings its own validation and test parts.
        val_path: Table to validate on; without one, whole articles are split off the training table.
        test_path: Table to test on.
        predict_path: Table to predict on; the test table where it is not given.
        val_fraction: Share of the articles to split off for validation, between 0 and 1.
        max_length: Most tokens of an article with one question and its answer; longer articles are cut,
            at a sentence end where there is one.
        tokens_per_batch: Most tokens of a padded batch, of which a longer article has one alone; null for
            one article a batch.
        evaluation_tokens_per_batch: The same for validation, test and prediction, whose articles are answered
            together; half of it where the memory of a GPU does not do.
        share_articles: Whether all questions of an article share one row, so that it is computed once.
        columns: The table's own column names, for example {"context": "본문"}.
        num_workers: Processes that pack batches ahead; 0 packs in the training process.
        seed: Of the validation split and of the order of training.
    """

    def __init__(
        self,
        base_model: str,
        prompt: Prompt,
        train_path: str | None = None,
        val_path: str | None = None,
        test_path: str | None = None,
        predict_path: str | None = None,
        val_fraction: float = 0.1,
        max_length: int = 2048,
        tokens_per_batch: int | None = None,
        evaluation_tokens_per_batch: int = 8192,
        share_articles: bool = True,
        columns: dict[str, str] | None = None,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.base_model = base_model
        self.prompt = prompt
        self.paths = _with_sample_parts(
            {"train": train_path, "val": val_path, "test": test_path, "predict": predict_path}
        )
        self.val_fraction = val_fraction
        self.max_length = max_length
        self.tokens_per_batch = tokens_per_batch
        self.evaluation_tokens_per_batch = evaluation_tokens_per_batch
        self.share_articles = share_articles
        self.columns = columns
        self.num_workers = num_workers
        self.seed = seed
        self._held_out: Sequence[int] = ()
        self._passed_over: Collection[int] = ()
        self._train_on_all = False
        self.tables: dict[str, datasets.Dataset] = {}
        self.articles: dict[str, EncodedTable] = {}

    @cached_property
    def encoder(self) -> PromptEncoder:
        """Tokenizer and prompt, made when the first table is to be encoded: a wrong table is told without them."""
        return PromptEncoder(load_tokenizer(self.base_model), self.prompt, self.max_length)

    def setup(self, stage: str | None = None) -> None:
        """Read, check and encode what ``stage`` needs; what is there from an earlier stage stays.

        Without a stage, all parts that have a table are prepared.

        Raises:
            KQAError: naming the flag, file or rows that are wrong.
        """
        self.check_settings()
        parts = STAGE_PARTS[stage]
        if self._train_on_all and self.paths["val"] is None:
            parts = tuple(part for part in parts if part != "val")
        if stage is None:
            parts = tuple(part for part in parts if self.paths[part] or (part == "val" and self.paths["train"]))
        for part in parts:
            self._read(part, stage)
        if "train" in parts and self.paths["val"] is not None and "val" not in self.articles:
            self._report_known_articles()
        for part in parts:
            if part not in self.articles:
                self.articles[part] = self._encode(part)

    def train_dataloader(self) -> ResumableLoader:
        """Shuffled batches; the loader's state brings an interrupted epoch to its next batch."""
        return ResumableLoader(**self._loader("train", shuffle=True))

    def val_dataloader(self) -> DataLoader[PackedBatch]:
        """The validation articles in the order of the table."""
        return DataLoader(**self._loader("val"))

    def test_dataloader(self) -> DataLoader[PackedBatch]:
        """The test articles in the order of the table."""
        return DataLoader(**self._loader("test"))

    def predict_dataloader(self) -> DataLoader[PackedBatch]:
        """The articles to predict on, in the order of the table."""
        return DataLoader(**self._loader("predict", passed_over=self._passed_over))

    def groups(self, part: Part) -> list[list[int]]:
        """The questions, as rows of the table, of each batch of a part in the order of the table.

        Of several processes each has batches of its own. All of them are here, those that are passed over too.
        """
        rows = self.articles[part].question_rows
        return [[row for article in batch for row in rows[article]] for batch in self._sampler(part)]

    def pass_over(self, batches: Collection[int]) -> None:
        """Hand out empty batches in place of some of `predict_dataloader`, by their numbers in `groups`.

        To be called before the loader is made.
        """
        self._passed_over = batches

    def training_table(self) -> datasets.Dataset:
        """The whole training table, of which nothing has been split off.

        Raises:
            KQAError: as `setup`.
        """
        source = self._source("train", "crossfit needs --data.train_path")
        return load_table(source, "train", self.columns, require_answers=True)

    def hold_out(self, rows: Sequence[int]) -> None:
        """Leave these rows of the training table out of training and validation, and predict on them.

        To be called before `setup`.
        """
        self._held_out = rows

    def train_on_all(self) -> None:
        """Split nothing off the training table, also where validation has no table of its own: there is none then.

        To be called before `setup`.
        """
        self._train_on_all = True

    @property
    def row_limit(self) -> int:
        """Most tokens of a packed row: no more than of a batch, so that the memory of a step is bounded."""
        return max(self.max_length, self.tokens_per_batch or 0)

    def check_settings(self) -> None:
        """Check what needs no table.

        Raises:
            KQAError: naming the flag that is out of its range.
        """
        if not 0 < self.val_fraction < 1:
            raise KQAError(f"--data.val_fraction {self.val_fraction} is to be between 0 and 1")
        least_values = {"max_length": 1, "tokens_per_batch": 1, "evaluation_tokens_per_batch": 1, "num_workers": 0}
        for name, least in least_values.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise KQAError(f"--data.{name} {value} is to be at least {least}")

    def _read(self, part: Part, stage: str | None) -> None:
        """Read one part's table; that of training is split where validation has none of its own."""
        if part in self.tables:
            return
        splits = part == "val" and self.paths["val"] is None
        if part == "train" or splits:
            self._read_training(stage)
        elif part == "predict" and self._held_out:
            self.tables[part] = self.training_table().select(self._held_out)
        else:
            flags = {"predict": "--data.predict_path or --data.test_path"}
            source = self._source(part, f"{stage} needs {flags.get(part, f'--data.{part}_path')}")
            self.tables[part] = load_table(source, part, self.columns, require_answers=part != "predict")

    def _read_training(self, stage: str | None) -> None:
        """Read the training table, and split off it what is held out and what is validated on."""
        flag = "--data.val_path or --data.train_path" if stage == "validate" else "--data.train_path"
        self._source("train", f"{stage} needs {flag}")
        table = self.training_table()
        held_out = set(self._held_out)
        rows = [row for row in range(len(table)) if row not in held_out]
        if self.paths["val"] is None and not self._train_on_all:
            contexts = table["context"]
            train, val = split_articles([contexts[row] for row in rows], self.val_fraction, self.seed)
            self.tables["val"] = table.select([rows[place] for place in val])
            rows = [rows[place] for place in train]
        self.tables["train"] = table if len(rows) == len(table) else table.select(rows)

    def _report_known_articles(self) -> None:
        """Say how many articles of a validation table of its own are trained on, where there are any."""
        train, val = (
            {article_key(context) for context in set(self.tables[part]["context"])} for part in ("train", "val")
        )
        if known := len(train & val):
            log.warning(
                "--data.val_path %s: %d of its %d articles are in the training table too, and the score on them says"
                " little about new articles; leave the flag out to validate on articles of their own",
                *(self.paths["val"], known, len(val)),
            )

    def _source(self, part: Part, needed: str) -> str:
        """The table of a part, or an error that says what needs it."""
        source = self.paths[part]
        if source is None:
            raise KQAError(f"{needed}: a table, or sample")
        return source

    def _encode(self, part: Part) -> EncodedTable:
        return encode_table(
            self.tables[part],
            self.encoder,
            "train" if part == "train" else "inference",
            self.row_limit,
            self.share_articles,
            name=f"the {part} table",
        )

    def _sampler(self, part: Part, shuffle: bool = False, passed_over: Collection[int] = ()) -> ArticleBatchSampler:
        return ArticleBatchSampler(
            self.articles[part].lengths,
            self.tokens_per_batch if shuffle else self.evaluation_tokens_per_batch,
            shuffle=shuffle,
            seed=self.seed,
            rank=self.trainer.global_rank if self.trainer else 0,
            world_size=self.trainer.world_size if self.trainer else 1,
            passed_over=passed_over,
        )

    def _loader(self, part: Part, shuffle: bool = False, passed_over: Collection[int] = ()) -> dict[str, Any]:
        return {
            "dataset": PackedArticles(self.articles[part], self.encoder.pad_id),
            "sampler": self._sampler(part, shuffle, passed_over),
            "batch_size": None,  # the sampler makes the batches
            "num_workers": self.num_workers,
            # Its own, because a loader otherwise draws from the global one, on which dropout depends.
            "generator": torch.Generator().manual_seed(self.seed),
        }


def data_of(trainer: Trainer) -> KQADataModule:
    """The data module that a trainer works with, which Lightning sets without declaring it."""
    data = trainer.datamodule  # type: ignore[attr-defined]
    assert isinstance(data, KQADataModule)
    return data


def _with_sample_parts(paths: dict[str, str | None]) -> dict[str, str | None]:
    """Give the bundled training table its validation and test parts; predict on the test table by default."""
    if paths["train"] == SAMPLE:
        paths = paths | {part: paths[part] or SAMPLE for part in ("val", "test")}
    return paths | {"predict": paths["predict"] or paths["test"]}

"""The LightningDataModule: tables in, packed batches out, everything checked before a model is loaded."""

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Any

import datasets
import torch
from lightning.pytorch import LightningDataModule, Trainer
from torch.utils.data import DataLoader, Dataset

from kqa_lightning.data.articles import EncodedTable, encode_table
from kqa_lightning.data.chat import ChatPrompt
from kqa_lightning.data.encoding import PromptEncoder
from kqa_lightning.data.packing import PackedBatch, pack
from kqa_lightning.data.parts import PartTables
from kqa_lightning.data.prompts import Prompt
from kqa_lightning.data.sampling import ArticleBatchSampler, ResumableLoader
from kqa_lightning.data.tables import Part
from kqa_lightning.data.text_encoder import load_tokenizer
from kqa_lightning.errors import KQAError

__all__ = ["ChatPrompt", "KQADataModule", "PackedArticles"]  # ChatPrompt: so that class_path knows its name


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
            at a sentence end where there is one. Of an article with all its questions too, unless tokens_per_batch is
            more: those that do not fit go into further rows, each of which computes the article again.
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
        paths = {"train": train_path, "val": val_path, "test": test_path, "predict": predict_path}
        self._parts = PartTables(paths, columns, val_fraction, seed)
        self.val_fraction = val_fraction
        self.max_length = max_length
        self.tokens_per_batch = tokens_per_batch
        self.evaluation_tokens_per_batch = evaluation_tokens_per_batch
        self.share_articles = share_articles
        self.columns = columns
        self.num_workers = num_workers
        self.seed = seed
        self._passed_over: Collection[int] = ()
        self.articles: dict[str, EncodedTable] = {}

    @cached_property
    def encoder(self) -> PromptEncoder:
        """Tokenizer and prompt, made when the first table is to be encoded: a wrong table is told without them."""
        return PromptEncoder(load_tokenizer(self.base_model), self.prompt, self.max_length)

    @property
    def paths(self) -> Mapping[str, str | None]:
        """The table of each part as the user named it; the bundled one brings parts of its own."""
        return self._parts.paths

    @property
    def tables(self) -> Mapping[str, datasets.Dataset]:
        """The checked tables that have been read, by part."""
        return self._parts.tables

    def setup(self, stage: str | None = None) -> None:
        """Read, check and encode what ``stage`` needs; what is there from an earlier stage stays.

        Without a stage, all parts that have a table are prepared.

        Raises:
            KQAError: naming the flag, file or rows that are wrong.
        """
        self.check_settings()
        parts = self._parts.read_for(stage)
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
        return self._parts.training_table()

    def hold_out(self, rows: Sequence[int]) -> None:
        """Leave these rows of the training table out of training and validation, and predict on them.

        To be called before `setup`.
        """
        self._parts.held_out = rows

    def train_on_all(self) -> None:
        """Split nothing off the training table, also where validation has no table of its own: there is none then.

        To be called before `setup`.
        """
        self._parts.train_on_all = True

    @property
    def row_limit(self) -> int:
        """Most tokens of a packed row: those of a batch, or of a question with its article if those may be more."""
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

"""The tables of training, validation, test and prediction: which are needed, and what is split off which."""

import logging
from collections.abc import Mapping, Sequence

import datasets

from kqa_lightning.assets import SAMPLE
from kqa_lightning.data.splits import article_key, split_articles
from kqa_lightning.data.tables import PARTS, Part, load_table
from kqa_lightning.errors import KQAError

log = logging.getLogger(__name__)

# What each stage of Lightning needs.
STAGE_PARTS: dict[str | None, tuple[Part, ...]] = {
    "fit": ("train", "val"),
    "validate": ("val",),
    "test": ("test",),
    "predict": ("predict",),
    None: PARTS,
}


class PartTables:
    """The checked tables of a data module, read when they are first needed.

    Args:
        paths: Of each part, the table as the user named it, or None.
        columns: The tables' own column names.
        val_fraction: Share of the articles that is validated on where validation has no table of its own.
        seed: Of that split.

    Attributes:
        paths: As given; the bundled training table brings parts of its own, and prediction is on the test table
            where it has none.
        tables: What has been read, by part.
        held_out: Rows of the training table that are predicted on, and neither trained nor validated on.
        train_on_all: Whether nothing is split off for validation.
    """

    def __init__(
        self, paths: dict[str, str | None], columns: dict[str, str] | None, val_fraction: float, seed: int
    ) -> None:
        self.paths: Mapping[str, str | None] = _with_sample_parts(paths)
        self.tables: dict[str, datasets.Dataset] = {}
        self.held_out: Sequence[int] = ()
        self.train_on_all = False
        self._columns = columns
        self._val_fraction = val_fraction
        self._seed = seed

    def read_for(self, stage: str | None) -> tuple[Part, ...]:
        """Read what a stage needs and is not there yet; without a stage, all parts that have a table.

        Returns:
            The parts of the stage.

        Raises:
            KQAError: naming the flag, file or rows that are wrong.
        """
        known = set(self.tables)
        parts = self._needed(stage)
        for part in parts:
            if part not in self.tables:
                self._read(part, stage)
        if {"train", "val"} <= set(parts) - known and self.paths["val"] is not None:
            self._report_known_articles()
        return parts

    def training_table(self) -> datasets.Dataset:
        """The whole training table, of which nothing has been split off.

        Raises:
            KQAError: where there is none, or it is wrong.
        """
        source = self._source("train", "crossfit needs --data.train_path")
        return load_table(source, "train", self._columns, require_answers=True)

    def _needed(self, stage: str | None) -> tuple[Part, ...]:
        parts = STAGE_PARTS[stage]
        if self.train_on_all and self.paths["val"] is None:
            parts = tuple(part for part in parts if part != "val")
        if stage is None:
            parts = tuple(part for part in parts if self.paths[part] or (part == "val" and self.paths["train"]))
        return parts

    def _read(self, part: Part, stage: str | None) -> None:
        """Read one part's table; that of training is split where validation has none of its own."""
        if part == "train" or (part == "val" and self.paths["val"] is None):
            self._read_training(stage)
        elif part == "predict" and self.held_out:
            self.tables[part] = self.training_table().select(self.held_out)
        else:
            flags = {"predict": "--data.predict_path or --data.test_path"}
            source = self._source(part, f"{_command(stage)} needs {flags.get(part, f'--data.{part}_path')}")
            self.tables[part] = load_table(source, part, self._columns, require_answers=part != "predict")

    def _read_training(self, stage: str | None) -> None:
        """Read the training table, and split off it what is held out and what is validated on."""
        flag = "--data.val_path or --data.train_path" if stage == "validate" else "--data.train_path"
        self._source("train", f"{_command(stage)} needs {flag}")
        table = self.training_table()
        held_out = set(self.held_out)
        rows = [row for row in range(len(table)) if row not in held_out]
        if self.paths["val"] is None and not self.train_on_all:
            contexts = table["context"]
            train, val = split_articles([contexts[row] for row in rows], self._val_fraction, self._seed)
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


def _command(stage: str | None) -> str:
    """A stage by the name of its command, also where Lightning gives a member of an enumeration."""
    return str.__str__(stage or "all")


def _with_sample_parts(paths: dict[str, str | None]) -> dict[str, str | None]:
    """Give the bundled training table its validation and test parts; predict on the test table by default."""
    if paths["train"] == SAMPLE:
        paths = paths | {part: paths[part] or SAMPLE for part in ("val", "test")}
    return paths | {"predict": paths["predict"] or paths["test"]}

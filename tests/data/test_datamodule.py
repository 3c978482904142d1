import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonargparse import ArgumentParser
from lightning.pytorch import Callback, LightningModule, Trainer

from kqa_lightning.data.datamodule import KQADataModule
from kqa_lightning.data.packing import IGNORED, PackedBatch
from kqa_lightning.data.prompts import NousPrompt
from kqa_lightning.errors import KQAError


@pytest.fixture
def make(llama2_tokenizer_dir: Path):
    def make_module(**kwargs: Any) -> KQADataModule:
        return KQADataModule(str(llama2_tokenizer_dir), NousPrompt(), **kwargs)

    return make_module


def rows_of(loader) -> list[int]:
    return [question.row for batch in loader for article in batch.articles for question in article.questions]


def fails(module: KQADataModule, stage: str) -> str:
    with pytest.raises(KQAError) as error:
        module.setup(stage)
    return str(error.value)


def test_each_part_gives_every_row_once_and_is_encoded_once(make, rows_csv: Path) -> None:
    module = make(train_path=str(rows_csv), val_fraction=0.3)
    module.setup("fit")
    for part, loader in (("train", module.train_dataloader()), ("val", module.val_dataloader())):
        batches = list(loader)
        assert all(isinstance(batch, PackedBatch) for batch in batches)
        assert sorted(rows_of(batches)) == list(range(len(module.tables[part])))
    before = module.articles["val"]
    module.setup("validate")
    assert module.articles["val"] is before


def test_rows_index_into_the_table_of_their_part(make, rows_csv: Path) -> None:
    module = make(train_path=str(rows_csv), val_path=str(rows_csv), test_path=str(rows_csv))
    module.setup("fit")
    module.setup("test")
    module.setup("predict")
    for loader in (module.val_dataloader(), module.test_dataloader(), module.predict_dataloader()):
        assert rows_of(loader) == [0, 3, 1, 2, 4]
    article = module.articles["train"][1]
    row = module.tables["train"][article.questions[0].row]
    assert row["question"] in module.encoder.text.decode(article.questions[0].question_ids)


def test_the_tokenizer_is_not_loaded_for_a_wrong_table(rows_csv: Path) -> None:
    module = KQADataModule("no-such-model", NousPrompt(), train_path="missing.csv")
    assert "missing.csv" in fails(module, "fit")


def test_everything_is_checked_in_setup(make, rows_csv: Path) -> None:
    assert "--data.max_length" in fails(make(train_path=str(rows_csv), max_length=20), "fit")
    assert "--data.val_fraction 1.5" in fails(make(train_path=str(rows_csv), val_fraction=1.5), "fit")
    assert "--data.tokens_per_batch 0" in fails(make(train_path=str(rows_csv), tokens_per_batch=0), "fit")


def test_prediction_needs_no_gold_and_has_no_labels(make, tmp_path: Path) -> None:
    path = tmp_path / "test.csv"
    path.write_text("id,context,question\nT0,본문이다.,왜?\nT1,본문이다.,누가?\n", encoding="utf-8")
    module = make(test_path=str(path))
    module.setup("predict")
    (batch,) = module.predict_dataloader()
    assert (batch.labels == IGNORED).all() and batch.answer_lengths == []
    assert "'answer'" in fails(make(test_path=str(path)), "test")


def test_batches_keep_the_token_budget(make, rows_csv: Path) -> None:
    module = make(train_path=str(rows_csv), val_path=str(rows_csv), tokens_per_batch=400, max_length=200)
    module.setup("fit")
    for loader in (module.train_dataloader(), module.val_dataloader()):
        sizes = [batch.input_ids.numel() for batch in loader]
        assert len(sizes) == len(loader) < 3 and max(sizes) <= 400


def test_separate_rows(make, rows_csv: Path) -> None:
    module = make(train_path=str(rows_csv), val_path=str(rows_csv), share_articles=False)
    module.setup("fit")
    assert {len(article.questions) for batch in module.train_dataloader() for article in batch.articles} == {1}


def test_prompt_is_chosen_by_its_short_name_and_help_says_what_each_parameter_is(
    llama2_tokenizer_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(KQADataModule, "data")
    config = {
        "base_model": str(llama2_tokenizer_dir),
        "prompt": {"class_path": "NousPrompt", "init_args": {"wording": "deck"}},
        "train_path": "sample",
        "columns": {"context": "본문"},
    }
    module = parser.instantiate(parser.parse_object({"data": config})).data
    assert repr(module.prompt) == "NousPrompt(wording='deck')" and module.columns == {"context": "본문"}
    help_text = parser.format_help()
    for name in list(inspect.signature(KQADataModule.__init__).parameters)[1:]:
        assert f"--data.{name}" in help_text
    assert "Table to predict on" in help_text


class Recorder(LightningModule):
    """Notes which rows it was trained on; its weight depends on their order and on dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.seen: list[list[int]] = []

    def training_step(self, batch: PackedBatch, batch_index: int) -> torch.Tensor:
        self.seen.append(rows_of([batch]))
        return self.weight.sum() * sum(batch.answer_lengths) / 100

    def validation_step(self, batch: PackedBatch, batch_index: int) -> None:
        assert isinstance(batch, PackedBatch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=0.1)


class KilledError(Exception):
    """Ends a run as a kill would: nothing is finished."""


class SaveAndDie(Callback):
    """Saves after a number of batches, at the batch's end or at its epoch's, and dies a batch later."""

    def __init__(self, path: Path, hook: str, after: int) -> None:
        self.path, self.hook, self.after, self.batches = path, hook, after, 0

    def on_train_batch_start(self, *_: Any) -> None:
        if self.path.exists() and self.batches > self.after:
            raise KilledError

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        self.batches += 1
        self._save(trainer, "batch")

    def on_validation_end(self, trainer: Trainer, *_: Any) -> None:
        self._save(trainer, "validation")

    def on_train_epoch_end(self, trainer: Trainer, *_: Any) -> None:
        self._save(trainer, "epoch")

    def _save(self, trainer: Trainer, hook: str) -> None:
        if hook == self.hook and self.batches >= self.after and not self.path.exists():
            trainer.save_checkpoint(self.path)


def fit(module: KQADataModule, root: Path, ckpt_path: Path | None = None, **kwargs: Any) -> Recorder:
    recorder = Recorder()
    trainer = Trainer(
        default_root_dir=root,
        accelerator="cpu",
        max_epochs=3,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=1,
        **kwargs,
    )
    try:
        trainer.fit(recorder, module, ckpt_path=ckpt_path)
    except KilledError:
        pass
    else:
        recorder.final = recorder.weight.item()
    return recorder


# Two articles a batch, so 7 batches an epoch.
POINTS = [
    *[("batch", 3, 0), ("batch", 7, 0), ("batch", 9, 0), ("batch", 14, 0)],
    *[("validation", 7, 0), ("epoch", 7, 0), ("epoch", 14, 0)],
    *[("batch", 9, 2), ("batch", 7, 2)],
]


@pytest.mark.parametrize(("hook", "after", "workers"), POINTS)
def test_exact_resume(make, tmp_path: Path, hook: str, after: int, workers: int) -> None:
    lines = [f"Q{i},기사 {i:02} 본문이다.,질문 {i:02}?,답 {i:02}" for i in range(14)]
    table = tmp_path / "rows.csv"
    table.write_text("\n".join(["id,context,question,answer", *lines]), encoding="utf-8")

    def module(workers: int = 0) -> KQADataModule:
        return make(
            train_path=str(table), val_path=str(table), tokens_per_batch=80, max_length=200, num_workers=workers
        )

    options = {"accumulate_grad_batches": 1, "limit_val_batches": 1}
    whole = fit(module(), tmp_path, **options)
    path = tmp_path / "killed.ckpt"
    killed = fit(module(workers), tmp_path, callbacks=[SaveAndDie(path, hook, after)], **options)
    assert not hasattr(killed, "final") and killed.seen == whole.seen[: len(killed.seen)]
    resumed = fit(module(workers), tmp_path, ckpt_path=path, **options)
    assert killed.seen[:after] + resumed.seen == whole.seen
    assert resumed.final == whole.final
    length = len(whole.seen) // 3
    assert length == 7
    for epoch in range(3):
        rows = [row for batch in whole.seen[epoch * length : (epoch + 1) * length] for row in batch]
        assert sorted(rows) == list(range(14))

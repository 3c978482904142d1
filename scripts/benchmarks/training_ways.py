"""The ways to train that the training benchmark compares, each as what its child process runs.

All start from the same 4-bit base and adapters and read the same token ids. A way tells its pacer of every optimizer
step; the pacer stops the training between repetitions, until the parent asks for the next.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from benchmarks.workers import Piece, peak_mib
from lightning.pytorch import Callback, LightningModule, Trainer
from peft import get_peft_model_state_dict, set_peft_model_state_dict

from callbacks import Throughput
from kqa_lightning import KQADataModule, KQAModule
from kqa_lightning.data.articles import EncodedTable
from kqa_lightning.data.packing import PackedBatch, pack
from kqa_lightning.data.prompts import EEVEPrompt, Gemma2Prompt, NousPrompt, Prompt
from kqa_lightning.model.attention import Attention
from kqa_lightning.model.base import DTYPES
from kqa_lightning.model.loss import token_losses

if TYPE_CHECKING:
    from datasets import Dataset

PROMPTS: dict[str, Callable[[], Prompt]] = {
    "gemma2": lambda: Gemma2Prompt(wording="aligned"),
    "eeve": lambda: EEVEPrompt(wording="aligned"),
    "nous": lambda: NousPrompt(wording="aligned"),
}
LEARNING_RATE = 2e-3
MAX_LENGTH = 2048


@dataclass(frozen=True)
class Job:
    """What all ways of one comparison have in common.

    Attributes:
        base_model: folder or name of the base.
        prompt: name of the family.
        train_path: table to train on.
        held_out_path: table whose answers the loss is taken on, once, at the end.
        rows_per_step: questions with their answers in an optimizer step, on average.
        rows_per_repetition: after how many a repetition ends, at the end of a step.
        warm_up_rows: how many come before the first repetition.
        threads: of the processor.
    """

    base_model: str
    prompt: str
    train_path: str
    held_out_path: str
    rows_per_step: int
    rows_per_repetition: int
    warm_up_rows: int
    threads: int

    def module(self, attention: Attention | None = None) -> KQAModule:
        """Our module, the base not loaded yet; the same adapters each time."""
        torch.manual_seed(0)
        return KQAModule(self.base_model, precision="fp32", learning_rate=LEARNING_RATE, attn_implementation=attention)

    def data(self, share_articles: bool, tokens_per_batch: int | None = None) -> KQADataModule:
        """Our data module, with everything in the training part."""
        data = KQADataModule(
            self.base_model,
            PROMPTS[self.prompt](),
            train_path=self.train_path,
            test_path=self.held_out_path,
            max_length=MAX_LENGTH,
            tokens_per_batch=tokens_per_batch,
            share_articles=share_articles,
        )
        data.train_on_all()
        return data


class Done(Exception):
    """The parent wants no more repetitions."""


class Pacer:
    """Measures repetitions, and waits for the parent between them."""

    def __init__(self, connection: Connection, job: Job) -> None:
        self._connection = connection
        self._per_repetition = job.rows_per_repetition
        self._limit = job.warm_up_rows
        self._is_warm = False
        self._rows = 0
        self._start = time.perf_counter()

    def add(self, rows: int) -> None:
        """Note an optimizer step.

        Raises:
            Done: the parent wants no more.
        """
        self._rows += rows
        if self._rows < self._limit:
            return
        seconds = time.perf_counter() - self._start
        self._connection.send(Piece(self._rows, seconds) if self._is_warm else "ready")
        self._is_warm = True
        if self._connection.recv() != "go":
            raise Done
        self._rows, self._limit = 0, self._per_repetition
        self._start = time.perf_counter()


class PacedSteps(Callback):
    """Tells the pacer of every optimizer step of a Lightning trainer."""

    def __init__(self, pacer: Pacer) -> None:
        self._pacer = pacer
        self._rows = 0
        self._step = 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: PackedBatch, batch_idx: int
    ) -> None:
        """Count the batch, and the step where it ends one."""
        self._rows += len(batch.answer_lengths)
        if trainer.global_step > self._step:
            self._step = trainer.global_step
            rows, self._rows = self._rows, 0
            self._pacer.add(rows)


def train_ours(connection: Connection, job: Job, share_articles: bool, batch_size: int) -> None:
    """Our own training, as ``fit`` does it, without validation and checkpoints.

    Args:
        connection: to the parent.
        job: what to do.
        share_articles: whether the questions of an article share a row.
        batch_size: rows of a batch, on average; a step accumulates as many as ``job`` wants.
    """
    torch.set_num_threads(job.threads)
    data = job.data(share_articles)
    data.setup("fit")
    if batch_size > 1:
        lengths = data.articles["train"].lengths
        data = job.data(share_articles, tokens_per_batch=round(batch_size * sum(lengths) / len(lengths)))
        data.setup("fit")
    questions = sum(map(len, data.articles["train"].question_rows))
    accumulate = max(1, round(len(data.train_dataloader()) * job.rows_per_step / questions))
    module = job.module()
    trainer = Trainer(
        accelerator="auto",
        devices=1,
        max_epochs=1,
        accumulate_grad_batches=accumulate,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        use_distributed_sampler=False,
        callbacks=[Throughput(), PacedSteps(Pacer(connection, job))],
    )
    try:
        trainer.fit(module, data)
    except Done:
        assert module.model is not None
        _report(connection, job, get_peft_model_state_dict(module.model))


def train_trl(connection: Connection, job: Job, batch_size: int, completion_only: bool, scratch: Path) -> None:
    """TRL's SFTTrainer on the same ids, a row a question.

    Args:
        connection: to the parent.
        job: what to do.
        batch_size: rows of a batch; a step accumulates as many as ``job`` wants.
        completion_only: whether the loss is on the answers alone (then rows are grouped by length too), or on the
            whole text, as the deck had it.
        scratch: folder for what TRL may write.
    """
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    torch.set_num_threads(job.threads)
    data = job.data(share_articles=False)
    data.setup("fit")
    module = job.module("eager" if job.prompt == "gemma2" else "sdpa")  # what transformers has for it
    module.configure_model()
    assert module.model is not None
    pacer = Pacer(connection, job)

    class PacedTRL(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            pacer.add(job.rows_per_step)

    trainer = SFTTrainer(
        model=module.model,
        args=SFTConfig(
            output_dir=str(scratch),
            per_device_train_batch_size=batch_size,
            gradient_accumulation_steps=max(1, job.rows_per_step // batch_size),
            gradient_checkpointing=False,
            num_train_epochs=1,
            learning_rate=LEARNING_RATE,
            warmup_steps=0.03,
            optim="paged_adamw_32bit",
            max_grad_norm=0,
            train_sampling_strategy="sequential" if completion_only else "random",  # they come grouped by length
            max_length=None,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=not torch.cuda.is_available(),
            bf16=False,
        ),
        train_dataset=trl_rows(data.articles["train"], completion_only, batch_size),
        processing_class=data.encoder.tokenizer,
        callbacks=[PacedTRL()],
    )
    for parameter in module.model.parameters():
        if parameter.requires_grad:  # TRL makes adapters of a 4-bit base bf16, which ours are not
            parameter.data = parameter.data.to(DTYPES["fp32"])
    try:
        trainer.train()
    except Done:
        assert module.model is not None
        _report(connection, job, get_peft_model_state_dict(module.model))


def trl_rows(articles: EncodedTable, completion_only: bool, batch_size: int) -> "Dataset":
    """Rows of one question each as TRL takes them: input_ids and labels.

    For the loss on answers alone, batches of rows of one length, in random order: TRL's own grouping by length sorts
    within fifty batches at most, and a table of some hundred rows hardly at all.
    """
    from datasets import Dataset

    rows = []
    for article in articles:
        (question,) = article.questions
        prompt = [*article.prefix_ids, *question.question_ids]
        ids = [*prompt, *question.answer_ids]
        labels = [-100] * len(prompt) + ids[len(prompt) :] if completion_only else ids
        rows.append({"input_ids": ids, "labels": labels})
    if completion_only:
        rows.sort(key=lambda row: len(row["input_ids"]))
        batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
        random.Random(0).shuffle(batches)
        rows = [row for batch in batches for row in batch]
    return Dataset.from_list(rows)


def _report(connection: Connection, job: Job, adapters: dict[str, torch.Tensor]) -> None:
    """Send peak memory and the held-out loss, the mean over the answers' tokens in nats.

    The loss is computed on a fresh model in the same manner for all ways, after the memory was read.
    """
    peak = peak_mib()
    module = job.module()
    module.configure_model()
    model = module.model
    assert model is not None
    set_peft_model_state_dict(model, {name: tensor.to(DTYPES["fp32"]) for name, tensor in adapters.items()})
    data = job.data(share_articles=True)
    data.setup("test")
    model.eval()
    with torch.no_grad():
        losses = [token_losses(model, pack([one], data.encoder.pad_id)) for one in data.articles["test"]]
    connection.send((peak, float(torch.cat(losses).mean())))

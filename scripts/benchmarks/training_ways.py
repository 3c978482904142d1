"""What all ways to train have in common in the training benchmark, and ours, as what a child process runs.

All start from the same 4-bit base and adapters, read the same token ids, and take the same rows in each optimizer
step. A way tells its pacer of every step with the rows that it trained on; the pacer stops the training between
repetitions, until the parent asks for the next.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import torch
from benchmarks.workers import Piece, peak_mib
from lightning.pytorch import Callback, LightningModule, Trainer
from peft import get_peft_model_state_dict, set_peft_model_state_dict
from torch.utils.data import DataLoader

from callbacks import Throughput
from kqa_lightning import KQADataModule, KQAModule
from kqa_lightning.data.datamodule import PackedArticles
from kqa_lightning.data.packing import PackedBatch, pack
from kqa_lightning.data.prompts import EEVEPrompt, Gemma2Prompt, NousPrompt, Prompt
from kqa_lightning.errors import KQAError
from kqa_lightning.model.attention import Attention
from kqa_lightning.model.base import DTYPES
from kqa_lightning.model.loss import token_losses

PROMPTS: dict[str, Callable[[], Prompt]] = {
    "gemma2": lambda: Gemma2Prompt(wording="aligned"),
    "eeve": lambda: EEVEPrompt(wording="aligned"),
    "nous": lambda: NousPrompt(wording="aligned"),
}
LEARNING_RATE = 2e-3
MAX_LENGTH = 2048


@dataclass(frozen=True)
class Job:
    """What a way does.

    Attributes:
        base_model: folder or name of the base.
        prompt: name of the family.
        train_path: table to train on, in this order: the rows of the first step, of the second, and so on, over and
            over where there are more steps than that.
        held_out_path: table whose answers the loss is taken on, once, at the end.
        rows_per_step: questions with their answers in each optimizer step.
        steps_per_repetition: optimizer steps.
        repetitions: how many there are after one step to warm up; the learning rate has fallen to 0 at their end.
        threads: of the processor.
        flush_others: whether TRL's ways flush denormal numbers too.
    """

    base_model: str
    prompt: str
    train_path: str
    held_out_path: str
    rows_per_step: int
    steps_per_repetition: int
    repetitions: int
    threads: int
    flush_others: bool = False

    @property
    def steps(self) -> int:
        """All optimizer steps."""
        return 1 + self.repetitions * self.steps_per_repetition

    def module(self, attention: Attention | None = None) -> KQAModule:
        """Our module, the base not loaded yet; the same adapters each time."""
        torch.manual_seed(0)
        return KQAModule(self.base_model, precision="fp32", learning_rate=LEARNING_RATE, attn_implementation=attention)

    def data(self, share_articles: bool, batch_size: int = 1) -> "EqualSteps":
        """Our data module, with everything in the training part."""
        data = EqualSteps(
            self.base_model,
            PROMPTS[self.prompt](),
            train_path=self.train_path,
            test_path=self.held_out_path,
            max_length=MAX_LENGTH,
            tokens_per_batch=4 * MAX_LENGTH,  # of a row too: no article is to be divided among rows
            share_articles=share_articles,
        )
        data.train_on_all()
        data.rows_per_step, data.batch_size = self.rows_per_step, batch_size
        return data


class EqualSteps(KQADataModule):
    """Training batches of equally many rows, in the order of the table.

    ``fit`` bounds the tokens of a batch, and so the rows of its optimizer steps differ.
    """

    rows_per_step = 1
    batch_size = 1

    def train_dataloader(self) -> DataLoader[PackedBatch]:  # type: ignore[override]
        """Each optimizer step's rows one after the other."""
        articles = self.articles["train"]
        batches = step_batches(articles.lengths, self.packed_per_step, self.batch_size)
        return DataLoader(PackedArticles(articles, self.encoder.pad_id), sampler=batches, batch_size=None)

    @property
    def packed_per_step(self) -> int:
        """Packed rows in an optimizer step.

        Raises:
            KQAError: articles that were divided among rows, which do not make steps of equally many questions.
        """
        counts = set(map(len, self.articles["train"].question_rows))
        if len(counts) > 1 or self.rows_per_step % min(counts):
            raise KQAError(
                f"{self.paths['train']}: an article of more than {MAX_LENGTH} tokens was cut; take a shorter one"
            )
        return self.rows_per_step // min(counts)


def step_batches(lengths: Sequence[int], per_step: int, batch_size: int) -> list[list[int]]:
    """The rows of each batch: the batches of the first optimizer step, of the second, and so on.

    Within a step, rows of like length share a batch. Which rows a step has does not depend on the batch's size.

    Args:
        lengths: the tokens of each row.
        per_step: rows of a step, which divide the table evenly.
        batch_size: rows of a batch, which divide a step evenly.
    """
    if len(lengths) % per_step or per_step % batch_size:
        raise ValueError(f"{len(lengths)} rows do not make batches of {batch_size} and steps of {per_step}")
    steps = [
        sorted(range(start, start + per_step), key=lambda row: lengths[row])
        for start in range(0, len(lengths), per_step)
    ]
    return [rows[start : start + batch_size] for rows in steps for start in range(0, per_step, batch_size)]


class Done(Exception):
    """The parent wants no more repetitions."""


class Pacer:
    """Measures repetitions, and waits for the parent between them."""

    def __init__(self, connection: Connection, job: Job) -> None:
        self.trained = 0  # rows, from the start
        self._connection = connection
        self._job = job
        self._steps_left = 1  # to warm up
        self._rows = 0
        self._is_warm = False
        self._start = time.perf_counter()

    def step(self, rows: int) -> None:
        """Note an optimizer step on so many rows.

        Raises:
            Done: the parent wants no more.
            RuntimeError: it should have been more rows, or fewer.
        """
        if rows != self._job.rows_per_step:
            raise RuntimeError(f"an optimizer step had {rows} rows, not {self._job.rows_per_step}")
        self.trained += rows
        self._rows += rows
        self._steps_left -= 1
        if self._steps_left:
            return
        seconds = time.perf_counter() - self._start
        self._connection.send(Piece(self._rows, seconds) if self._is_warm else "ready")
        self._is_warm = True
        if self._connection.recv() != "go":
            raise Done
        self._rows, self._steps_left = 0, self._job.steps_per_repetition
        self._start = time.perf_counter()

    def out_of_steps(self) -> RuntimeError:
        """What to raise where the training ended while the parent wanted more."""
        return RuntimeError(f"the training ended after its {self._job.steps} steps, and one more was asked for")


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
            self._pacer.step(rows)


def train_ours(connection: Connection, job: Job, share_articles: bool, batch_size: int) -> None:
    """Our own training, as ``fit`` does it, without validation and checkpoints.

    Args:
        connection: to the parent.
        job: what to do.
        share_articles: whether the questions of an article share a row.
        batch_size: packed rows of a batch, which divide those of a step evenly.
    """
    torch.set_num_threads(job.threads)
    data = job.data(share_articles, batch_size)
    data.setup("fit")
    module = job.module()
    before = peak_mib()
    pacer = Pacer(connection, job)
    trainer = Trainer(
        accelerator="auto",
        devices=1,
        max_epochs=-1,
        max_steps=job.steps,
        accumulate_grad_batches=data.packed_per_step // batch_size,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        use_distributed_sampler=False,
        callbacks=[Throughput(), PacedSteps(pacer)],
    )
    try:
        trainer.fit(module, data)
    except Done:
        assert module.model is not None
        report(connection, job, pacer, before, get_peft_model_state_dict(module.model))
    else:
        raise pacer.out_of_steps()


def report(connection: Connection, job: Job, pacer: Pacer, before: int, adapters: dict[str, torch.Tensor]) -> None:
    """Send peak memory, that before the base was loaded, the held-out loss and the rows trained on.

    The loss is the mean over the answers' tokens, in nats. It is computed on a fresh model in the same manner for all
    ways, after the memory was read.
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
    connection.send((peak, before, float(torch.cat(losses).mean()), pacer.trained))

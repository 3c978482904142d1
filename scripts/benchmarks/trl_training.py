"""TRL's SFTTrainer as two of the ways to train that the training benchmark compares.

On a GPU it does more than on a CPU: only there it leaves the positions without a label out before its chunked loss
(``trl/trainer/utils.py``, ``compact = _use_triton``). The deck's way gets the chunked loss too, which the deck did not
have: that favours it. Rows that are packed or without padding need an attention that keeps them apart, which TRL has
on a GPU alone.
"""

import importlib.util
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from benchmarks.training_ways import LEARNING_RATE, Done, EqualSteps, Job, Pacer, report, step_batches
from benchmarks.workers import peak_mib
from peft import get_peft_model_state_dict

from kqa_lightning.data.articles import EncodedTable
from kqa_lightning.errors import KQAError
from kqa_lightning.model.base import DTYPES

if TYPE_CHECKING:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer


def require_trl() -> None:
    """Check that TRL is here, which is no dependency.

    Raises:
        KQAError: it is not, with how to have it.
    """
    if importlib.util.find_spec("trl") is None:
        raise KQAError(
            "TRL is not installed, with which ours is compared: pip install -c constraints.txt -e '.[benchmark]'"
        )


def train_trl(connection: Connection, job: Job, batch_size: int, completion_only: bool, scratch: Path) -> None:
    """TRL's SFTTrainer on the same ids, a row a question.

    Args:
        connection: to the parent.
        job: what to do.
        batch_size: rows of a batch, which divide those of a step evenly.
        completion_only: whether the loss is on the answers alone, or on the whole text, as the deck had it.
        scratch: folder for what TRL may write.
    """
    import trl  # noqa: F401  what the library takes is there before the base is

    torch.set_num_threads(job.threads)
    data = job.data(share_articles=False)
    data.setup("fit")
    before = peak_mib()
    pacer = Pacer(connection, job)
    trainer = make_trainer(job, data, batch_size, completion_only, scratch, pacer.step)
    try:
        trainer.train()
    except Done:
        report(connection, job, pacer, before, get_peft_model_state_dict(trainer.model))
    else:
        raise pacer.out_of_steps()


def make_trainer(
    job: Job,
    data: EqualSteps,
    batch_size: int,
    completion_only: bool,
    scratch: Path,
    step: Callable[[int], None],
) -> "SFTTrainer":
    """TRL's trainer of a base in 4 bits with adapters as ours have them, loaded here.

    Args:
        job: what to do.
        data: rows of a question each, set up.
        batch_size: rows of a batch.
        completion_only: whether the loss is on the answers alone.
        scratch: folder for what TRL may write.
        step: called after each optimizer step, with its rows.
    """
    module = job.module("eager" if job.prompt == "gemma2" else "sdpa")  # what transformers has for it
    module.configure_model()
    torch.set_flush_denormal(job.flush_others)  # loading our base sets it
    model = module.model
    assert model is not None
    trainer = paced_trainer(step)(
        model=model,
        args=sft_config(job, batch_size, scratch),
        train_dataset=trl_rows(data.articles["train"], completion_only, job.rows_per_step, batch_size),
        processing_class=data.encoder.tokenizer,
    )
    for parameter in model.parameters():
        if parameter.requires_grad:  # TRL makes adapters of a 4-bit base bf16, which ours are not
            parameter.data = parameter.data.to(DTYPES["fp32"])
    return trainer


def sft_config(job: Job, batch_size: int, scratch: Path) -> "SFTConfig":
    """TRL's settings: our schedule, optimizer and rows an optimizer step."""
    from trl import SFTConfig

    return SFTConfig(
        output_dir=str(scratch),
        per_device_train_batch_size=batch_size,
        gradient_accumulation_steps=job.rows_per_step // batch_size,
        gradient_checkpointing=False,
        max_steps=job.steps,
        learning_rate=LEARNING_RATE,
        warmup_steps=0.03,
        optim="paged_adamw_32bit",
        max_grad_norm=0,
        train_sampling_strategy="sequential",  # the rows come step by step, and grouped by length
        max_length=None,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
        bf16=False,
    )


def paced_trainer(step: Callable[[int], None]) -> "type[SFTTrainer]":
    """TRL's trainer, which tells ``step`` after each optimizer step how many rows it was trained on."""
    from transformers import TrainerCallback
    from trl import SFTTrainer

    class Paced(TrainerCallback):
        rows = 0

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            rows, self.rows = self.rows, 0
            step(rows)

    class PacedTrainer(SFTTrainer):
        def __init__(self, **given: Any) -> None:
            self.paced = Paced()
            super().__init__(callbacks=[self.paced], **given)

        def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
            self.paced.rows += len(inputs["input_ids"])
            return super().training_step(model, inputs, num_items_in_batch)

    return PacedTrainer


def trl_rows(articles: EncodedTable, completion_only: bool, rows_per_step: int, batch_size: int) -> "Dataset":
    """Rows of one question each as TRL takes them: input_ids and labels; in the order in which ours go through them.

    TRL's own grouping by length sorts within fifty batches at most, and would not keep the rows of a step together.
    """
    from datasets import Dataset

    rows = []
    for batch in step_batches(articles.lengths, rows_per_step, batch_size):
        for article in map(articles.__getitem__, batch):
            (question,) = article.questions
            prompt = [*article.prefix_ids, *question.question_ids]
            ids = [*prompt, *question.answer_ids]
            labels = [-100] * len(prompt) + ids[len(prompt) :] if completion_only else ids
            rows.append({"input_ids": ids, "labels": labels})
    return Dataset.from_list(rows)

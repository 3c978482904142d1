"""The ways to answer that the answering benchmark compares, each as what its child process runs.

All have the same weights, token ids and end tokens. A way is a function from prompts to the ids it answers with.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, cast

import torch
from benchmarks.training_ways import MAX_LENGTH, PROMPTS
from benchmarks.workers import Piece, peak_mib
from transformers import GenerationConfig, PreTrainedModel, TextGenerationPipeline

from kqa_lightning import KQADataModule
from kqa_lightning.data.answer_rules import ANSWER_RULES
from kqa_lightning.data.encoding import EncodedArticle, PromptEncoder
from kqa_lightning.model.answering import AnswerGenerator, Decoding
from kqa_lightning.model.answers import AnswerReader
from kqa_lightning.model.attention import Attention
from kqa_lightning.model.base import Precision, load_base_model

Answers = list[tuple[int, ...]]
Answering = Callable[[list[EncodedArticle]], Answers]


@dataclass(frozen=True)
class Job:
    """What all ways of one comparison have in common.

    Attributes:
        base_model: folder or name of the base.
        prompt: name of the family.
        path: table of the questions.
        adapter: folder of an adapter, merged into the base; none for the base alone.
        max_new_tokens: most tokens of an answer.
        ends: whether the end token ends an answer; if not, all have ``max_new_tokens``.
        precision: of weights and arithmetic.
        threads: of the processor.
    """

    base_model: str
    prompt: str
    path: str
    adapter: str | None
    max_new_tokens: int
    ends: bool
    precision: Precision
    threads: int

    def articles(self) -> tuple[PromptEncoder, list[EncodedArticle]]:
        """The articles with their questions, and what made them."""
        data = KQADataModule(
            self.base_model, PROMPTS[self.prompt](), predict_path=self.path, max_length=MAX_LENGTH, num_workers=0
        )
        data.setup("predict")
        return data.encoder, list(data.articles["predict"])

    def model(self, ours: bool) -> PreTrainedModel:
        """The whole model, nothing in 4 bits; with our attention, or what transformers has for the architecture."""
        attention: Attention | None = None if ours else "eager" if self.prompt == "gemma2" else "sdpa"
        device = "cuda" if torch.cuda.is_available() else "cpu"
        model = load_base_model(
            self.base_model, quantization="none", precision=self.precision, attn_implementation=attention, device=device
        )
        if self.adapter is not None:
            from peft import PeftModel

            model = PeftModel.from_pretrained(model, self.adapter).merge_and_unload()
        return model.eval()

    def generation(self, encoder: PromptEncoder) -> dict[str, Any]:
        """How transformers is to generate."""
        ends = list(encoder.end_ids) if self.ends else None
        return {
            "max_new_tokens": self.max_new_tokens,
            "do_sample": False,
            "eos_token_id": ends,
            "pad_token_id": encoder.pad_id,
        }


def answer(connection: Connection, job: Job, way: str, batch_size: int) -> None:
    """Answer the articles that the parent names, as often as it does.

    Args:
        connection: to the parent. It sends how many of the articles to answer, and gets a Piece and the answers; or
            None, and gets the peak memory in MiB. Where continuous batching cannot run, it sends why, not "ready".
        job: what to do.
        way: which of WAYS, or ``reference``: transformers' generate on one row.
        batch_size: rows of a batch, where the way has batches of a fixed size.
    """
    torch.set_num_threads(job.threads)
    encoder, articles = job.articles()
    model = job.model(ours=way == "shared")
    model.generation_config = GenerationConfig(**job.generation(encoder))
    answering = _MAKERS[way](model, encoder, job, batch_size)
    try:
        with torch.no_grad():
            answering(articles[:1])  # warm
    except Exception as error:
        if way != "continuous":  # experimental, and may have something against this machine; what fails else is a fault
            raise
        connection.send(f"{type(error).__name__}: {error}")
        return
    connection.send("ready")
    reader = AnswerReader(encoder, ANSWER_RULES)
    while (count := connection.recv()) is not None:
        start = time.perf_counter()
        with torch.no_grad():
            found = answering(articles[:count])
        seconds = time.perf_counter() - start
        texts = [reader.clean(reader.raw(ids)) for ids in found]
        connection.send((Piece(len(found), seconds), texts))
    connection.send(peak_mib())


def prompts(articles: list[EncodedArticle]) -> Answers:
    """The whole prompt of each question."""
    return [article.prefix_ids + question.question_ids for article in articles for question in article.questions]


def deck(model: PreTrainedModel, encoder: PromptEncoder, job: Job, batch_size: int) -> Answering:
    """The text-generation pipeline, one row at a time."""

    class IdsPipeline(TextGenerationPipeline):
        """Reads a prompt's ids, as all ways do, and not its text, which would be tokenized a little otherwise."""

        def preprocess(self, *given: Any, **_: Any) -> dict[str, Any]:
            """Look the ids up."""
            ids = torch.tensor([known[given[0]]])
            return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "prompt_text": given[0]}

    known: dict[str, tuple[int, ...]] = {}
    pipeline = IdsPipeline(model=model, tokenizer=encoder.tokenizer)

    def run(articles: list[EncodedArticle]) -> Answers:
        found = []
        for number, ids in enumerate(prompts(articles)):
            known[str(number)] = ids
            (out,) = cast(list[dict[str, Any]], pipeline(str(number), return_tensors=True))
            found.append(tuple(out["generated_token_ids"][len(ids) :]))
        return found

    return run


def batched(model: PreTrainedModel, encoder: PromptEncoder, job: Job, batch_size: int) -> Answering:
    """``generate`` on batches of rows, sorted by length and padded on the left."""

    def run(articles: list[EncodedArticle]) -> Answers:
        rows = prompts(articles)
        order = sorted(range(len(rows)), key=lambda row: -len(rows[row]))
        found: Answers = [()] * len(rows)
        for start in range(0, len(order), batch_size):
            group = order[start : start + batch_size]
            width = max(len(rows[row]) for row in group)
            padded = [[encoder.pad_id] * (width - len(rows[row])) + list(rows[row]) for row in group]
            seen = [[0] * (width - len(rows[row])) + [1] * len(rows[row]) for row in group]
            ids, mask = torch.tensor(padded, device=model.device), torch.tensor(seen, device=model.device)
            out = cast(Any, model).generate(input_ids=ids, attention_mask=mask)[:, width:].tolist()
            for row, answer_ids in zip(group, out, strict=True):
                found[row] = tuple(answer_ids)
        return found

    return run


def continuous(model: PreTrainedModel, encoder: PromptEncoder, job: Job, batch_size: int) -> Answering:
    """transformers' continuous batching."""
    from transformers import ContinuousBatchingConfig

    def run(articles: list[EncodedArticle]) -> Answers:
        rows = [list(ids) for ids in prompts(articles)]
        config = ContinuousBatchingConfig(max_batch_tokens=batch_size * 64, num_blocks=1024)
        out = cast(Any, model).generate_batch(rows, continuous_batching_config=config)
        by_prompt = {tuple(one.prompt_ids): tuple(one.generated_tokens) for one in out.values()}
        if any(one.error for one in out.values()) or len(out) < len(rows):
            raise RuntimeError(next((one.error for one in out.values() if one.error), "questions were left out"))
        return [by_prompt[tuple(row)] for row in rows]

    return run


def shared(model: PreTrainedModel, encoder: PromptEncoder, job: Job, batch_size: int) -> Answering:
    """Ours: as ``predict`` answers, batch after batch of its size."""
    stops = AnswerReader(encoder, ANSWER_RULES).is_over
    ends = encoder.end_ids if job.ends else ()
    generator = AnswerGenerator(
        model, ends, encoder.pad_id, Decoding(job.max_new_tokens), should_stop=stops if job.ends else None
    )

    def run(articles: list[EncodedArticle]) -> Answers:
        return [
            candidates[0].token_ids
            for start in range(0, len(articles), batch_size)
            for found in generator.generate_all(articles[start : start + batch_size])
            for candidates in found
        ]

    return run


_MAKERS: dict[str, Callable[[PreTrainedModel, PromptEncoder, Job, int], Answering]] = {
    "deck": deck,
    "batched": batched,
    "continuous": continuous,
    "shared": shared,
    "reference": lambda model, encoder, job, batch_size: batched(model, encoder, job, 1),
}

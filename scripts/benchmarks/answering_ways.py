"""The ways to answer that the answering benchmark compares, each as what its child process runs.

All have the same weights, token ids and ends of an answer, so that all decode the same tokens: up to an end token, and
where the job says so up to the end of the line or a stop string. A way is a function from articles to the ids it
answers their questions with.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, cast

import torch
from benchmarks.training_ways import MAX_LENGTH, PROMPTS
from benchmarks.workers import Piece, peak_mib
from transformers import (
    GenerationConfig,
    PreTrainedModel,
    StoppingCriteria,
    StoppingCriteriaList,
    TextGenerationPipeline,
)

from kqa_lightning import KQADataModule
from kqa_lightning.data.answer_rules import ANSWER_RULES
from kqa_lightning.data.encoding import EncodedArticle, PromptEncoder
from kqa_lightning.model.answering import AnswerGenerator, Decoding
from kqa_lightning.model.answers import AnswerReader
from kqa_lightning.model.attention import Attention
from kqa_lightning.model.base import Precision, load_base_model
from kqa_lightning.model.decoding import ShouldStop

PAGE = 256  # tokens in a page of continuous batching's cache: its default
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
        stop_strings: whether the end of the line and the prompt's stop strings end an answer too, as in ``predict``.
        precision: of weights and arithmetic.
        threads: of the processor.
        flush_others: whether the other ways flush denormal numbers too.
    """

    base_model: str
    prompt: str
    path: str
    adapter: str | None
    max_new_tokens: int
    ends: bool
    stop_strings: bool
    precision: Precision
    threads: int
    flush_others: bool = False

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

    def is_over(self, encoder: PromptEncoder) -> ShouldStop | None:
        """Whether ids end an answer by what they say; None where only the end token does."""
        return AnswerReader(encoder, ANSWER_RULES).is_over if self.stop_strings and self.ends else None

    def generation(self, encoder: PromptEncoder) -> dict[str, Any]:
        """How transformers is to generate."""
        ends = list(encoder.end_ids) if self.ends else None
        return {
            "max_new_tokens": self.max_new_tokens,
            "do_sample": False,
            "eos_token_id": ends,
            "pad_token_id": encoder.pad_id,
        }


@dataclass(frozen=True)
class Answered:
    """What a repetition did.

    Attributes:
        piece: how many answers in what time.
        texts: the answers.
        tokens: decoded for each of them, its end token among them.
    """

    piece: Piece
    texts: list[str]
    tokens: list[int]


def answer(connection: Connection, job: Job, way: str, batch_size: int) -> None:
    """Answer the articles that the parent names, as often as it does.

    Args:
        connection: to the parent. It sends how many of the articles to answer, and gets what is Answered; or None, and
            gets the peak memory in MiB.
        job: what to do.
        way: which of WAYS, or ``reference``: transformers' generate on one row.
        batch_size: rows of a batch; of ``shared`` articles.
    """
    torch.set_num_threads(job.threads)
    encoder, articles = job.articles()
    model = job.model(ours=way == "shared")
    torch.set_flush_denormal(way == "shared" or job.flush_others)  # loading our base sets it
    model.generation_config = GenerationConfig(**job.generation(encoder))
    answering = _MAKERS[way](model, encoder, job, batch_size)
    with torch.no_grad():
        answering(articles[:1])  # warm
    connection.send("ready")
    reader = AnswerReader(encoder, ANSWER_RULES)
    while (count := connection.recv()) is not None:
        start = time.perf_counter()
        with torch.no_grad():
            found = answering(articles[:count])
        seconds = time.perf_counter() - start
        found = [up_to_end(ids, encoder, job) for ids in found]
        texts = [reader.clean(reader.raw(ids)) for ids in found]
        connection.send(Answered(Piece(len(found), seconds), texts, list(map(len, found))))
    connection.send(peak_mib())


def up_to_end(ids: tuple[int, ...], encoder: PromptEncoder, job: Job) -> tuple[int, ...]:
    """An answer without what fills it up in a batch whose other answers are longer."""
    if not job.ends:
        return ids
    is_over = job.is_over(encoder)
    for length in range(1, len(ids) + 1):
        if ids[length - 1] in encoder.end_ids or (is_over is not None and is_over(ids[:length])):
            return ids[:length]
    return ids


class AnswerIsOver(StoppingCriteria):
    """Ends the rows of ``generate`` whose answers are over, as ``predict`` does.

    Args:
        is_over: called with the ids of an answer so far.
        width: columns of the prompts.
    """

    def __init__(self, is_over: ShouldStop, width: int) -> None:
        self._is_over, self._width = is_over, width

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        """Which rows end, bool [rows]; one that has ended stays so, since what it says holds the end."""
        rows = input_ids[:, self._width :].tolist()
        return torch.tensor([self._is_over(ids) for ids in rows], device=input_ids.device)


def stopping(job: Job, encoder: PromptEncoder, width: int) -> dict[str, Any]:
    """What ``generate`` is given besides prompts of ``width`` tokens."""
    is_over = job.is_over(encoder)
    return {} if is_over is None else {"stopping_criteria": StoppingCriteriaList([AnswerIsOver(is_over, width)])}


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
            given = stopping(job, encoder, len(ids))
            (out,) = cast(list[dict[str, Any]], pipeline(str(number), return_tensors=True, **given))
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
            given = stopping(job, encoder, width)
            out = cast(Any, model).generate(input_ids=ids, attention_mask=mask, **given)
            for row, answer_ids in zip(group, out[:, width:].tolist(), strict=True):
                found[row] = tuple(answer_ids)
        return found

    return run


def continuous(model: PreTrainedModel, encoder: PromptEncoder, job: Job, batch_size: int) -> Answering:
    """transformers' continuous batching.

    Raises:
        ValueError: it has no stop strings.
    """
    from transformers import ContinuousBatchingConfig

    if job.stop_strings and job.ends:
        raise ValueError("continuous batching has no stop strings")

    def run(articles: list[EncodedArticle]) -> Answers:
        rows = [list(ids) for ids in prompts(articles)]
        longest = max(map(len, rows)) + job.max_new_tokens
        config = ContinuousBatchingConfig(  # on a CPU it does not find these out for itself
            max_requests_per_batch=batch_size,
            max_batch_tokens=max(longest, 64 * batch_size),  # a whole prompt, or 64 tokens of each row's
            page_size=PAGE,
            num_blocks=batch_size * math.ceil(longest / PAGE) + 1,  # room for so many of the longest rows
        )
        out = cast(Any, model).generate_batch(rows, continuous_batching_config=config)
        by_prompt = {tuple(one.prompt_ids): tuple(one.generated_tokens) for one in out.values()}
        if any(one.error for one in out.values()) or len(out) < len(rows):
            raise RuntimeError(next((one.error for one in out.values() if one.error), "questions were left out"))
        return [by_prompt[tuple(row)] for row in rows]

    return run


def shared(model: PreTrainedModel, encoder: PromptEncoder, job: Job, batch_size: int) -> Answering:
    """Ours: as ``predict`` answers, batch after batch of its size."""
    ends = encoder.end_ids if job.ends else ()
    decoding = Decoding(job.max_new_tokens)
    generator = AnswerGenerator(model, ends, encoder.pad_id, decoding, should_stop=job.is_over(encoder))

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

"""What the benchmarks work on: whole articles of a table, and a wide base with a large vocabulary."""

import json
import random
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from kqa_lightning.ensemble.questions import Question, read_questions
from kqa_lightning.errors import KQAError

WIDE_VOCABULARY = 256_000
WIDE_LAYERS, WIDE_WIDTH = 8, 320  # 95 million parameters, 82 million of them embeddings, which are tied


def choose_articles(source: str, count: int, seed: int, longest: int) -> list[dict[str, str]]:
    """The rows of some articles, all with as many questions as one of the table has on average.

    Equally many, so that a batch of articles always holds as many answers.

    Args:
        source: a table, or ``sample``.
        count: how many articles.
        seed: of the choice.
        longest: most characters of an article: a longer one would be cut.

    Returns:
        Rows with id, context, question and answer, article by article.

    Raises:
        KQAError: the table cannot be read, or has too few of them.
    """
    articles: dict[str, list[tuple[str, Question]]] = {}
    for name, question in read_questions("--korquad", source, ("context",)).items():
        if question.context and question.question and question.answers and len(question.context) <= longest:
            articles.setdefault(question.context, []).append((name, question))
    if not articles:
        raise KQAError(f"{source} has no answered question on an article of at most {longest} characters")
    usual = usual_count(articles)
    fitting = [rows for rows in articles.values() if len(rows) >= usual]
    if len(fitting) < count:
        raise KQAError(f"{source} has {len(fitting)} articles with {usual} questions, {count} are needed")
    chosen = random.Random(seed).sample(fitting, count)
    return [
        {"id": name, "context": str(row.context), "question": str(row.question), "answer": row.answers[0]}
        for rows in chosen
        for name, row in rows[:usual]
    ]


def usual_count(articles: Mapping[str, Sequence[object]]) -> int:
    """The number of questions an article has on average, rounded."""
    return round(statistics.mean(map(len, articles.values())))


def write_rows(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Write rows as JSONL."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def make_wide_base(folder: Path, tokenizer: str) -> None:
    """A Gemma 2 with random weights and Gemma's vocabulary of 256,000 words, with a tokenizer of that family.

    Args:
        folder: where it goes.
        tokenizer: folder, hub id or bundled base that has one with Gemma's control tokens; its ids may be fewer.

    Raises:
        KQAError: there is no such tokenizer.
    """
    import torch
    from transformers import Gemma2Config, Gemma2ForCausalLM

    from kqa_lightning.data.text_encoder import load_tokenizer

    torch.manual_seed(0)
    try:
        loaded = load_tokenizer(tokenizer)
    except KQAError as error:
        raise KQAError(str(error).replace("--model.base_model", "--wide-tokenizer")) from error
    config = Gemma2Config(
        vocab_size=WIDE_VOCABULARY,
        hidden_size=WIDE_WIDTH,
        intermediate_size=4 * WIDE_WIDTH,
        num_hidden_layers=WIDE_LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        query_pre_attn_scalar=64,
        bos_token_id=loaded.bos_token_id,
        eos_token_id=loaded.eos_token_id,
        pad_token_id=loaded.pad_token_id,
    )
    Gemma2ForCausalLM(config).bfloat16().save_pretrained(folder)
    loaded.save_pretrained(folder)

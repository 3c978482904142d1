"""The bundled bases on real questions: answers are those of transformers' generate on one unpadded row."""

import json
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import pytest
from answer_cases import generated
from random_models import randomise
from small_runs import read_rows
from transformers import AutoTokenizer

from kqa_lightning.assets import sample_table
from kqa_lightning.data.encoding import PromptEncoder
from kqa_lightning.data.prompts import Gemma2Prompt, NousPrompt, Prompt
from kqa_lightning.data.questions import Question
from kqa_lightning.model.answering import AnswerGenerator, Decoding
from kqa_lightning.model.base import LoRA, attach_lora, load_base_model

ARTICLES, NEW_TOKENS = 3, 8
PROMPTS: dict[str, Callable[[], Prompt]] = {"gemma2": Gemma2Prompt, "nous": NousPrompt}
Rows = list[tuple[str, list[Question]]]


def korquad(path: Path) -> Rows:
    paragraphs = [p for one in json.loads(path.read_text(encoding="utf-8"))["data"] for p in one["paragraphs"]]
    chosen = paragraphs[:: len(paragraphs) // ARTICLES][:ARTICLES]
    return [(p["context"], [Question(0, one["question"]) for one in p["qas"][:3]]) for p in chosen]


def sample() -> Rows:
    rows = groupby(read_rows(sample_table("test")), key=lambda row: row["context"])
    return [(text, [Question(0, row["question"]) for row in group][:3]) for text, group in rows][:ARTICLES]


@pytest.mark.parametrize("source", ["korquad", "sample"])
@pytest.mark.parametrize("quantization", ["nf4", "none"])
@pytest.mark.parametrize("family", sorted(PROMPTS))
def test_answers_to_real_questions_equal_generate_on_one_unpadded_row(
    family: str, quantization: str, source: str, tiny_bases: dict[str, Path], request: pytest.FixtureRequest
) -> None:
    rows = sample() if source == "sample" else korquad(request.getfixturevalue("korquad_path"))
    encoder = PromptEncoder(AutoTokenizer.from_pretrained(tiny_bases[family]), PROMPTS[family](), 2048)
    articles = [one for each in encoder.encode_articles(rows, "inference") for one in each]
    base = load_base_model(str(tiny_bases[family]), quantization=quantization, precision="fp32")
    model = attach_lora(base, LoRA(r=4, alpha=8)).eval()
    randomise(model, 1, scale=0.03)
    if family == "gemma2" and source == "korquad":
        assert max(len(one.prefix_ids) for one in articles) > base.config.sliding_window
    how = Decoding(NEW_TOKENS)
    found = AnswerGenerator(model, encoder.end_ids, encoder.pad_id, how).generate_all(articles)
    base.set_attn_implementation("eager" if family == "gemma2" else "sdpa")  # transformers' own
    ids = [[candidates[0].token_ids for candidates in one] for one in found]
    assert sum(map(len, ids)) > len(articles)
    assert ids == [
        [generated(model, article, one, NEW_TOKENS, encoder.end_ids, encoder.pad_id) for one in article.questions]
        for article in articles
    ]

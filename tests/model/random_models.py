"""Random tiny bases of both architectures and random articles, for the tests of the model side."""

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import Gemma2Config, Gemma2ForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from kqa_lightning.data.encoding import EncodedArticle, EncodedQuestion
from kqa_lightning.data.packing import PackedBatch, pack

VOCABULARY = 97
PAD = 0
WINDOW = 16
LAYERS = 2  # of Gemma2 one with a window, and one without
COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 512,
    "initializer_range": 0.15,  # wide enough that attention and answers depend on the text
    "pad_token_id": PAD,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def save_base(family: str, folder: Path, seed: int = 0, **changes: object) -> Path:
    """A random base of ``family`` as safetensors, its norms and embeddings off their initial constants too."""
    torch.manual_seed(seed)
    model: PreTrainedModel
    if family == "gemma2":
        shape = {**COMMON, "sliding_window": WINDOW, "query_pre_attn_scalar": 16, **changes}
        model = Gemma2ForCausalLM(Gemma2Config(**shape, attn_logit_softcapping=5.0, final_logit_softcapping=10.0))
    else:
        model = LlamaForCausalLM(LlamaConfig(**{**COMMON, **changes}))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    return folder


def randomise(model: torch.nn.Module, seed: int, scale: float = 0.2) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))


def random_article(seed: int, prefix: int, questions: Sequence[tuple[int, int]], first_row: int = 0) -> EncodedArticle:
    """An article of ``prefix`` random tokens with questions of the given (question, answer) lengths."""
    generator = torch.Generator().manual_seed(seed)

    def tokens(count: int) -> tuple[int, ...]:
        return tuple(torch.randint(3, VOCABULARY, (count,), generator=generator).tolist())

    return EncodedArticle(
        prefix_ids=tokens(prefix),
        questions=tuple(
            EncodedQuestion(row=first_row + i, question_ids=tokens(asked), answer_ids=tokens(answered))
            for i, (asked, answered) in enumerate(questions)
        ),
        cut=False,
    )


def separate(articles: Sequence[EncodedArticle]) -> list[PackedBatch]:
    """Each question with its article in a batch of its own: the reference."""
    return [
        pack([EncodedArticle(article.prefix_ids, (question,), article.cut)], PAD)
        for article in articles
        for question in article.questions
    ]

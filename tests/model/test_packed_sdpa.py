import pytest
import torch
from random_models import PAD, random_article, separate
from torch import nn
from transformers import CohereConfig, LlamaConfig, MistralConfig
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from kqa_lightning.data.encoding import EncodedArticle
from kqa_lightning.data.packing import PackedBatch, pack
from kqa_lightning.model.attention import PACKED_SDPA
from kqa_lightning.model.masks import attention_mask
from kqa_lightning.model.packed_sdpa import Layout, attend, layout_of

CONFIG = LlamaConfig(attn_implementation=PACKED_SDPA)
SHORT, LONG = random_article(1, 12, [(4, 2), (5, 1)]), random_article(2, 30, [(6, 3), (2, 2), (4, 4)])
BATCHES = {
    "an article": pack([LONG], PAD),
    "two articles": pack([SHORT, LONG], PAD),
    "a row a question": pack(
        [EncodedArticle(a.prefix_ids, (q,), False) for a in (SHORT, LONG) for q in a.questions], PAD
    ),
}


WITH_DROPOUT = LlamaConfig(attn_implementation=PACKED_SDPA, attention_dropout=0.1)


@pytest.mark.parametrize("config", [CONFIG, WITH_DROPOUT], ids=["in parts", "causal columns"])
@pytest.mark.parametrize("name", BATCHES)
def test_output_and_gradients_are_those_of_one_masked_attention(name: str, config: LlamaConfig) -> None:
    batch = BATCHES[name]
    rows, columns = batch.input_ids.shape
    generator = torch.Generator().manual_seed(0)
    tensors = [torch.randn(rows, heads, columns, 16, generator=generator) for heads in (4, 2, 2)]
    wanted = torch.randn(rows, columns, 4, 16, generator=generator)
    module = nn.Module()
    module.num_key_value_groups = 2  # type: ignore[assignment]
    module.is_causal = True  # type: ignore[assignment]
    mask = attention_mask(CONFIG, batch.segments, batch.position_ids, torch.float32)
    assert isinstance(mask, torch.Tensor)
    real = (batch.segments >= 0)[..., None, None]
    found = []
    for given in ({}, layout_of(config, batch.segments)):
        query, key, value = (one.clone().requires_grad_() for one in tensors)
        way = attend if given else sdpa_attention_forward
        output, _ = way(module, query, key, value, mask, scaling=0.3, dropout=0.0, **given)
        output = output * real  # what padding puts out is read by nobody
        (output * wanted).sum().backward()
        found.append([output.detach(), query.grad, key.grad, value.grad])
    for one, other in zip(*found, strict=True):
        assert one is not None
        assert other is not None
        assert torch.allclose(one, other, atol=1e-5)


def test_on_a_cpu_attention_is_told_where_articles_and_questions_end() -> None:
    def rows(name: str) -> list[tuple[int, tuple[int, ...]]]:
        layout = layout_of(CONFIG, BATCHES[name].segments)
        assert layout.keys() == {"packed_rows"}
        return [(row.article, row.questions) for row in layout["packed_rows"]]

    assert rows("an article") == [(30, (39, 43, 51))]
    assert rows("two articles") == [(12, (18, 24)), (30, (39, 43, 51))]
    assert rows("a row a question")[:2] == [(12, (18,)), (12, (18,))]


def test_elsewhere_an_article_and_its_first_question_are_causal() -> None:
    def first(batch: PackedBatch) -> Layout:
        with torch.autocast("cpu", torch.bfloat16):  # types differ there
            assert layout_of(CONFIG, batch.segments) == layout_of(WITH_DROPOUT, batch.segments)
        return layout_of(WITH_DROPOUT, batch.segments)

    assert first(BATCHES["an article"]) == {"causal_columns": 30 + 6 + 3}
    assert first(BATCHES["two articles"]) == {"causal_columns": 12 + 4 + 2}
    whole = BATCHES["a row a question"]
    assert first(whole) == {"causal_columns": whole.input_ids.shape[1]}
    assert all(first(one) == {"causal_columns": one.input_ids.shape[1]} for one in separate([SHORT]))


def test_other_attention_architectures_and_windows_are_told_nothing() -> None:
    segments = BATCHES["an article"].segments
    assert layout_of(LlamaConfig(attn_implementation="sdpa"), segments) == {}
    assert layout_of(CohereConfig(attn_implementation=PACKED_SDPA), segments) == {}  # turns other pairs of numbers
    assert layout_of(MistralConfig(attn_implementation=PACKED_SDPA, sliding_window=8), segments) == {}

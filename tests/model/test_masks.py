from itertools import product

import pytest
import torch
from torch.nn.attention.flex_attention import BlockMask
from transformers import Gemma2Config, LlamaConfig, MistralConfig, PreTrainedConfig, Qwen2Config

from kqa_lightning.model.masks import Mask, attention_mask

GEMMA2 = Gemma2Config(num_hidden_layers=2, sliding_window=4)
#            article            | question 1    | question 2  | padding
SEGMENTS = [[0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, -1, -1], [0, 1, 2, 2, 3, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1]]
POSITIONS = [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 6, 7, 8, 0, 0], [0, 1, 1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]


def reference(segments: list[int], positions: list[int], window: int | None) -> torch.Tensor:
    """Who sees whom, question by question, as if each were a row of its own."""
    length = len(segments)
    seen = torch.eye(length, dtype=torch.bool)
    for segment in {s for s in segments if s >= 0}:
        row = [i for i in range(length) if segments[i] in (0, segment)]
        for query, key in product(row, row):
            assert row.index(query) == positions[query]
            if key <= query and (window is None or positions[query] - positions[key] < window):
                seen[query, key] = True
    return seen


def make(config: PreTrainedConfig, dtype: torch.dtype = torch.float32) -> torch.Tensor | dict[str, torch.Tensor]:
    return attention_mask(config, torch.tensor(SEGMENTS), torch.tensor(POSITIONS), dtype)


@pytest.mark.parametrize(
    ("config", "window"),
    [
        (LlamaConfig(), None),
        (MistralConfig(sliding_window=3), 3),
        (Gemma2Config(num_hidden_layers=2, sliding_window=3, layer_types=["full_attention"] * 2), None),
        (Qwen2Config(num_hidden_layers=2, use_sliding_window=True, sliding_window=3, max_window_layers=28), None),
    ],
)
def test_one_mask_for_one_kind_of_layer(config: PreTrainedConfig, window: int | None) -> None:
    mask = make(config)
    assert isinstance(mask, torch.Tensor)
    assert mask.shape == (2, 1, 15, 15)
    for row in range(2):
        assert torch.equal(mask[row, 0] == 0, reference(SEGMENTS[row], POSITIONS[row], window))


def test_gemma2_gets_both_masks_and_the_window_counts_positions() -> None:
    masks = make(GEMMA2)
    assert isinstance(masks, dict)
    assert set(masks) == {"full_attention", "sliding_attention"}
    for row in range(2):
        for kind, window in (("full_attention", None), ("sliding_attention", 4)):
            assert torch.equal(masks[kind][row, 0] == 0, reference(SEGMENTS[row], POSITIONS[row], window))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_masks_are_additive_and_never_empty(dtype: torch.dtype) -> None:
    mask = make(LlamaConfig(), dtype)
    assert isinstance(mask, torch.Tensor)
    assert mask.dtype == dtype
    assert set(mask.unique().tolist()) == {0.0, torch.finfo(dtype).min}
    assert (mask == 0).any(dim=-1).all()
    assert torch.isfinite((mask.float() - 50).softmax(dim=-1)).all()


@pytest.mark.parametrize("queries", [1, 4, 15])
def test_queries_behind_a_cache_see_what_they_see_in_one_pass(queries: int) -> None:
    segments, positions = torch.tensor(SEGMENTS), torch.tensor(POSITIONS)
    whole = make(GEMMA2)
    part = attention_mask(
        GEMMA2,
        segments[:, -queries:],
        positions[:, -queries:],
        torch.float32,
        key_segments=segments,
        key_position_ids=positions,
    )
    assert isinstance(whole, dict)
    assert isinstance(part, dict)
    for kind in whole:
        assert torch.equal(part[kind], whole[kind][:, :, -queries:])


@pytest.mark.parametrize("queries", [1, 4, 15])
@pytest.mark.parametrize("config", [GEMMA2, LlamaConfig(), MistralConfig(sliding_window=3)])
def test_block_masks_show_what_additive_ones_show(config: PreTrainedConfig, queries: int) -> None:
    segments, positions = torch.tensor(SEGMENTS), torch.tensor(POSITIONS)

    def masks(attention: str) -> list[Mask]:
        made = attention_mask(
            type(config)(**{**config.to_dict(), "attn_implementation": attention}),
            segments[:, -queries:],
            positions[:, -queries:],
            torch.float32,
            key_segments=segments,
            key_position_ids=positions,
        )
        return [made[kind] for kind in sorted(made)] if isinstance(made, dict) else [made]

    for block, additive in zip(masks("flex_attention"), masks("eager"), strict=True):
        assert isinstance(block, BlockMask)
        assert isinstance(additive, torch.Tensor)
        assert block.shape == additive.shape
        row, query, key = (torch.arange(size) for size in (2, queries, 15))
        seen = block.mask_mod(row[:, None, None], row, query[:, None], key)
        assert torch.equal(seen, additive[:, 0] == 0)


@pytest.mark.parametrize("config", [LlamaConfig(), GEMMA2])
@pytest.mark.parametrize("dtype", [torch.bool, torch.int64])
def test_a_mask_that_eager_attention_would_add_as_zeros_and_ones_is_refused(
    config: PreTrainedConfig, dtype: torch.dtype
) -> None:
    with pytest.raises(ValueError, match=r"a mask of torch\.\w+ would be added to the scores as 0 and 1"):
        make(config, dtype)

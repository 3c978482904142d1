import pytest
import torch
from torch import Tensor, nn
from transformers import MistralConfig
from transformers.models.gemma2.modeling_gemma2 import eager_attention_forward

from kqa_lightning.model.blockwise import BLOCK, attend
from kqa_lightning.model.masks import attention_mask

HEADS, KEY_HEADS, WIDTH = 4, 2, 16


def layer() -> nn.Module:
    module = nn.Module()
    module.num_key_value_groups = HEADS // KEY_HEADS
    return module.train()


def packed_mask(rows: list[tuple[int, list[int]]], window: int | None) -> Tensor:
    """The mask of articles with questions of the given lengths, padded to the longest."""
    segments, positions = [], []
    for article, questions in rows:
        segments.append([0] * article + [k for k, length in enumerate(questions, 1) for _ in range(length)])
        positions.append([*range(article), *(article + i for length in questions for i in range(length))])
    longest = max(map(len, segments))
    segments = [one + [-1] * (longest - len(one)) for one in segments]
    positions = [one + [0] * (longest - len(one)) for one in positions]
    config = MistralConfig(sliding_window=window)
    return attention_mask(config, torch.tensor(segments), torch.tensor(positions), torch.float32)


def run(implementation, mask: Tensor, softcap: float | None, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Output and gradients of queries, keys and values."""
    torch.manual_seed(0)
    rows, queries, keys = mask.shape[0], mask.shape[2], mask.shape[3]
    shapes = (HEADS, queries), (KEY_HEADS, keys), (KEY_HEADS, keys)
    inputs = [torch.randn(rows, *shape, WIDTH, dtype=dtype, requires_grad=True) for shape in shapes]
    output = implementation(layer(), *inputs, mask.to(dtype), scaling=WIDTH**-0.5, softcap=softcap)[0]
    output.backward(torch.randn(output.shape, dtype=dtype))
    return [output, *(one.grad for one in inputs)]


@pytest.mark.parametrize("softcap", [None, 2.0, 50.0])
@pytest.mark.parametrize("window", [None, 40])
@pytest.mark.parametrize(
    "rows",
    [
        [(3 * BLOCK, [BLOCK, 17, 5])],
        [(150, [30, 9]), (20, [7] * 12), (1, [1])],
        [(BLOCK, [])],
        [(BLOCK + 1, [1] * 30)],
    ],
)
def test_output_and_gradients_equal_those_of_eager_attention(
    rows: list[tuple[int, list[int]]], window: int | None, softcap: float | None
) -> None:
    mask = packed_mask(rows, window)
    tolerance = max(1e-6, 6e-8 * (softcap or 0))  # of a score capped by a sigmoid
    for found, expected in zip(run(attend, mask, softcap), run(eager_attention_forward, mask, softcap), strict=True):
        assert found.shape == expected.shape and expected.norm() > 0
        assert (found - expected).norm() / expected.norm() < tolerance


def test_more_keys_than_queries_as_with_a_cache() -> None:
    mask = packed_mask([(200, [60, 50])], None)[:, :, -100:]
    for found, expected in zip(run(attend, mask, 5.0), run(eager_attention_forward, mask, 5.0), strict=True):
        assert (found - expected).norm() / expected.norm() < 1e-6


def test_padding_that_sees_nothing_disturbs_nothing() -> None:
    """As transformers' own masks have it, where the first rows of the mask are all hidden."""
    mask = packed_mask([(250, [])], None)
    mask[:, :, :130] = mask[:, :, :, :130] = torch.finfo(torch.float32).min
    outputs = [run(implementation, mask, 5.0)[0][:, 130:] for implementation in (attend, eager_attention_forward)]
    mask[:, :, :130, :130] = 0  # what padding sees of itself has no say in the gradients of the rest
    assert (outputs[0] - outputs[1]).norm() / outputs[1].norm() < 1e-6
    assert all(one.isfinite().all() for one in run(attend, mask, 5.0))


def test_in_bf16_scores_are_fp32() -> None:
    mask = packed_mask([(1900, [60, 50])], None)  # many blocks, whose gradients add up
    exact = run(eager_attention_forward, mask, 5.0)
    for found, rounded, expected in zip(
        run(attend, mask, 5.0, torch.bfloat16),
        run(eager_attention_forward, mask, 5.0, torch.bfloat16),
        exact,
        strict=True,
    ):
        error, errors_of_eager = ((one.float() - expected).norm() for one in (found, rounded))
        assert error < 1.5 * errors_of_eager


def test_it_asks_for_a_mask_and_refuses_dropout() -> None:
    query = torch.zeros(1, HEADS, BLOCK, WIDTH)
    with pytest.raises(ValueError, match="mask"):
        attend(layer(), query, query, query, None)
    with pytest.raises(ValueError, match="dropout"):
        attend(layer(), query, query, query, torch.zeros(1, 1, BLOCK, BLOCK), dropout=0.1)

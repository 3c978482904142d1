from collections.abc import Callable

import pytest
import torch
from peft import PeftModel
from random_models import COMMON, LAYERS, PAD, random_article, randomise
from torch import Tensor
from transformers import AutoModelForCausalLM, GPT2Config, MistralConfig, PreTrainedConfig, Qwen2Config, Qwen3Config

from kqa_lightning.data.packing import PackedBatch, pack
from kqa_lightning.model import forward, loss
from kqa_lightning.model.answering import AnswerGenerator, Decoding
from kqa_lightning.model.base import LoRA, attach_lora
from kqa_lightning.model.last_layer import can_narrow, first_columns, last_layer_at
from kqa_lightning.model.loss import token_losses

ARTICLES = [random_article(1, 40, [(6, 3), (9, 5), (4, 1)]), random_article(2, 11, [(4, 4), (7, 2)])]
OTHERS: dict[str, PreTrainedConfig] = {
    "mistral": MistralConfig(**COMMON, sliding_window=16),
    "qwen2": Qwen2Config(**COMMON),
    "qwen3": Qwen3Config(**COMMON),
}


def descend(model: PeftModel, batch: PackedBatch) -> tuple[Tensor, dict[str, Tensor]]:
    """Losses and the gradient of each adapter tensor."""
    model.zero_grad()
    losses = token_losses(model, batch)
    losses.sum().backward()
    return losses.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def columns_of(model: PeftModel, part: str) -> tuple[list[int], list[int]]:
    """Where the columns that the first and the last layer compute are noted from now on."""
    layers = model.get_base_model().model.layers
    seen: tuple[list[int], list[int]] = ([], [])
    for layer, columns in zip((layers[0], layers[-1]), seen, strict=True):
        layer.get_submodule(part).register_forward_hook(
            lambda module, args, output, columns=columns: columns.append(output.shape[1])
        )
    return seen


@pytest.mark.parametrize("name", ["gemma2", "llama", *OTHERS])
def test_losses_and_gradients_are_those_of_the_whole_layer(
    make_model: Callable[..., PeftModel], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    if name in OTHERS:
        torch.manual_seed(0)
        model = attach_lora(AutoModelForCausalLM.from_config(OTHERS[name]), LoRA(r=4))
        randomise(model, 0)
    else:
        model = make_model(name, "none")
    batch = pack(ARTICLES, PAD)
    assert can_narrow(model)
    losses, gradients = descend(model, batch)
    monkeypatch.setattr(loss, "can_narrow", lambda model: False)
    expected_losses, expected = descend(model, batch)
    assert torch.allclose(losses, expected_losses, rtol=1e-5, atol=1e-5)
    assert gradients.keys() == expected.keys()
    assert len(expected) == LAYERS * 7 * 2
    for tensor, gradient in expected.items():
        assert gradient.norm() > 0
        assert (gradients[tensor] - gradient).norm() / gradient.norm() < 1e-5, tensor


@pytest.mark.parametrize("family", ["gemma2", "llama"])
def test_the_last_layer_runs_on_supervised_positions_alone(make_model: Callable[..., PeftModel], family: str) -> None:
    model = make_model(family)
    batch = pack(ARTICLES, PAD)
    parts = ("mlp", "self_attn.q_proj", "self_attn.v_proj")
    (whole, mlp), (_, queries), (_, values) = (columns_of(model, part) for part in parts)
    token_losses(model, batch)
    columns = batch.input_ids.shape[1]
    assert whole == [columns]
    assert mlp == queries == [9]  # answer tokens of the first article, which has more of them
    assert values == [columns, 9]  # the second time by the layer itself, which does not use them


@pytest.mark.parametrize("family", ["gemma2", "llama"])
def test_of_an_article_that_is_read_the_last_layer_keeps_keys_and_values_alone(
    make_model: Callable[..., PeftModel], monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    model = make_model(family).eval()
    generator = AnswerGenerator(model, end_ids=(2,), pad_id=PAD, decoding=Decoding(4))
    expected = [[[one.token_ids for one in found] for found in article] for article in generator.generate_all(ARTICLES)]
    whole, last = columns_of(model, "mlp")
    found = [[[one.token_ids for one in found] for found in article] for article in generator.generate_all(ARTICLES)]
    assert max(whole) == 40
    assert max(last) == max(len(article.questions) for article in ARTICLES)  # the last column of each question
    assert found == expected
    monkeypatch.setattr(forward, "can_narrow", lambda model: False)
    assert expected == [
        [[one.token_ids for one in found] for found in article] for article in generator.generate_all(ARTICLES)
    ]
    assert max(last) == 40


def test_where_it_cannot_be(make_model: Callable[..., PeftModel]) -> None:
    checkpointed = make_model("llama", gradient_checkpointing=True)
    assert not can_narrow(checkpointed)
    assert can_narrow(checkpointed.eval())  # nothing is computed again then
    model = make_model("llama")
    model.get_base_model().set_attn_implementation("flex_attention")
    assert not can_narrow(model)
    assert not can_narrow(AutoModelForCausalLM.from_config(GPT2Config(n_embd=16, n_head=2, n_layer=1, vocab_size=11)))


def test_the_layer_is_whole_again_afterwards(make_model: Callable[..., PeftModel]) -> None:
    model = make_model("llama").eval()
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        whole = model(input_ids=ids).logits
        with pytest.raises(ZeroDivisionError), last_layer_at(model, torch.tensor([[1, 3]])):
            narrowed = model(input_ids=ids, attention_mask=causal(4)).logits
            _ = 1 / 0
        assert torch.equal(model(input_ids=ids).logits, whole)
    assert torch.allclose(narrowed, whole[:, [1, 3]], atol=1e-5)


def causal(width: int) -> Tensor:
    """[1, 1, width, width]"""
    return torch.full((width, width), torch.finfo(torch.float32).min).triu(1)[None, None]


def test_marked_columns_come_first_in_their_order() -> None:
    marked = torch.tensor([[0, 1, 0, 1, 1], [0, 0, 0, 1, 0], [0, 0, 0, 0, 0]]).bool()
    columns, which = first_columns(marked)
    assert which.tolist() == [[True, True, True], [True, False, False], [False, False, False]]
    assert columns[0].tolist() == [1, 3, 4]
    assert columns[1, 0] == 3
    assert first_columns(torch.zeros(2, 4, dtype=torch.bool))[1].tolist() == [[False], [False]]

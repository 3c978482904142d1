from collections.abc import Callable, Sequence

import pytest
import torch
from peft import PeftModel
from random_models import LAYERS, PAD, VOCABULARY, random_article, separate

from kqa_lightning.data.encoding import EncodedArticle
from kqa_lightning.data.packing import pack, split_article
from kqa_lightning.model.loss import UNSUPERVISED, token_losses
from kqa_lightning.model.masks import attention_mask
from kqa_lightning.model.packed_sdpa import layout_of

MODELS = [
    *(("gemma2", attention) for attention in ("eager", "blockwise")),
    *(("llama", attention) for attention in ("packed_sdpa", "sdpa", "eager", "blockwise")),
]
CASES = {
    "window exceeded": [random_article(1, 40, [(6, 3), (9, 5), (4, 1)])],
    "window not exceeded": [random_article(2, 5, [(3, 2), (4, 3)])],
    "several articles, padded": [random_article(3, 30, [(5, 2)]), random_article(4, 11, [(4, 4), (7, 2), (2, 1)])],
    "an article of one token, answers of one token": [random_article(5, 1, [(1, 1), (3, 1)])],
    "one answer of one token": [random_article(8, 12, [(4, 1)])],
    "one question": [random_article(7, 12, [(4, 2)])],
    "thirty questions": [random_article(6, 25, [(1 + i % 7, 1 + i % 4) for i in range(30)])],
}


def descend(model: PeftModel, batches: Sequence, total: int) -> tuple[float, dict[str, torch.Tensor]]:
    """Summed loss over ``total`` tokens and the gradient of every adapter tensor."""
    model.zero_grad()
    loss = 0.0
    for batch in batches:
        part = token_losses(model, batch).sum() / total
        part.backward()
        loss += part.item()
    return loss, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("quantization", ["nf4", "none"])
@pytest.mark.parametrize(("family", "attention"), MODELS)
def test_packed_loss_and_gradients_equal_those_of_separate_rows(
    make_model: Callable[..., PeftModel], family: str, attention: str | None, quantization: str
) -> None:
    model = make_model(family, quantization, attn_implementation=attention)
    for name, articles in CASES.items():
        total = sum(len(q.answer_ids) for article in articles for q in article.questions)
        expected_loss, expected = descend(model, separate(articles), total)
        loss, found = descend(model, [pack(articles, PAD)], total)
        assert loss == pytest.approx(expected_loss, rel=1e-5), name
        assert len(found) == LAYERS * 7 * 2
        for tensor, gradient in expected.items():
            assert gradient.norm() > 0
            assert (found[tensor] - gradient).norm() / gradient.norm() < 1e-5, (name, tensor)


def test_so_they_do_by_causal_columns(make_model: Callable[..., PeftModel]) -> None:
    """As on a GPU: where weights may be dropped there are no parts."""
    model = make_model("llama").eval()
    model.config.attention_dropout = 0.1
    for name, articles in CASES.items():
        batch = pack(articles, PAD)
        assert layout_of(model.config, batch.segments).keys() == {"causal_columns"}
        expected_loss, expected = descend(model, separate(articles), 1)
        loss, found = descend(model, [batch], 1)
        assert loss == pytest.approx(expected_loss, rel=1e-5), name
        for tensor, gradient in expected.items():
            assert (found[tensor] - gradient).norm() / gradient.norm() < 1e-5, (name, tensor)


@pytest.mark.parametrize("family", ["gemma2", "llama"])
def test_the_sum_and_its_gradients_are_those_of_shift_labels(make_model: Callable[..., PeftModel], family: str) -> None:
    """transformers' own loss of the supervised positions, on a whole last layer."""
    model = make_model(family, attn_implementation="eager")
    for name, articles in CASES.items():
        batch = pack(articles, PAD)
        loss, found = descend(model, [batch], 1)
        model.zero_grad()
        supervised = batch.labels != UNSUPERVISED
        public = model(
            input_ids=batch.input_ids,
            attention_mask=attention_mask(model.config, batch.segments, batch.position_ids, torch.float32),
            position_ids=batch.position_ids,
            logits_to_keep=supervised,
            labels=batch.labels,
            shift_labels=batch.labels[supervised],
            num_items_in_batch=1,
        )
        public.loss.backward()
        assert public.logits.shape == (supervised.sum(), VOCABULARY), name
        assert loss == pytest.approx(public.loss.item(), rel=1e-5), name
        for tensor, parameter in model.named_parameters():
            if parameter.grad is not None:
                assert (found[tensor] - parameter.grad).norm() / parameter.grad.norm() < 1e-5, (name, tensor)


@pytest.mark.parametrize("family", ["gemma2", "llama"])
def test_flex_attention_gives_the_losses_of_eager(make_model: Callable[..., PeftModel], family: str) -> None:
    """Forward alone: PyTorch has no backward pass of it on a CPU."""
    model = make_model(family, "none", attn_implementation="eager")
    with torch.no_grad(), torch.compiler.set_stance("force_eager"):  # compiling takes a minute
        for name, articles in CASES.items():
            batch = pack(articles, PAD)
            expected = token_losses(model, batch)
            model.get_base_model().set_attn_implementation("flex_attention")
            found = token_losses(model, batch)
            model.get_base_model().set_attn_implementation("eager")
            assert torch.allclose(found, expected, rtol=1e-5, atol=1e-5), name


@pytest.mark.parametrize(("over", "rows"), [(0, 1), (1, 2)])
@pytest.mark.parametrize("family", ["gemma2", "llama"])
def test_an_article_at_the_budget_and_one_over_it(
    make_model: Callable[..., PeftModel], family: str, over: int, rows: int
) -> None:
    """One that fills the budget is one row, one that exceeds it two: the same loss and gradients either way."""
    model, article = make_model(family), random_article(10, 30, [(6, 3), (9, 5), (4, 1)])
    parts = split_article(article, len(article) - over)
    assert len(parts) == rows
    expected_loss, expected = descend(model, separate([article]), 9)
    loss, found = descend(model, [pack(parts, PAD)], 9)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    for tensor, gradient in expected.items():
        assert gradient.norm() > 0
        assert (found[tensor] - gradient).norm() / gradient.norm() < 1e-5, tensor


@pytest.mark.parametrize("family", ["gemma2", "llama"])
def test_a_single_row_is_the_models_own_loss(make_model: Callable[..., PeftModel], family: str) -> None:
    """The reference of the reference: transformers' own mask, positions and loss on one plain row."""
    model = make_model(family)
    article = random_article(7, 40, [(6, 4)])
    (question,) = article.questions
    row = torch.tensor([article.prefix_ids + question.question_ids + question.answer_ids])
    labels = row.clone()
    labels[:, : -len(question.answer_ids)] = -100
    expected = model(input_ids=row, labels=labels).loss
    assert token_losses(model, pack([article], PAD)).mean().item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("family", ["gemma2", "llama"])
def test_a_question_does_not_see_another(make_model: Callable[..., PeftModel], family: str) -> None:
    model = make_model(family).eval()
    shape = [(6, 3), (5, 4)]
    article, other = random_article(8, 30, shape), random_article(9, 30, shape)
    changed = EncodedArticle(article.prefix_ids, (other.questions[0], article.questions[1]), article.cut)

    def second(article: EncodedArticle) -> torch.Tensor:
        batch = pack([article], PAD)
        mask = attention_mask(model.config, batch.segments, batch.position_ids, torch.float32)
        with torch.no_grad():
            out = model(input_ids=batch.input_ids, attention_mask=mask, position_ids=batch.position_ids).logits
        return out[batch.segments == 2]

    assert torch.equal(second(article), second(changed))
    losses = [token_losses(model, pack([one], PAD)) for one in (article, changed)]  # as training has it
    assert not torch.equal(losses[0][:3], losses[1][:3])
    assert torch.equal(losses[0][3:], losses[1][3:])


@pytest.mark.parametrize("family", ["gemma2", "llama"])
def test_the_head_runs_on_supervised_positions_alone(make_model: Callable[..., PeftModel], family: str) -> None:
    model = make_model(family)
    scored = []
    model.base_model.model.lm_head.register_forward_hook(lambda module, args, output: scored.append(output.shape))
    losses = token_losses(model, pack(CASES["several articles, padded"], PAD))
    assert scored == [(9, VOCABULARY)]
    assert losses.shape == (9,)


def test_losses_are_fp32_in_the_order_of_the_rows(make_model: Callable[..., PeftModel]) -> None:
    model = make_model("llama", precision="bf16").eval()
    articles = CASES["several articles, padded"]
    losses = token_losses(model, pack(articles, PAD))
    assert losses.dtype == torch.float32
    rows = torch.cat([token_losses(model, batch) for batch in separate(articles)])
    assert torch.allclose(losses, rows, rtol=0.1)


def test_a_batch_without_gold_has_no_losses(make_model: Callable[..., PeftModel]) -> None:
    model = make_model("llama")
    losses = token_losses(model, pack([random_article(1, 10, [(4, 0)])], PAD))
    assert losses.shape == (0,)
    losses.sum().backward()

import math
from collections.abc import Callable, Sequence

import pytest
import torch
from answer_cases import ARTICLES, END_IDS, GREEDY, NEW_TOKENS, generated, generator
from peft import PeftModel
from random_models import PAD, VOCABULARY, WINDOW, random_article
from transformers.modeling_outputs import CausalLMOutputWithPast

from kqa_lightning.data.encoding import EncodedArticle, EncodedQuestion
from kqa_lightning.model import forward
from kqa_lightning.model.answering import AnswerGenerator, Decoding, GeneratedAnswer
from kqa_lightning.model.base import LoRA
from kqa_lightning.model.decoding import NotFiniteError


def logprobs(
    model: PeftModel, article: EncodedArticle, question: EncodedQuestion, answer: Sequence[int]
) -> list[float]:
    """Each answer token's log-probability from one plain forward pass over the whole row."""
    row = torch.tensor([article.prefix_ids + question.question_ids + tuple(answer)])
    with torch.no_grad():
        scores = model(input_ids=row, use_cache=False).logits[0].double().log_softmax(dim=-1)
    start = row.shape[1] - len(answer)
    return [scores[start + i - 1, token].item() for i, token in enumerate(answer)]


@pytest.fixture(scope="module", params=[("gemma2", "nf4"), ("gemma2", "none"), ("llama", "nf4"), ("llama", "none")])
def model(request: pytest.FixtureRequest, make_model: Callable[..., PeftModel]) -> PeftModel:
    return make_model(*request.param).eval()


@pytest.fixture(scope="module")
def expected(model: PeftModel) -> list[list[tuple[int, ...]]]:
    return [[generated(model, article, question) for question in article.questions] for article in ARTICLES]


def tokens(answers: list[list[GeneratedAnswer]]) -> list[tuple[int, ...]]:
    assert all(len(candidates) == 1 for candidates in answers)
    return [candidates[0].token_ids for candidates in answers]


def test_the_articles_cover_what_is_claimed(expected: list[list[tuple[int, ...]]]) -> None:
    answers = [answer for article in expected for answer in article]
    assert any(answer[-1] in END_IDS for answer in answers)
    assert any(len(answer) == NEW_TOKENS for answer in answers)
    assert len(set(answers)) > len(answers) // 2
    totals = [
        len(article.prefix_ids) + len(question.question_ids) + len(answer)
        for article, found in zip(ARTICLES, expected, strict=True)
        for question, answer in zip(article.questions, found, strict=True)
    ]
    assert min(totals) < WINDOW < max(totals)


# 10**6 decodes all questions of all articles together, 1 each question alone.
@pytest.mark.parametrize("tokens_per_batch", [10**6, 300, 1])
def test_answers_equal_generate_on_one_unpadded_row(
    model: PeftModel, expected: list[list[tuple[int, ...]]], tokens_per_batch: int
) -> None:
    found = generator(model, tokens_per_batch=tokens_per_batch).generate_all(ARTICLES)
    assert [tokens(article) for article in found] == expected


def test_one_article_at_a_time_gives_the_same(model: PeftModel, expected: list[list[tuple[int, ...]]]) -> None:
    assert [tokens(generator(model).generate_all([article])[0]) for article in ARTICLES] == expected


def test_scores_are_those_of_a_plain_forward_pass(model: PeftModel) -> None:
    for article, answers in zip(ARTICLES, generator(model).generate_all(ARTICLES), strict=True):
        for question, (answer,) in zip(article.questions, answers, strict=True):
            parts = logprobs(model, article, question, answer.token_ids)
            assert answer.logprob_sum == pytest.approx(sum(parts), rel=1e-4, abs=1e-4)
            assert answer.logprob_mean == pytest.approx(sum(parts) / len(parts), rel=1e-4, abs=1e-4)


def test_the_article_is_computed_once(make_model: Callable[..., PeftModel]) -> None:
    model = make_model("gemma2").eval()
    shapes = []
    model.get_input_embeddings().register_forward_hook(lambda module, args, output: shapes.append(tuple(args[0].shape)))
    article = ARTICLES[4]
    generator(model, tokens_per_batch=4 * 120).generate_all([article])  # too small for the thirteen questions at once
    asked = sum(len(question.question_ids) for question in article.questions)
    assert [shape for shape in shapes if shape[1] >= len(article.prefix_ids)] == [(1, 90)]
    assert sum(shape[0] * shape[1] for shape in shapes if 1 < shape[1] < len(article.prefix_ids)) == asked


@pytest.mark.parametrize("copies", [False, True])
@pytest.mark.parametrize("tokens_per_batch", [256, 1000])
def test_what_is_held_at_once_is_bounded(
    make_model: Callable[..., PeftModel], monkeypatch: pytest.MonkeyPatch, tokens_per_batch: int, copies: bool
) -> None:
    if copies:
        monkeypatch.setattr(forward, "KNOWN_ARCHITECTURES", ())
    model = make_model("llama").eval()
    held: list[int] = []

    def record(module: torch.nn.Module, args: tuple, kwargs: dict, output: CausalLMOutputWithPast) -> None:
        rows = kwargs["input_ids"].shape[0]
        held.append(rows * output.past_key_values.get_seq_length() if rows > 1 else 0)

    model.register_forward_hook(record, with_kwargs=True)
    generator(model, tokens_per_batch=tokens_per_batch).generate_all(ARTICLES)
    assert tokens_per_batch / 2 < max(held) <= tokens_per_batch


@pytest.mark.parametrize("how", [GREEDY, Decoding(8, 3), Decoding(8, 3, "sampling")])
def test_rows_answer_alike_from_one_article_and_from_copies(
    model: PeftModel, monkeypatch: pytest.MonkeyPatch, how: Decoding
) -> None:
    def answers() -> list[list[list[tuple[int, ...]]]]:
        found = generator(model, how=how).generate_all(ARTICLES)
        return [[[one.token_ids for one in candidates] for candidates in article] for article in found]

    usual = model.get_base_model().config._attn_implementation
    shared = answers()
    assert model.get_base_model().config._attn_implementation == usual
    monkeypatch.setattr(forward, "KNOWN_ARCHITECTURES", ())
    assert answers() == shared


def test_a_caller_may_end_answers_early(make_model: Callable[..., PeftModel]) -> None:
    model = make_model("llama").eval()
    whole = [answer for article in generator(model).generate_all(ARTICLES) for answer in tokens(article)]
    seen: list[tuple[int, ...]] = []

    def should_stop(token_ids: Sequence[int]) -> bool:
        seen.append(tuple(token_ids))
        return token_ids[-1] % 3 == 0

    def cut(answer: tuple[int, ...]) -> tuple[int, ...]:
        stops = [i for i, token in enumerate(answer) if token % 3 == 0]
        return answer[: stops[0] + 1] if stops else answer

    found = generator(model, should_stop=should_stop).generate_all(ARTICLES)
    assert [answer for article in found for answer in tokens(article)] == [cut(answer) for answer in whole]
    assert [cut(answer) for answer in whole] != whole
    assert all(cut(answer) == answer for answer in seen), "an answer that is over is not asked about again"


def test_an_end_token_at_once_is_an_answer_of_one_token(make_model: Callable[..., PeftModel]) -> None:
    model = make_model("llama").eval()
    everything_ends = AnswerGenerator(model, range(VOCABULARY), PAD)
    for (answer,) in everything_ends.generate_all([ARTICLES[0]])[0]:
        assert len(answer.token_ids) == 1
        assert answer.logprob_mean == answer.logprob_sum
        assert answer.logprob_sum <= 0
        assert math.isfinite(answer.logprob_sum)


def test_articles_without_questions_are_skipped_in_place(make_model: Callable[..., PeftModel]) -> None:
    model = make_model("llama").eval()
    silent = EncodedArticle((5, 6), (), False)
    found = generator(model).generate_all([silent, ARTICLES[1], silent])
    assert [len(answers) for answers in found] == [0, 2, 0]
    assert generator(model).generate_all([]) == []


def test_what_cannot_be_computed_is_refused(make_model: Callable[..., PeftModel]) -> None:
    model = make_model("llama").eval()
    for article in (EncodedArticle((), ARTICLES[1].questions, False), random_article(1, 4, [(3, 0), (0, 0)])):
        with pytest.raises(ValueError, match="at least one token"):
            generator(model).generate_all([article])
    with pytest.raises(ValueError, match="max_new_tokens"):
        Decoding(0)


def test_bf16_answers_are_finite(make_model: Callable[..., PeftModel]) -> None:
    model = make_model("gemma2", precision="bf16").eval()
    for answers in generator(model).generate_all(ARTICLES):
        assert all(math.isfinite(answer.logprob_sum) for (answer,) in answers)


HOWS = [Decoding(5), Decoding(5, 3), Decoding(5, 3, "sampling"), Decoding(5, 3, "sampling", top_p=0.9)]


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_scores_that_are_no_numbers_are_told_with_their_questions(
    make_model: Callable[..., PeftModel], how: Decoding, value: float
) -> None:
    """A token that spoils whatever reads it stands in one question, and in one article."""
    spoilt, sound = VOCABULARY - 1, (5, 6, 7)
    articles = [
        EncodedArticle(sound, (EncodedQuestion(3, sound, ()), EncodedQuestion(4, (5, spoilt), ())), False),
        EncodedArticle((*sound, spoilt, 5), (EncodedQuestion(9, sound, ()),), False),
    ]
    model = make_model("llama", "none").eval()
    constrained = generator(model, how=how, constrain=lambda article: lambda ids: [8, 9, 10])
    assert [len(answers) for answers in constrained.generate_all(articles)] == [2, 1]
    with torch.no_grad():
        model.get_input_embeddings().weight[spoilt] = value
    for ours in (generator(model, how=how), constrained):
        with pytest.raises(NotFiniteError) as error:
            ours.generate_all(articles)
        assert sorted(error.value.questions) == [4, 9]


def test_no_gradients_are_kept(make_model: Callable[..., PeftModel]) -> None:
    model = make_model("llama").eval()
    grads = []
    model.register_forward_hook(lambda module, args, output: grads.append(output.logits.requires_grad))
    generator(model).generate_all(ARTICLES[1:2])
    assert grads
    assert not any(grads)


@pytest.mark.parametrize("family", ["gemma2", "llama"])
def test_a_model_in_training_answers_as_in_eval_mode(make_model: Callable[..., PeftModel], family: str) -> None:
    """Dropout would change the answers, and checkpointing in training mode would drop the cache."""
    lora = LoRA(r=4, alpha=8, dropout=0.5)
    expected = generator(make_model(family, lora=lora).eval()).generate_all(ARTICLES)
    model = make_model(family, lora=lora, gradient_checkpointing=True).train()
    assert generator(model).generate_all(ARTICLES) == expected
    assert all(module.training for module in model.modules())

"""Drawn answers: as often as their probability says, and the same however questions are batched."""

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from answer_cases import ARTICLES, END_IDS, NEW_TOKENS, generator
from peft import PeftModel
from random_models import random_article

from kqa_lightning.data.encoding import EncodedArticle
from kqa_lightning.model.answering import Decoding, GeneratedAnswer
from kqa_lightning.model.sampling import Sampler, nucleus

DRAWS = Decoding(NEW_TOKENS, num_candidates=5, method="sampling", temperature=0.7, top_p=0.9, seed=3)


def by_question(articles: list[EncodedArticle], found: list[list[list[GeneratedAnswer]]]) -> dict[tuple, list[tuple]]:
    return {
        article.prefix_ids + question.question_ids: [one.token_ids for one in candidates]
        for article, answers in zip(articles, found, strict=True)
        for question, candidates in zip(article.questions, answers, strict=True)
    }


@pytest.fixture(scope="module", params=["gemma2", "llama"])
def model(request: pytest.FixtureRequest, make_model: Callable[..., PeftModel]) -> PeftModel:
    return make_model(request.param).eval()


def test_draws_do_not_depend_on_batches_or_order(model: PeftModel) -> None:
    expected = by_question(ARTICLES, generator(model, how=DRAWS).generate_all(ARTICLES))
    alone = by_question(ARTICLES, generator(model, 1, how=DRAWS).generate_all(ARTICLES))
    turned = ARTICLES[::-1]
    assert alone == expected
    assert by_question(turned, generator(model, 400, how=DRAWS).generate_all(turned)) == expected
    assert (
        by_question(ARTICLES[2:3], generator(model, how=DRAWS).generate_all(ARTICLES[2:3])).items() < expected.items()
    )


def test_another_seed_draws_others(model: PeftModel) -> None:
    found = [
        by_question(
            ARTICLES, generator(model, how=Decoding(NEW_TOKENS, 5, "sampling", seed=seed)).generate_all(ARTICLES)
        )
        for seed in (0, 1)
    ]
    different = [one != found[1][prompt] for prompt, one in found[0].items()]
    assert sum(different) > len(different) // 2


def test_candidates_differ_and_come_best_first(model: PeftModel) -> None:
    counts = set()
    for answers in generator(model, how=DRAWS).generate_all(ARTICLES):
        for candidates in answers:
            counts.add(len(candidates))
            assert len({one.token_ids for one in candidates}) == len(candidates)
            means = [one.logprob_mean for one in candidates]
            assert means == sorted(means, reverse=True)
    assert max(counts) == 5
    cold = Decoding(NEW_TOKENS, 5, "sampling", temperature=1e-4)
    greedy = generator(model).generate_all(ARTICLES)
    found = generator(model, how=cold).generate_all(ARTICLES)
    assert by_question(ARTICLES, found) == by_question(ARTICLES, greedy), "equal draws are one candidate"


def test_log_probabilities_are_the_models_own(model: PeftModel) -> None:
    article = ARTICLES[2]
    for question, candidates in zip(
        article.questions, generator(model, how=DRAWS).generate_all([article])[0], strict=True
    ):
        for one in candidates:
            row = torch.tensor([article.prefix_ids + question.question_ids + one.token_ids])
            with torch.no_grad():
                scores = model(input_ids=row, use_cache=False).logits[0].double().log_softmax(dim=-1)
            start = row.shape[1] - len(one.token_ids) - 1
            expected = sum(scores[start + i, token].item() for i, token in enumerate(one.token_ids))
            assert one.logprob_sum == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_first_tokens_are_drawn_as_often_as_the_model_says(make_model: Callable[..., PeftModel]) -> None:
    model = make_model("llama").eval()
    article = random_article(1, 12, [(4, 0)])
    row = torch.tensor([article.prefix_ids + article.questions[0].question_ids])
    with torch.no_grad():
        expected = model(input_ids=row).logits[0, -1].double().softmax(dim=-1)
    drawn: Counter[int] = Counter()
    for seed in range(40):
        sampler = Sampler([row[0].tolist()], 50, 1.0, 1.0, seed)
        drawn.update(sampler(expected.log().float().expand(50, -1), torch.arange(50)).tolist())
    distance = sum(abs(drawn[token] / 2000 - share) for token, share in enumerate(expected.tolist())) / 2
    assert distance < 0.12
    found = generator(model, how=Decoding(1, 50, "sampling", seed=0)).generate_all([article])[0][0]
    first = Sampler([row[0].tolist()], 50, 1.0, 1.0, 0)(expected.log().float().expand(50, -1), torch.arange(50))
    assert {one.token_ids[0] for one in found} == set(first.tolist())


@pytest.mark.parametrize("size", [5, 3000])
@pytest.mark.parametrize("top_p", [0.01, 0.5, 0.9, 0.999])
def test_a_nucleus_is_the_fewest_tokens_that_come_to_top_p(size: int, top_p: float) -> None:
    weights = torch.rand(3, size, generator=torch.Generator().manual_seed(0)).double()
    weights /= weights.sum(dim=-1, keepdim=True)
    for before, after in zip(weights.tolist(), nucleus(weights, top_p).tolist(), strict=True):
        kept, total = set(), 0.0
        for token in sorted(range(size), key=lambda token: -before[token]):
            if total >= top_p:
                break
            kept.add(token)
            total += before[token]
        assert {token for token, weight in enumerate(after) if weight} == kept
        assert all(after[token] == before[token] for token in kept)


def test_what_is_not_allowed_is_never_drawn(model: PeftModel) -> None:
    end = END_IDS[0]
    how = Decoding(NEW_TOKENS, 20, "sampling", temperature=5.0)
    only = {(): [20, 30, 40]}
    found = generator(model, how=how, constrain=lambda article: lambda ids: only.get(ids, [end, 50])).generate_all(
        ARTICLES
    )
    for candidates in (candidates for answers in found for candidates in answers):
        assert {one.token_ids[0] for one in candidates} <= {20, 30, 40}
        assert {token for one in candidates for token in one.token_ids[1:]} <= {end, 50}
        assert all(math.isfinite(one.logprob_sum) for one in candidates)


def test_what_nothing_could_be_drawn_with_is_refused() -> None:
    cases: list[dict[str, Any]] = [{"temperature": 0.0}, {"top_p": 0.0}, {"top_p": 1.5}, {"num_candidates": 0}]
    for wrong in cases:
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Decoding(**wrong)

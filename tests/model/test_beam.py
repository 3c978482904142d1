"""Beam search against transformers' own on one unpadded row: the same ids in the same order."""

from collections.abc import Callable, Sequence

import pytest
import torch
from answer_cases import ARTICLES, NEW_TOKENS, generator
from peft import PeftModel
from random_models import PAD, VOCABULARY
from transformers import StoppingCriteria, StoppingCriteriaList

from kqa_lightning.data.encoding import EncodedArticle, EncodedQuestion
from kqa_lightning.model.answering import Decoding, GeneratedAnswer

BEAMS = 4
ENDS = tuple(range(2, VOCABULARY, 4))  # so many that beams end at every length
BEAM = Decoding(NEW_TOKENS, num_candidates=BEAMS)
Candidates = list[tuple[tuple[int, ...], float]]


@pytest.fixture(scope="module", params=[("gemma2", "nf4"), ("gemma2", "none"), ("llama", "nf4"), ("llama", "none")])
def model(request: pytest.FixtureRequest, make_model: Callable[..., PeftModel]) -> PeftModel:
    return make_model(*request.param).eval()


def reference(
    model: PeftModel, article: EncodedArticle, question: EncodedQuestion, beams: int = BEAMS, **kwargs: object
) -> Candidates:
    """Ids and mean log-probability of each of transformers' candidates."""
    row = torch.tensor([article.prefix_ids + question.question_ids])
    out = model.generate(
        input_ids=row,
        attention_mask=torch.ones_like(row),
        do_sample=False,
        num_beams=beams,
        num_return_sequences=beams,
        length_penalty=1.0,
        early_stopping=False,
        max_new_tokens=NEW_TOKENS,
        eos_token_id=list(ENDS),
        pad_token_id=PAD,
        return_dict_in_generate=True,
        output_scores=True,
        output_logits=True,  # or there would be no beam_indices
        **kwargs,
    )
    lengths = (out.beam_indices >= 0).sum(dim=1).tolist()
    ids = [tuple(one[:length]) for one, length in zip(out.sequences[:, row.shape[1] :].tolist(), lengths, strict=True)]
    return list(zip(ids, out.sequences_scores.tolist(), strict=True))


def every_question(found: list[list[list[GeneratedAnswer]]]) -> list[tuple[EncodedArticle, EncodedQuestion, list]]:
    return [
        (article, question, candidates)
        for article, answers in zip(ARTICLES, found, strict=True)
        for question, candidates in zip(article.questions, answers, strict=True)
    ]


def same(found: Sequence[GeneratedAnswer], expected: Candidates) -> None:
    assert [one.token_ids for one in found] == [ids for ids, _ in expected]
    assert [one.logprob_mean for one in found] == pytest.approx([mean for _, mean in expected], rel=1e-4, abs=1e-4)
    sums = [mean * len(ids) for ids, mean in expected]
    assert [one.logprob_sum for one in found] == pytest.approx(sums, rel=1e-4, abs=1e-4)


@pytest.fixture(scope="module")
def expected(model: PeftModel) -> list[Candidates]:
    return [reference(model, article, question) for article in ARTICLES for question in article.questions]


def test_candidates_are_over_early_and_late(expected: list[Candidates]) -> None:
    lengths = {len(ids) for candidates in expected for ids, _ in candidates}
    assert min(lengths) < 3 and len(lengths) >= 3
    assert NEW_TOKENS in lengths


# 10**6 decodes all questions of all articles together, 1 each question alone.
@pytest.mark.parametrize("tokens_per_batch", [10**6, 1])
def test_candidates_equal_transformers_beam_search_on_one_unpadded_row(
    model: PeftModel, expected: list[Candidates], tokens_per_batch: int
) -> None:
    found = every_question(generator(model, tokens_per_batch, BEAM, ENDS).generate_all(ARTICLES))
    for (_, _, candidates), right in zip(found, expected, strict=True):
        same(candidates, right)


@pytest.mark.parametrize("beams", [2, 5])
def test_other_numbers_of_beams(make_model: Callable[..., PeftModel], beams: int) -> None:
    model = make_model("llama").eval()
    found = generator(model, how=Decoding(NEW_TOKENS, num_candidates=beams), end_ids=ENDS).generate_all(ARTICLES)
    for article, question, candidates in every_question(found):
        same(candidates, reference(model, article, question, beams))


def test_a_caller_may_end_candidates_early(make_model: Callable[..., PeftModel]) -> None:
    model = make_model("llama").eval()

    class Thirds(StoppingCriteria):
        def __call__(self, input_ids: torch.Tensor, scores: object, **kwargs: object) -> torch.Tensor:
            return input_ids[:, -1] % 3 == 0

    stopping = generator(model, how=BEAM, end_ids=ENDS, should_stop=lambda ids: ids[-1] % 3 == 0)
    for article, question, candidates in every_question(stopping.generate_all(ARTICLES)):
        same(candidates, reference(model, article, question, stopping_criteria=StoppingCriteriaList([Thirds()])))


def neighbours(ids: Sequence[int]) -> list[int]:
    """A few tokens that depend on the last one, an end token sometimes among them."""
    last = ids[-1] if len(ids) else 11
    return sorted({(last * 7 + i * i) % VOCABULARY for i in range(9)})


@pytest.mark.parametrize("beams", [1, BEAMS])
def test_constrained_answers_equal_those_of_transformers(make_model: Callable[..., PeftModel], beams: int) -> None:
    model = make_model("gemma2").eval()
    how = Decoding(NEW_TOKENS, num_candidates=beams)
    found = generator(model, how=how, end_ids=ENDS, constrain=lambda article: neighbours).generate_all(ARTICLES)
    for article, question, candidates in every_question(found):
        start = len(article.prefix_ids) + len(question.question_ids)
        expected = model.generate(
            input_ids=(row := torch.tensor([article.prefix_ids + question.question_ids])),
            attention_mask=torch.ones_like(row),
            do_sample=False,
            num_beams=beams,
            num_return_sequences=beams,
            max_new_tokens=NEW_TOKENS,
            eos_token_id=list(ENDS),
            pad_token_id=PAD,
            prefix_allowed_tokens_fn=lambda _, ids, start=start: neighbours(ids[start:].tolist()),
        )[:, start:].tolist()
        assert [list(one.token_ids) for one in candidates] == [
            ids[: len(one.token_ids)] for ids, one in zip(expected, candidates, strict=True)
        ]
        assert all(
            {PAD, ENDS[0]} >= set(ids[len(one.token_ids) :]) for ids, one in zip(expected, candidates, strict=True)
        )


def test_there_are_fewer_candidates_where_no_more_are_allowed(make_model: Callable[..., PeftModel]) -> None:
    model = make_model("llama").eval()
    two = {(): [21, 31], (21,): [ENDS[0]], (31,): [41], (31, 41): [ENDS[0]]}
    constrained = generator(model, how=BEAM, end_ids=ENDS, constrain=lambda article: lambda ids: two[ids])
    for _, _, candidates in every_question(constrained.generate_all(ARTICLES)):
        assert sorted(one.token_ids for one in candidates) == [(21, ENDS[0]), (31, 41, ENDS[0])]
        assert candidates[0].logprob_mean >= candidates[1].logprob_mean


def test_prompts_are_computed_once_for_all_beams(make_model: Callable[..., PeftModel]) -> None:
    model = make_model("llama").eval()
    shapes = []
    model.get_input_embeddings().register_forward_hook(lambda module, args, output: shapes.append(tuple(args[0].shape)))
    generator(model, 10**6, BEAM, ENDS).generate_all(ARTICLES[4:5])
    assert shapes[:2] == [(1, 90), (1, sum(len(question.question_ids) for question in ARTICLES[4].questions))]
    assert shapes[2] == (13 * BEAMS, 1)

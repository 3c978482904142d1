"""AnswerGenerator: answers all questions of an article on one computation of the article."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from peft import PeftModel
from transformers import PreTrainedModel

from kqa_lightning.errors import KQAError
from kqa_lightning.model.asked import Asked
from kqa_lightning.model.beam import BeamAnswers
from kqa_lightning.model.decoding import Allowed, Answers, Decoding, GeneratedAnswer, NotFiniteError, ShouldStop
from kqa_lightning.model.forward import Forward
from kqa_lightning.model.greedy import SingleAnswers
from kqa_lightning.model.groups import Prefix, Row, TokenBudget, first_prefixes, first_rows, share_prefixes, tokens_of
from kqa_lightning.model.prefix import ComputedPrefixes
from kqa_lightning.model.sampling import Sampler

if TYPE_CHECKING:
    from kqa_lightning.data.encoding import EncodedArticle

__all__ = ["AnswerGenerator", "Decoding", "GeneratedAnswer", "TokenBudget"]

Found = list[list[list[GeneratedAnswer]]]  # [article][question][candidate]


class AnswerGenerator:
    """Decodes the questions of an article in batches, on one cache of all that their prompts have in common.

    The cache keeps every column, and masks are built here from positions. So padding between article and question
    is exact on every layer, a sliding window that the article exceeds included: transformers' own sliding cache
    counts columns and would drop real tokens for padding.

    Args:
        model: The model; answers are computed in eval mode and without gradients, whatever mode it is in.
        end_ids: Ids that end an answer.
        pad_id: Id to fill up with; never seen by a real token.
        decoding: How answers are chosen; greedily if not given.
        budget: Bounds on what is computed at once. Where that is too much for the memory of a GPU they are lowered,
            here and for whoever else holds the same budget, and it is tried again with less.
        should_stop: Called with the ids of an unfinished answer after each of its tokens; true ends that answer.
        constrain: For an article, which ids may follow those of an answer so far; None for all.
    """

    def __init__(
        self,
        model: PreTrainedModel | PeftModel,
        end_ids: Sequence[int],
        pad_id: int,
        decoding: Decoding | None = None,
        budget: TokenBudget | None = None,
        should_stop: ShouldStop | None = None,
        constrain: "Callable[[EncodedArticle], Allowed] | None" = None,
    ) -> None:
        self.model = model
        self.decoding = decoding or Decoding()
        self.budget = budget or TokenBudget()
        self.should_stop = should_stop
        self.constrain = constrain
        self._forward = Forward(model, pad_id)
        self._end_ids = torch.tensor(tuple(end_ids), dtype=torch.long, device=self._forward.device)

    @torch.no_grad()
    def generate_all(self, articles: "Sequence[EncodedArticle]") -> Found:
        """The candidates of each question of each article, in the order given: [article][question][candidate].

        Raises:
            ValueError: an article or question without tokens.
            KQAError: one article or question alone is too much for the memory of the GPU.
            NotFiniteError: the model gives scores that are no numbers, with the rows of the questions.
        """
        if any(not a.prefix_ids or any(not q.question_ids for q in a.questions) for a in articles):
            raise ValueError("an article and a question need at least one token each")
        found: Found = [[[] for _ in article.questions] for article in articles]
        prefixes = share_prefixes(articles)
        with _evaluating(self.model):
            while prefixes:
                group = prefixes[: first_prefixes(prefixes, self.budget.articles)]
                if self._answer(found, group, articles):
                    prefixes = prefixes[len(group) :]
                else:
                    longest = len(group[0].ids)
                    self.budget.articles = _halved(len(group) * longest, len(group), _one_article(longest))
        return found

    def _answer(self, found: Found, prefixes: Sequence[Prefix], articles: "Sequence[EncodedArticle]") -> bool:
        """Answer the questions of some articles; false where they are to be tried again with fewer articles."""
        try:
            computed = ComputedPrefixes.compute(self._forward, prefixes)
        except torch.OutOfMemoryError:
            computed = None
        if computed is None:
            return False
        rows = sorted((row for prefix in prefixes for row in prefix.rows), key=len, reverse=True)
        held = self.decoding.max_new_tokens, self.decoding.num_candidates
        copies = not self._forward.shares
        while rows:
            group = rows[: first_rows(rows, self.budget.answers, *held, copies=copies)]
            rest = rows[len(group) :]
            group.sort(key=lambda row: computed.slots[row.article])
            try:
                answers = self._decode(computed, group, articles)
            except torch.OutOfMemoryError:
                answers = None
            except NotFiniteError as error:
                asked = [(group[place].article, group[place].index) for place in error.questions]
                raise NotFiniteError(sorted(articles[one].questions[which].row for one, which in asked)) from None
            if answers is not None:
                rows = rest
                for row, candidates_of_row in zip(group, answers, strict=True):
                    found[row.article][row.index] = candidates_of_row
            elif len(group) == 1 and len(prefixes) > 1:
                return False  # without the other articles there is more room
            else:
                tokens = tokens_of(group, *held, copies=copies)
                self.budget.answers = _halved(tokens, len(group), _one_question(tokens))
        return True

    def _decode(
        self, computed: ComputedPrefixes, rows: Sequence[Row], articles: "Sequence[EncodedArticle]"
    ) -> list[list[GeneratedAnswer]]:
        """Decode ``rows`` together: article | padding | question | answer."""
        answers = self._begin(rows, articles)
        asked = Asked(self._forward, computed, rows)
        with self._forward.reading():
            while not answers.append(asked.logits):
                if (kept := answers.select()) is not None:
                    asked.select(kept)
                asked.append(answers.last)
        return answers.answers()

    def _begin(self, rows: Sequence[Row], articles: "Sequence[EncodedArticle]") -> Answers:
        """No tokens yet for any of ``rows``."""
        how = self.decoding
        allowed = None
        if self.constrain is not None:
            of_article = {number: self.constrain(articles[number]) for number in {row.article for row in rows}}
            allowed = [of_article[row.article] for row in rows]
        given = (how.max_new_tokens, self._end_ids, self.should_stop, allowed)
        if how.method == "sampling":
            prompts = [
                articles[row.article].prefix_ids + articles[row.article].questions[row.index].question_ids
                for row in rows
            ]
            sampler = Sampler(prompts, how.num_candidates, how.temperature, how.top_p, how.seed)
            return SingleAnswers(len(rows), *given, choose=sampler, draws=how.num_candidates)
        if how.num_candidates > 1:
            return BeamAnswers(len(rows), how.num_candidates, *given)
        return SingleAnswers(len(rows), *given)


def _halved(tokens: int, parts: int, alone: str) -> int:
    """What to allow after so many tokens in so many parts were too much.

    Raises:
        KQAError: it was one part alone, with what is then to be said.
    """
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if parts == 1:
        raise KQAError(alone)
    return tokens // 2


def _one_article(tokens: int) -> str:
    return f"one article of {tokens} tokens is too much for the memory of the GPU; lower --data.max_length"


def _one_question(tokens: int) -> str:
    return (
        f"one question of {tokens} tokens, all its candidates counted, is too much for the memory of the GPU;"
        " lower --model.num_candidates, --model.max_new_tokens or --data.max_length"
    )


@contextmanager
def _evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Eval mode inside; afterwards every submodule is in the mode it was in."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True

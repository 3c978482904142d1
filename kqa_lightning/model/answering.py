"""AnswerGenerator: answers all questions of an article on one computation of the article."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from peft import PeftModel
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from kqa_lightning.model.greedy import GeneratedAnswer, GreedyAnswers
from kqa_lightning.model.masks import ARTICLE, PADDING, attention_mask

if TYPE_CHECKING:
    from kqa_lightning.data.encoding import EncodedArticle, EncodedQuestion

__all__ = ["AnswerGenerator", "GeneratedAnswer"]

_QUESTION = 1  # each decoded row holds one question, so one segment number serves all


@dataclass(frozen=True)
class _Prefix:
    """Articles computed once: their cache, and what its columns are (int64 [articles, columns])."""

    cache: DynamicCache
    segments: Tensor
    position_ids: Tensor
    lengths: tuple[int, ...]


@dataclass(frozen=True)
class _Row:
    """One question to decode: where its article is in the prefix, and where its answer goes."""

    slot: int
    article: int
    index: int
    question: "EncodedQuestion"


class AnswerGenerator:
    """Greedy decoding of the questions of an article, batched on one cache of the article.

    The cache keeps every column, and masks are built here from positions. So padding between article and question
    is exact on every layer, a sliding window that the article exceeds included: transformers' own sliding cache
    counts columns and would drop real tokens for padding.

    Args:
        model: The model; answers are computed in eval mode and without gradients, whatever mode it is in.
        end_ids: Ids that end an answer.
        pad_id: Id to fill up with; never seen by a real token.
        max_new_tokens: Most tokens an answer gets.
        tokens_per_batch: Bound on rows times columns of what is computed at once, prefix and answer included.
        should_stop: Called with the ids of an unfinished answer after each of its tokens; true ends that answer.
    """

    def __init__(
        self,
        model: PreTrainedModel | PeftModel,
        end_ids: Sequence[int],
        pad_id: int,
        max_new_tokens: int = 64,
        tokens_per_batch: int = 16384,
        should_stop: Callable[[Sequence[int]], bool] | None = None,
    ) -> None:
        if max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be at least 1, not {max_new_tokens}")
        embeddings = cast(Tensor, model.get_input_embeddings().weight)
        self.model = model
        self.pad_id = pad_id
        self.max_new_tokens = max_new_tokens
        self.tokens_per_batch = tokens_per_batch
        self.should_stop = should_stop
        self._dtype, self._device = embeddings.dtype, embeddings.device
        self._end_ids = torch.tensor(tuple(end_ids), dtype=torch.long, device=self._device)

    def generate(self, article: "EncodedArticle") -> list[list[GeneratedAnswer]]:
        """The candidates of each question of one article, in the questions' order."""
        return self.generate_all([article])[0]

    @torch.no_grad()
    def generate_all(self, articles: "Sequence[EncodedArticle]") -> list[list[list[GeneratedAnswer]]]:
        """The candidates of each question of each article, in the order given: [article][question][candidate].

        Raises:
            ValueError: an article or question without tokens.
        """
        if any(not a.prefix_ids or any(not q.question_ids for q in a.questions) for a in articles):
            raise ValueError("an article and a question need at least one token each")
        answers: list[list[list[GeneratedAnswer]]] = [[[] for _ in article.questions] for article in articles]
        with _evaluating(self.model):
            self._fill(answers, articles)
        return answers

    def _fill(self, answers: list[list[list[GeneratedAnswer]]], articles: "Sequence[EncodedArticle]") -> None:
        for members in self._article_groups(articles):
            prefix = self._prefill([articles[i] for i in members])
            rows = [
                _Row(slot, i, index, question)
                for slot, i in enumerate(members)
                for index, question in enumerate(articles[i].questions)
            ]
            for group in self._question_groups(rows, prefix.lengths):
                for row, answer in zip(group, self._decode(prefix, group), strict=True):
                    answers[row.article][row.index] = [answer]

    def _article_groups(self, articles: "Sequence[EncodedArticle]") -> Iterator[list[int]]:
        """Consecutive articles whose prefixes are computed together."""
        group: list[int] = []
        longest = 0
        for i, article in enumerate(articles):
            if not article.questions:
                continue
            longest = max(longest, len(article.prefix_ids))
            if group and (len(group) + 1) * longest > self.tokens_per_batch:
                yield group
                group, longest = [], len(article.prefix_ids)
            group.append(i)
        if group:
            yield group

    def _question_groups(self, rows: Sequence[_Row], lengths: Sequence[int]) -> Iterator[list[_Row]]:
        """Consecutive questions that are decoded together."""
        group: list[_Row] = []
        prefix = suffix = 0
        for row in rows:
            prefix, suffix = max(prefix, lengths[row.slot]), max(suffix, len(row.question.question_ids))
            width = prefix + suffix + self.max_new_tokens
            if group and (len(group) + 1) * width > self.tokens_per_batch:
                yield group
                group, prefix, suffix = [], lengths[row.slot], len(row.question.question_ids)
            group.append(row)
        if group:
            yield group

    def _prefill(self, articles: "Sequence[EncodedArticle]") -> _Prefix:
        """Compute the articles [articles, longest], padded on the right."""
        lengths = tuple(len(article.prefix_ids) for article in articles)
        columns = torch.arange(max(lengths), device=self._device).expand(len(articles), -1)
        real = columns < torch.tensor(lengths, device=self._device)[:, None]
        input_ids = torch.full(columns.shape, self.pad_id, device=self._device)
        input_ids[real] = torch.tensor([t for a in articles for t in a.prefix_ids], device=self._device)
        segments = torch.where(real, ARTICLE, PADDING)
        cache = DynamicCache()
        mask = attention_mask(self.model.config, segments, columns, self._dtype)
        self._forward(input_ids, mask, columns, cache)
        return _Prefix(cache, segments, columns, lengths)

    def _decode(self, prefix: _Prefix, rows: Sequence[_Row]) -> list[GeneratedAnswer]:
        """Decode ``rows`` together: article | padding | question | answer."""
        slots = torch.tensor([row.slot for row in rows], device=self._device)
        width = max(prefix.lengths[row.slot] for row in rows)
        cache = DynamicCache((keys[slots, :, :width], values[slots, :, :width]) for keys, values, _ in prefix.cache)
        input_ids, segments, position_ids = self._pad_questions(rows, prefix.lengths)
        key_segments = torch.cat([prefix.segments[slots, :width], segments], dim=1)
        key_positions = torch.cat([prefix.position_ids[slots, :width], position_ids], dim=1)
        decoded = GreedyAnswers(len(rows), self.max_new_tokens, self._end_ids, self.should_stop)
        while True:
            mask = attention_mask(
                self.model.config,
                segments,
                position_ids,
                self._dtype,
                key_segments=key_segments,
                key_position_ids=key_positions,
            )
            if decoded.append(self._forward(input_ids, mask, position_ids, cache)):
                return decoded.answers()
            position_ids = position_ids[:, -1:] + 1
            if (kept := decoded.drop_finished()) is not None:
                cache.batch_select_indices(kept)
                position_ids, key_segments, key_positions = position_ids[kept], key_segments[kept], key_positions[kept]
            input_ids = decoded.last[:, None]
            segments = torch.full_like(position_ids, _QUESTION)
            key_segments = torch.cat([key_segments, segments], dim=1)
            key_positions = torch.cat([key_positions, position_ids], dim=1)

    def _pad_questions(self, rows: Sequence[_Row], lengths: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """The questions' ids, segments and positions, int64 [rows, longest question] each, padded on the left."""
        width = max(len(row.question.question_ids) for row in rows)
        ids, segments, positions = [], [], []
        for row in rows:
            question, start = row.question.question_ids, lengths[row.slot]
            padding = width - len(question)
            ids.append([self.pad_id] * padding + list(question))
            segments.append([PADDING] * padding + [_QUESTION] * len(question))
            positions.append([0] * padding + list(range(start, start + len(question))))
        filled = torch.tensor([ids, segments, positions], device=self._device)
        return filled[0], filled[1], filled[2]

    def _forward(
        self, input_ids: Tensor, mask: Tensor | dict[str, Tensor], position_ids: Tensor, cache: DynamicCache
    ) -> Tensor:
        """fp32 logits of the last column, [rows, vocabulary]; the cache grows by the columns of ``input_ids``."""
        output = self.model(
            input_ids=input_ids,
            attention_mask=mask,
            position_ids=position_ids,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return output.logits[:, -1].float()


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

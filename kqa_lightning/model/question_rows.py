"""The first pass of the questions: those of an article in one row behind it, as in training."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache

from kqa_lightning.model.forward import QUESTION, Columns, Forward
from kqa_lightning.model.groups import Row, alike
from kqa_lightning.model.masks import PADDING
from kqa_lightning.model.prefix import ComputedPrefixes, Layers

# Tokens of the questions of an article in a row: what one of them scores another with is thrown away.
_IN_A_ROW = 512


@dataclass(frozen=True)
class ComputedQuestions:
    """What questions left behind.

    Attributes:
        logits: Of the token that follows each, fp32 [questions, vocabulary].
        keys: Of each layer, [questions, key heads, tokens of the longest, width], the question on the right.
        values: Likewise.
    """

    logits: Tensor
    keys: Layers
    values: Layers

    @classmethod
    def compute(cls, forward: Forward, articles: ComputedPrefixes, rows: Sequence[Row]) -> "ComputedQuestions":
        """Compute questions of articles that are computed; the result has their order."""
        chains = _chains(articles, rows)
        found = _compute_all(forward, articles, chains, rows)
        finite = torch.stack([found[number].logits.isfinite().all() for number in range(len(rows))]).tolist()
        spoilt = [chain for chain in chains if len(chain.numbers) > 1 and not all(finite[one] for one in chain.numbers)]
        if spoilt:  # what is no number reaches those that only stand beside it: zero times infinity is none either
            alone = [chain.only(number, rows) for chain in spoilt for number in chain.numbers]
            found |= _compute_all(forward, articles, alone, rows)
        ordered = [found[number] for number in range(len(rows))]
        keys, values = _on_right([one.keys for one in ordered]), _on_right([one.values for one in ordered])
        return cls(torch.stack([one.logits for one in ordered]), keys, values)


def _on_right(questions: Sequence[Layers]) -> Layers:
    """Of each question and layer [tokens, key heads, width], as one batch with zeros on its left."""
    layers = (
        pad_sequence(list(layer), batch_first=True, padding_side="left") for layer in zip(*questions, strict=True)
    )
    return tuple(layer.transpose(1, 2) for layer in layers)


class _Behind(DynamicCache):
    """What is computed goes behind keys and values that stay where they are, and is all that is kept."""

    def __init__(self, keys: Layers, values: Layers) -> None:
        super().__init__()
        self._before = keys, values
        self.own: tuple[list[Tensor], list[Tensor]] = [], []

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """The keys and values of all columns of a layer; layers come in their order."""
        own = key_states, value_states
        for kept, states in zip(self.own, own, strict=True):
            kept.append(states)
        keys, values = (torch.cat([part[layer_idx], new], dim=2) for part, new in zip(self._before, own, strict=True))
        return keys, values


class _Question(NamedTuple):
    """What one question left behind."""

    logits: Tensor  # fp32 [vocabulary]
    keys: Layers  # of each layer, [tokens, key heads, width]
    values: Layers


@dataclass
class _Chain:
    """Some questions of one article, one behind the other."""

    slot: int  # of the article
    before: int  # its tokens
    numbers: list[int] = field(default_factory=list)  # of the questions
    tokens: int = 0  # of these

    def __len__(self) -> int:
        """Tokens of all."""
        return self.before + self.tokens

    def only(self, number: int, rows: Sequence[Row]) -> "_Chain":
        """One of its questions by itself."""
        return _Chain(self.slot, self.before, [number], len(rows[number].own))


def _chains(articles: ComputedPrefixes, rows: Sequence[Row]) -> list[_Chain]:
    """Questions by their article; each is in one of the chains."""
    chains: list[_Chain] = []
    newest: dict[int, _Chain] = {}
    for number, row in enumerate(rows):
        slot = articles.slots[row.article]
        chain = newest.get(slot)
        if chain is None or chain.tokens + len(row.own) > _IN_A_ROW:
            chain = newest[slot] = _Chain(slot, row.shared)
            chains.append(chain)
        chain.numbers.append(number)
        chain.tokens += len(row.own)
    return chains


def _compute_all(
    forward: Forward, articles: ComputedPrefixes, chains: Sequence[_Chain], rows: Sequence[Row]
) -> "dict[int, _Question]":
    """The questions of chains, by their numbers; chains of about one length together."""
    chains = sorted(chains, key=len, reverse=True)
    found: dict[int, _Question] = {}
    for some in alike([len(chain) for chain in chains], forward.columns_at_once):
        neighbours = sorted(chains[some], key=lambda chain: chain.slot)
        found.update(_compute(forward, articles, neighbours, rows))
    return found


def _compute(
    forward: Forward, articles: ComputedPrefixes, chains: Sequence[_Chain], rows: Sequence[Row]
) -> Iterator[tuple[int, _Question]]:
    """The questions of some chains, each with its number."""
    asked = [[rows[number] for number in chain.numbers] for chain in chains]
    questions = _columns(asked, forward)
    slots = [chain.slot for chain in chains]
    before = max(chain.before for chain in chains)
    cache = _Behind(*articles.layers(slots, before))
    ends = [list(accumulate(len(row.own) for row in chain)) for chain in asked]
    wanted = torch.zeros_like(questions.ids, dtype=torch.bool)
    for row, columns in enumerate(ends):
        wanted[row, [column - 1 for column in columns]] = True
    keys = articles.columns.first(before).select(torch.tensor(slots, device=forward.device)).join(questions)
    logits = iter(forward(questions, cache, keys, wanted=wanted))
    for row, (chain, columns) in enumerate(zip(chains, ends, strict=True)):
        for number, end in zip(chain.numbers, columns, strict=True):
            own = slice(end - len(rows[number].own), end)
            keys_of, values_of = (tuple(one[row, :, own].transpose(0, 1) for one in part) for part in cache.own)
            yield number, _Question(next(logits), keys_of, values_of)


def _columns(asked: Sequence[Sequence[Row]], forward: Forward) -> Columns:
    """The questions of each row, one behind the other, each a segment whose positions begin behind the article."""
    width = max(sum(len(row.own) for row in chain) for chain in asked)
    parts: tuple[list[list[int]], list[list[int]], list[list[int]]] = ([], [], [])
    for chain in asked:
        ids = [token for row in chain for token in row.own]
        segments = [QUESTION + number for number, row in enumerate(chain) for _ in row.own]
        positions = [place for row in chain for place in range(row.shared, len(row))]
        missing = width - len(ids)
        for part, content, filling in zip(parts, (ids, segments, positions), (forward.pad_id, PADDING, 0), strict=True):
            part.append(content + [filling] * missing)
    ids_, segments_, positions_ = torch.tensor(parts, device=forward.device)
    return Columns(ids_, segments_, positions_)

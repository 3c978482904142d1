"""Drawing tokens: by temperature and top-p, each answer with random numbers of its own."""

import random
from collections.abc import Sequence
from hashlib import sha256

import torch
from torch import Tensor

_ROWS_AT_ONCE = 8  # with a vocabulary of 256,000 these are 16 MB a tensor in double precision
_LIKELIEST = 1024  # almost always enough to hold top_p


class Sampler:
    """Draws one token a row: a choice for `SingleAnswers`.

    A draw is the place where one random number falls among the cumulated probabilities, so that another batch, whose
    probabilities differ in their last digits, almost always draws the same.

    Args:
        prompts: The token ids of each question's whole prompt. With the seed and the number of the draw they decide
            its random numbers: neither other questions nor the order of answering do.
        draws: Answers to each question.
        temperature: What log-probabilities are divided by, above 0.
        top_p: The least total probability of the likeliest tokens that are drawn from, above 0 and at most 1.
        seed: Any integer.
    """

    def __init__(
        self, prompts: Sequence[Sequence[int]], draws: int, temperature: float, top_p: float, seed: int
    ) -> None:
        keys = [sha256(repr(tuple(ids)).encode()).hexdigest() for ids in prompts]
        self._generators = [random.Random(f"{seed} {draw} {key}") for key in keys for draw in range(draws)]
        self._temperature, self._top_p = temperature, top_p

    def __call__(self, logprobs: Tensor, rows: Tensor) -> Tensor:
        """A token for each row.

        Args:
            logprobs: fp32 [rows, vocabulary]; minus infinity is never drawn.
            rows: int64 [rows]; which answer each is, counted over questions and their draws.

        Returns:
            int64 [rows].
        """
        numbers = [self._generators[row].random() for row in rows.tolist()]
        uniform = torch.tensor(numbers, dtype=torch.double, device=logprobs.device)
        parts = zip(logprobs.split(_ROWS_AT_ONCE), uniform.split(_ROWS_AT_ONCE), strict=True)
        return torch.cat([self._draw(scores, numbers) for scores, numbers in parts])

    def _draw(self, logprobs: Tensor, uniform: Tensor) -> Tensor:
        weights = (logprobs.double() / self._temperature).softmax(dim=-1)
        if self._top_p < 1:
            weights = nucleus(weights, self._top_p)
        cumulated = weights.cumsum(dim=-1)
        place = torch.searchsorted(cumulated, uniform[:, None] * cumulated[:, -1:], right=True)
        return place[:, 0].clamp_(max=logprobs.shape[-1] - 1)


def nucleus(weights: Tensor, top_p: float) -> Tensor:
    """The weights [rows, vocabulary] of the fewest tokens that come to ``top_p`` of 1, and 0 elsewhere."""
    count = min(_LIKELIEST, weights.shape[-1])
    highest, ids = weights.topk(count, dim=-1)
    if bool((highest.sum(dim=-1) < top_p).any()) and count < weights.shape[-1]:
        highest, ids = weights.sort(dim=-1, descending=True)
    before = highest.cumsum(dim=-1) - highest
    return torch.zeros_like(weights).scatter_(-1, ids, highest * (before < top_p))

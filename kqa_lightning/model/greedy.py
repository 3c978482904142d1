"""Greedy choice of a batch of answers, token by token, with their log-probabilities."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class GeneratedAnswer:
    """A generated continuation.

    Args:
        token_ids: The generated ids, the end token included where one was generated.
        logprob_sum: Sum of the tokens' natural log-probabilities, the end token's included.
        logprob_mean: That sum divided by the number of tokens.
    """

    token_ids: tuple[int, ...]
    logprob_sum: float
    logprob_mean: float


class GreedyAnswers:
    """The tokens of a batch of answers so far, and which answers are over.

    Args:
        rows: Number of answers.
        end_ids: int64 [ends]; ids that end an answer.
        should_stop: Called with the ids of an unfinished answer after each of its tokens; true ends that answer.
    """

    def __init__(self, rows: int, end_ids: Tensor, should_stop: Callable[[Sequence[int]], bool] | None) -> None:
        self._end_ids, self._should_stop = end_ids, should_stop
        self._running = torch.ones(rows, dtype=torch.bool, device=end_ids.device)
        self._lengths = torch.zeros(rows, dtype=torch.long, device=end_ids.device)
        self._tokens: list[Tensor] = []
        self._logprobs: list[Tensor] = []

    @property
    def last(self) -> Tensor:
        """The newest token of each row, int64 [rows]."""
        return self._tokens[-1]

    def append(self, logits: Tensor) -> bool:
        """Take the likeliest token of each row of fp32 [rows, vocabulary]; true when every answer is over."""
        token = logits.argmax(dim=-1)
        self._tokens.append(token)
        self._logprobs.append(logits.log_softmax(dim=-1).gather(1, token[:, None])[:, 0])
        self._lengths += self._running
        self._running &= ~torch.isin(token, self._end_ids)
        if self._should_stop is not None:
            self._stop_early(self._should_stop)
        return not bool(self._running.any())

    def answers(self) -> list[GeneratedAnswer]:
        """What was generated, row by row."""
        tokens = torch.stack(self._tokens, dim=1).tolist()
        logprobs = torch.stack(self._logprobs, dim=1).double().tolist()
        answers = []
        for row, length in enumerate(self._lengths.tolist()):
            total = sum(logprobs[row][:length])
            answers.append(GeneratedAnswer(tuple(tokens[row][:length]), total, total / length))
        return answers

    def _stop_early(self, should_stop: Callable[[Sequence[int]], bool]) -> None:
        running = self._running.nonzero()[:, 0].tolist()
        if running:
            tokens = torch.stack(self._tokens, dim=1)[running].tolist()
            over = [row for row, ids in zip(running, tokens, strict=True) if should_stop(ids)]
            self._running[over] = False

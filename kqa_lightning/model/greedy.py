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
    """The tokens of a batch of answers so far, and which of them go on.

    Args:
        rows: Number of answers.
        length: Most tokens an answer gets.
        end_ids: int64 [ends]; ids that end an answer.
        should_stop: Called with the ids of an unfinished answer after each of its tokens; true ends that answer.
    """

    def __init__(
        self, rows: int, length: int, end_ids: Tensor, should_stop: Callable[[Sequence[int]], bool] | None
    ) -> None:
        self._end_ids, self._should_stop = end_ids, should_stop
        self._tokens = torch.zeros(rows, length, dtype=torch.long, device=end_ids.device)
        self._logprobs = torch.zeros(rows, length, dtype=torch.double, device=end_ids.device)
        self._lengths = torch.zeros(rows, dtype=torch.long, device=end_ids.device)
        self._step = 0
        self._rows = torch.arange(rows, device=end_ids.device)  # the answer that each decoded row belongs to
        self._running = torch.ones(rows, dtype=torch.bool, device=end_ids.device)

    @property
    def last(self) -> Tensor:
        """The newest token of each decoded row, int64 [decoded]."""
        return self._tokens[self._rows, self._step - 1]

    def append(self, logits: Tensor) -> bool:
        """Take the likeliest token of each decoded row from fp32 [decoded, vocabulary]; true when all are over."""
        token = logits.argmax(dim=-1)
        self._tokens[self._rows, self._step] = token
        chosen = logits.log_softmax(dim=-1).gather(1, token[:, None])[:, 0]
        self._logprobs[self._rows, self._step] = chosen.double()
        self._step += 1
        self._lengths[self._rows] += self._running
        self._running &= ~torch.isin(token, self._end_ids)
        if self._should_stop is not None:
            self._stop_early(self._should_stop)
        return self._step == self._tokens.shape[1] or not bool(self._running.any())

    def drop_finished(self) -> Tensor | None:
        """Stop decoding finished rows where that halves the batch.

        Returns:
            Which of the decoded rows go on, int64 [kept], for the caller to keep of what it has by row; None where
            all do.
        """
        kept = self._running.nonzero()[:, 0]
        if 2 * len(kept) > len(self._rows):
            return None
        self._rows, self._running = self._rows[kept], self._running[kept]
        return kept

    def answers(self) -> list[GeneratedAnswer]:
        """What was generated, row by row."""
        tokens, logprobs = self._tokens.tolist(), self._logprobs.tolist()
        answers = []
        for row, length in enumerate(self._lengths.tolist()):
            total = sum(logprobs[row][:length])
            answers.append(GeneratedAnswer(tuple(tokens[row][:length]), total, total / length))
        return answers

    def _stop_early(self, should_stop: Callable[[Sequence[int]], bool]) -> None:
        running = self._running.nonzero()[:, 0]
        so_far = self._tokens[self._rows[running], : self._step].tolist()
        over = [row for row, ids in zip(running.tolist(), so_far, strict=True) if should_stop(ids)]
        self._running[over] = False

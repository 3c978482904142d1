"""Answers that are chosen a token at a time, each for itself: the likeliest token, or one that is drawn."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from kqa_lightning.model.decoding import Allowed, GeneratedAnswer, ShouldStop, best_first, check_finite

Choice = Callable[[Tensor, Tensor], Tensor]  # of log-probabilities [rows, vocabulary] of answers [rows]: a token each


class SingleAnswers:
    """The tokens of a batch of answers so far, and which of them go on.

    Args:
        questions: Number of questions.
        length: Most tokens an answer gets.
        end_ids: int64 [ends]; ids that end an answer.
        should_stop: Called with the ids of an unfinished answer after each of its tokens; true ends that answer.
        allowed: For each question, which tokens may follow an answer so far; None for all.
        choose: Chooses the next token of each row; the likeliest if not given.
        draws: Answers to each question; several only where they are drawn.
    """

    def __init__(
        self,
        questions: int,
        length: int,
        end_ids: Tensor,
        should_stop: ShouldStop | None = None,
        allowed: Sequence[Allowed] | None = None,
        choose: Choice | None = None,
        draws: int = 1,
    ) -> None:
        answers, device = questions * draws, end_ids.device
        self._end_ids, self._should_stop, self._allowed = end_ids, should_stop, allowed
        self._choose, self._draws = choose or (lambda logprobs, rows: logprobs.argmax(dim=-1)), draws
        self._tokens = torch.zeros(answers, length, dtype=torch.long, device=device)
        self._logprobs = torch.zeros(answers, length, dtype=torch.double, device=device)
        self._lengths = torch.zeros(answers, dtype=torch.long, device=device)
        self._step = 0
        self._rows = torch.arange(answers, device=device)  # the answer that each decoded row belongs to
        self._running = torch.ones(answers, dtype=torch.bool, device=device)

    @property
    def last(self) -> Tensor:
        """The newest token of each row that goes on, int64 [rows]."""
        return self._tokens[self._rows, self._step - 1]

    def append(self, logits: Tensor) -> bool:
        """Take a token for each row from fp32 logits [rows, vocabulary]; true when all answers are over."""
        logprobs = logits.log_softmax(dim=-1)
        if self._step == 0 and self._draws > 1:
            logprobs = logprobs.repeat_interleave(self._draws, dim=0)
        token = self._choose(logprobs if self._allowed is None else self._constrained(logprobs), self._rows)
        self._tokens[self._rows, self._step] = token
        chosen = logprobs.gather(1, token[:, None])[:, 0]
        check_finite(chosen[self._running], self._rows[self._running] // self._draws)
        self._logprobs[self._rows, self._step] = chosen.double()
        self._step += 1
        self._lengths[self._rows] += self._running
        self._running &= ~torch.isin(token, self._end_ids)
        if self._should_stop is not None:
            self._stop_early(self._should_stop)
        return self._step == self._tokens.shape[1] or not bool(self._running.any())

    def select(self) -> Tensor | None:
        """Stop decoding finished rows where that halves the batch; after the first token, a row for each draw."""
        multiplied = self._step == 1 and self._draws > 1
        kept = self._running.nonzero()[:, 0]
        if 2 * len(kept) > len(self._rows) and not multiplied:
            return None
        self._rows, self._running = self._rows[kept], self._running[kept]
        return kept // self._draws if multiplied else kept

    def answers(self) -> list[list[GeneratedAnswer]]:
        """What was generated: different answers to each question, best first."""
        tokens, logprobs = self._tokens.tolist(), self._logprobs.tolist()
        found = []
        for row, length in enumerate(self._lengths.tolist()):
            total = sum(logprobs[row][:length])
            found.append(GeneratedAnswer(tuple(tokens[row][:length]), total, total / length))
        return [best_first(found[start : start + self._draws]) for start in range(0, len(found), self._draws)]

    def _so_far(self) -> list[tuple[int, tuple[int, ...]]]:
        """Of each unfinished answer, its row and its ids."""
        running = self._running.nonzero()[:, 0]
        ids = self._tokens[self._rows[running], : self._step].tolist()
        return list(zip(running.tolist(), map(tuple, ids), strict=True))

    def _stop_early(self, should_stop: ShouldStop) -> None:
        self._running[[row for row, ids in self._so_far() if should_stop(ids)]] = False

    def _constrained(self, logprobs: Tensor) -> Tensor:
        """The log-probabilities of what is allowed, minus infinity elsewhere; those of finished answers as they are."""
        assert self._allowed is not None
        owners = (self._rows // self._draws).tolist()
        constrained = logprobs.clone()
        for row, ids in self._so_far():
            only(constrained[row], self._allowed[owners[row]](ids))
        return constrained


def only(scores: Tensor, allowed: Sequence[int]) -> None:
    """Make all scores [vocabulary] but those of some ids minus infinity, in place."""
    ids = torch.tensor(allowed, dtype=torch.long, device=scores.device)
    kept = scores[ids]
    scores.fill_(float("-inf"))
    scores[ids] = kept

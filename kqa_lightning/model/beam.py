"""Beam search, question by question as transformers' own: the same candidates in the same order.

Equal to ``generate(num_beams=n, num_return_sequences=n, length_penalty=1.0, early_stopping=False)``: candidates are
ranked by their mean log-probability, and a search is over when its best unfinished beam, by its mean so far, is below
its worst finished candidate.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from kqa_lightning.model.decoding import Allowed, GeneratedAnswer, ShouldStop, check_finite
from kqa_lightning.model.greedy import only

_NEVER = -1.0e9  # the score of what is not there, as in transformers


class BeamAnswers:
    """The beams of a batch of questions so far, and the candidates that are finished.

    Args:
        questions: Number of questions.
        beams: Beams, and candidates, of each; fewer candidates where ``allowed`` leaves no more.
        length: Most tokens a candidate gets.
        end_ids: int64 [ends]; ids that end a candidate.
        should_stop: Called with the ids of each continuation; true ends it.
        allowed: For each question, which tokens may follow a beam so far; None for all.
    """

    def __init__(
        self,
        questions: int,
        beams: int,
        length: int,
        end_ids: Tensor,
        should_stop: ShouldStop | None = None,
        allowed: Sequence[Allowed] | None = None,
    ) -> None:
        device = end_ids.device
        self._beams, self._end_ids, self._should_stop, self._allowed = beams, end_ids, should_stop, allowed
        self._step = 0
        # So many continuations that, however many of them end, enough to go on with are left.
        self._continuations = max(2, 1 + len(end_ids)) * beams
        self._tokens = torch.zeros(questions, beams, length, dtype=torch.long, device=device)
        self._scores = torch.full((questions, beams), _NEVER, device=device)
        self._scores[:, 0] = 0.0  # all beams of a question are equal at first: one of them counts
        self._done_tokens = self._tokens.clone()
        self._done_lengths = torch.zeros(questions, beams, dtype=torch.long, device=device)
        self._done_scores = torch.full((questions, beams), _NEVER, device=device)  # mean log-probabilities
        self._open = torch.arange(questions, device=device)  # questions that are still searched
        self._parents = torch.zeros(questions, beams, dtype=torch.long, device=device)
        self._goes_on = torch.ones(questions, dtype=torch.bool, device=device)

    @property
    def last(self) -> Tensor:
        """The newest token of each beam, int64 [open questions x beams]."""
        return self._tokens[self._open, :, self._step - 1].flatten()

    def append(self, logits: Tensor) -> bool:
        """Continue the beams by fp32 logits: at first [questions, vocabulary], then of each beam; true when over."""
        logprobs = logits.log_softmax(dim=-1)
        logprobs = logprobs[:, None] if self._step == 0 else logprobs.unflatten(0, (-1, self._beams))
        if self._allowed is not None:
            logprobs = self._constrained(logprobs, self._allowed)
        totals = (logprobs + self._scores[self._open, :, None]).flatten(1)
        totals, places = totals.topk(min(self._continuations, totals.shape[1]))
        check_finite(totals[:, 0], self._open)  # what is no number comes first
        parents, tokens = places // logits.shape[1], places % logits.shape[1]
        continued = torch.take_along_dim(self._tokens[self._open], parents[..., None], dim=1)
        continued[:, :, self._step] = tokens
        self._step += 1
        ended = self._ended(continued, totals)
        self._finish(continued, totals, ended)
        self._advance(continued, totals, ended, parents)
        return self._step == self._tokens.shape[2] or not bool(self._goes_on.any())

    def select(self) -> Tensor:
        """The row that each beam continues, of the questions that are still searched."""
        rows = torch.arange(len(self._open), device=self._open.device)[:, None].expand_as(self._parents)
        if self._step > 1:  # before, a question has one row
            rows = rows * self._beams + self._parents
        kept = rows[self._goes_on].flatten()
        self._open = self._open[self._goes_on]
        self._goes_on = torch.ones_like(self._open, dtype=torch.bool)
        return kept

    def answers(self) -> list[list[GeneratedAnswer]]:
        """The candidates of each question, that of the highest mean log-probability first."""
        found = []
        columns = (self._done_tokens.tolist(), self._done_lengths.tolist(), self._done_scores.tolist())
        for tokens, lengths, means in zip(*columns, strict=True):
            kept = [one for one in zip(tokens, lengths, means, strict=True) if one[2] > _NEVER / 2]
            found.append([GeneratedAnswer(tuple(ids[:n]), mean * n, mean) for ids, n, mean in kept])
        return found

    def _ended(self, continued: Tensor, totals: Tensor) -> Tensor:
        """Which continuations [open questions, continuations, length] are over."""
        if self._step == self._tokens.shape[2]:
            return torch.ones_like(totals, dtype=torch.bool)
        ended = torch.isin(continued[:, :, self._step - 1], self._end_ids)
        if self._should_stop is not None:
            for question, place in (~ended & (totals > _NEVER / 2)).nonzero().tolist():
                ended[question, place] = self._should_stop(continued[question, place, : self._step].tolist())
        return ended

    def _finish(self, continued: Tensor, totals: Tensor, ended: Tensor) -> None:
        """Take those that are over, of the likeliest as many as there are beams, among the candidates."""
        mean = torch.where(ended & (totals > _NEVER / 2), totals / self._step, 2 * _NEVER)
        mean[:, self._beams :] = 2 * _NEVER
        scores = torch.cat([self._done_scores[self._open], mean], dim=1)
        scores, places = scores.topk(self._beams)
        tokens = torch.cat([self._done_tokens[self._open], continued], dim=1)
        lengths = torch.cat([self._done_lengths[self._open], torch.full_like(totals, self._step).long()], dim=1)
        self._done_tokens[self._open] = torch.take_along_dim(tokens, places[..., None], dim=1)
        self._done_lengths[self._open] = lengths.gather(1, places)
        self._done_scores[self._open] = scores

    def _advance(self, continued: Tensor, totals: Tensor, ended: Tensor, parents: Tensor) -> None:
        """Go on with the likeliest of those that are not over, where they can still become candidates."""
        totals, places = (totals + ended * _NEVER).topk(self._beams)
        self._tokens[self._open] = torch.take_along_dim(continued, places[..., None], dim=1)
        self._scores[self._open] = totals
        self._parents = parents.gather(1, places)
        best, worst_done = totals[:, 0], self._done_scores[self._open].min(dim=1).values
        self._goes_on = (best > _NEVER / 2) & (best / self._step > worst_done)

    def _constrained(self, logprobs: Tensor, allowed: Sequence[Allowed]) -> Tensor:
        """The log-probabilities [open questions, beams, vocabulary] of what is allowed, minus infinity elsewhere."""
        constrained = logprobs.clone()
        beams = self._tokens[self._open, : logprobs.shape[1], : self._step].tolist()
        reachable = (self._scores[self._open] > _NEVER / 2).tolist()
        for i, question in enumerate(self._open.tolist()):
            for beam, ids in enumerate(beams[i]):
                if reachable[i][beam]:
                    only(constrained[i, beam], allowed[question](tuple(ids)))
        return constrained

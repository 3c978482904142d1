"""Which articles make up each batch, in which order, and where an interrupted epoch goes on."""

import random
import zlib
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Any

from torch.utils.data import DataLoader, Sampler

from kqa_lightning.errors import KQAError

_PLACE = ("epoch", "count")  # what of a sampler's state moves as batches are handed out


class ArticleBatchSampler(Sampler[list[int]]):
    """Batches of row indices under a token budget, each row once an epoch.

    Shuffled, rows of like length share a batch, so that little of it is padding; where the batches end
    depends on the lengths alone, so every epoch has equally many, and rows of a rare length meet again.
    Not shuffled, batches and rows keep the order of the table. The order follows from seed and epoch, and
    from nothing else.

    Args:
        lengths: the tokens of each row.
        tokens_per_batch: the most tokens of a padded batch (a longer row has a batch of its own); None
            for one row a batch.
        shuffle: whether the order changes from epoch to epoch.
        seed: of the order.
        rank: which share of the batches is handed out, of ``world_size`` shares. All ranks hand out equally many,
            since each waits for the others: where the batches do not come out even, the last of some is empty.
        world_size: number of processes that share an epoch.
        passed_over: numbers of the batches of this share that are handed out empty, because nothing is left to do
            about them; all others are what they would be without.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        tokens_per_batch: int | None = None,
        *,
        shuffle: bool = True,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        passed_over: Collection[int] = (),
    ) -> None:
        self.lengths = list(lengths)
        self.tokens_per_batch = tokens_per_batch
        self.shuffle = shuffle
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.passed_over = frozenset(passed_over)
        self.epoch = 0
        self.count = 0  # batches of this epoch handed out
        self.start = 0  # batches to pass over, once: they were handed out before an interruption
        self._length = len(self._share())

    def __len__(self) -> int:
        """Batches of a whole epoch on this rank."""
        return self._length

    def __iter__(self) -> Iterator[list[int]]:
        """Hand out what is left of the epoch.

        A generator, so that nothing is settled before the first batch is asked for: Lightning calls
        ``iter`` before ``set_epoch``.
        """
        self.count, self.start = self.start, 0
        for number, batch in islice(enumerate(self._share()), self.count, None):
            self.count += 1
            yield [] if number in self.passed_over else batch

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; a new one begins at its first batch."""
        if epoch != self.epoch:
            self.epoch, self.count, self.start = epoch, 0, 0

    def state_dict(self) -> dict[str, int]:
        """Return the epoch, the batches of it handed out so far, how many it has, and what their order follows from."""
        rows = zlib.crc32(repr((self.lengths, self.tokens_per_batch)).encode())
        order = {"seed": self.seed, "rows": rows, "world_size": self.world_size}
        return {"epoch": self.epoch, "count": self.count, "length": len(self), **order}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on after the batches of ``state``.

        Raises:
            KQAError: where the epoch was interrupted and its batches would be others now.
        """
        here = self.state_dict()
        state = {"world_size": self.world_size, **state}  # of an earlier version, which did not tell
        if 0 < state["count"] < state["length"] and any(state[key] != here[key] for key in here if key not in _PLACE):
            raise KQAError(
                f"the checkpoint stopped after {state['count']} of {state['length']} batches of an epoch with"
                f" --data.seed {state['seed']} in {state['world_size']} processes, and the data now make {len(self)}"
                f" others with --data.seed {self.seed} in {self.world_size}: to go on, pass the same table, the same"
                " --data flags and as many processes"
            )
        self.epoch, self.count = state["epoch"], state["count"]
        self.start = min(state["count"], len(self))

    def _share(self) -> list[list[int]]:
        batches = self._batches()
        missing = -len(batches) % self.world_size
        return [*batches, *([] for _ in range(missing))][self.rank :: self.world_size]

    def _batches(self) -> list[list[int]]:
        """Return the batches of all ranks in this epoch's order."""
        order = list(range(len(self.lengths)))
        if not self.shuffle:
            return self._fill(order)
        generator = random.Random(f"{self.seed}/{self.epoch}")
        generator.shuffle(order)
        if self.tokens_per_batch is not None:
            order.sort(key=lambda row: self.lengths[row])  # stable: rows of one length stay shuffled
        batches = self._fill(order)
        generator.shuffle(batches)
        return batches

    def _fill(self, order: Sequence[int]) -> list[list[int]]:
        if self.tokens_per_batch is None:
            return [[row] for row in order]
        batches: list[list[int]] = []
        longest = 0
        for row in order:
            longest = max(longest, self.lengths[row])
            if not batches or longest * (len(batches[-1]) + 1) > self.tokens_per_batch:
                batches.append([])
                longest = self.lengths[row]
            batches[-1].append(row)
        return batches


class ResumableLoader(DataLoader[Any]):
    """A DataLoader over an `ArticleBatchSampler` whose state says how many batches reached the training loop.

    The sampler alone cannot say that: loader workers draw from it ahead of the training. Lightning stores
    the state of the training loader in its checkpoints and brings it back. With another sampler
    (Lightning puts its own in place for ``overfit_batches``) there is no state to keep.
    """

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Hand out batches, each counted before; a generator for the same reason as the sampler's."""
        sampler = self.sampler
        first = sampler.start if isinstance(sampler, ArticleBatchSampler) else 0
        for count, batch in enumerate(super().__iter__(), start=first + 1):
            if isinstance(sampler, ArticleBatchSampler):
                sampler.count = count
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Return where the epoch stands."""
        return self.sampler.state_dict() if isinstance(self.sampler, ArticleBatchSampler) else {}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on after the batches of ``state``."""
        if state and isinstance(self.sampler, ArticleBatchSampler):
            self.sampler.load_state_dict(state)

import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kqa_lightning.data.sampling import ArticleBatchSampler, ResumableLoader
from kqa_lightning.errors import KQAError

LENGTHS = st.lists(st.integers(1, 50), min_size=1, max_size=40)
BUDGETS = st.none() | st.integers(1, 200)


def flat(batches: list[list[int]]) -> list[int]:
    return [row for batch in batches for row in batch]


@given(LENGTHS, BUDGETS, st.booleans(), st.integers(0, 3))
def test_every_row_once_within_the_budget_and_an_exact_length(
    lengths: list[int], budget: int | None, shuffle: bool, epoch: int
) -> None:
    sampler = ArticleBatchSampler(lengths, budget, shuffle=shuffle, seed=3)
    sampler.set_epoch(epoch)
    batches = list(sampler)
    assert sorted(flat(batches)) == list(range(len(lengths)))
    assert len(batches) == len(sampler)
    for batch in batches:
        padded = max(lengths[row] for row in batch) * len(batch)
        assert len(batch) == 1 or (budget is not None and padded <= budget)
    if not shuffle:
        assert flat(batches) == list(range(len(lengths)))


def test_order_follows_from_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        sampler = ArticleBatchSampler([5] * 30, 15, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(0, 0) == order(0, 0)
    assert len({str(order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1, 2)}) == 6
    # Not the order of the batches alone: other rows meet in them.
    assert {frozenset(batch) for batch in order(0, 0)} != {frozenset(batch) for batch in order(0, 1)}


def test_rows_of_like_length_share_a_batch() -> None:
    lengths = [(row * 37) % 100 + 1 for row in range(200)]
    sampler = ArticleBatchSampler(lengths, 400)
    padded = sum(max(lengths[row] for row in batch) * len(batch) for batch in sampler)
    assert sum(lengths) / padded > 0.95


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(("rows", "world_size"), [(23, 1), (23, 2), (23, 3), (7, 3), (1, 3)])
def test_ranks_share_an_epoch_in_equally_many_batches(rows: int, world_size: int, shuffle: bool) -> None:
    lengths = list(range(1, rows + 1))

    def sampler(**place: int) -> ArticleBatchSampler:
        return ArticleBatchSampler(lengths, 40 if rows > 7 else None, shuffle=shuffle, **place)

    whole = list(sampler())
    shares = [list(sampler(rank=rank, world_size=world_size)) for rank in range(world_size)]
    steps = -(-len(whole) // world_size)
    assert [len(share) for share in shares] == [steps] * world_size
    assert [len(sampler(rank=rank, world_size=world_size)) for rank in range(world_size)] == [steps] * world_size
    # Step by step what one process takes in as many micro-batches, and nothing where there is nothing left.
    dealt = [share[step] for step in range(steps) for share in shares]
    assert dealt == whole + [[]] * (steps * world_size - len(whole))


def loader(workers: int = 0, budget: int | None = 12) -> ResumableLoader:
    sampler = ArticleBatchSampler([1 + row % 5 for row in range(40)], budget, seed=1)
    generator = torch.Generator().manual_seed(0)
    return ResumableLoader(Rows(), batch_size=None, sampler=sampler, num_workers=workers, generator=generator)


class Rows(torch.utils.data.Dataset):
    """Gives back the indices it is asked for."""

    def __getitem__(self, rows: list[int]) -> torch.Tensor:
        return torch.tensor(rows)


def epochs_of(source: ResumableLoader, epochs: int, first: int = 0) -> list[list[int]]:
    """Batches in the way of Lightning: the iterator is made before the epoch is set, and never exhausted."""
    batches = []
    for epoch in range(first, first + epochs):
        iterator = iter(source)
        source.sampler.set_epoch(epoch)
        length = len(source) - source.sampler.start
        batches += [next(iterator).tolist() for _ in range(length)]
    return batches


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("handed_out", [1, 5, "last", "all"])
def test_an_interrupted_epoch_goes_on_with_its_next_batch(workers: int, handed_out: int | str) -> None:
    whole = epochs_of(loader(), 3)
    length = len(loader())
    count = {"last": length - 1, "all": length}.get(handed_out, handed_out)
    source = loader(workers)
    epochs_of(source, 1)
    iterator = iter(source)
    source.sampler.set_epoch(1)
    seen = [next(iterator).tolist() for _ in range(count)]
    assert seen == whole[length : length + count]
    state = pickle.loads(pickle.dumps(source.state_dict()))
    assert (state["epoch"], state["count"], state["length"]) == (1, count, length)

    resumed = loader(workers)
    resumed.load_state_dict(state)
    first = 2 if count == length else 1  # Lightning goes on with the next epoch where all batches were handed out
    assert epochs_of(resumed, 3 - first, first) == whole[length + count :]


def test_a_new_epoch_begins_at_its_start() -> None:
    source = loader()
    epochs_of(source, 1)
    assert source.state_dict()["count"] == len(source)
    source.sampler.set_epoch(0)  # the same epoch again, as Lightning says it on resuming
    assert source.state_dict()["count"] == len(source)
    source.sampler.set_epoch(1)
    assert (source.state_dict()["epoch"], source.state_dict()["count"]) == (1, 0)


def test_only_the_first_pass_after_resuming_is_shortened() -> None:
    source = loader()
    source.load_state_dict(source.state_dict() | {"count": 3})
    assert len(list(source)) == len(source) - 3
    assert len(list(source)) == len(source)


def test_other_data_cannot_go_on_in_mid_epoch() -> None:
    state = loader().state_dict() | {"count": 3}
    with pytest.raises(KQAError, match=r"stopped after 3 of \d+ batches"):
        loader(budget=None).load_state_dict(state)
    loader(budget=None).load_state_dict(state | {"count": state["length"]})


def test_another_order_cannot_go_on_in_mid_epoch() -> None:
    lengths = [3, 1, 2, 3, 1, 2]
    first = ArticleBatchSampler(lengths, seed=0)
    batches = iter(first)
    next(batches), next(batches)
    for other in (ArticleBatchSampler(lengths, seed=1), ArticleBatchSampler([3, 1, 2, 3, 1, 9], seed=0)):
        with pytest.raises(KQAError, match=r"2 of 6 batches.*--data\.seed"):
            other.load_state_dict(first.state_dict())


def test_another_number_of_processes_cannot_go_on_in_mid_epoch() -> None:
    """Four processes take three batches each of nine, and three take as many, but not the same ones."""
    state = ArticleBatchSampler([1] * 9, world_size=4).state_dict() | {"count": 1}
    three = ArticleBatchSampler([1] * 9, world_size=3)
    assert state["length"] == len(three) == 3
    with pytest.raises(KQAError, match=r"in 4 processes.* in 3:.* as many processes"):
        three.load_state_dict(state)
    three.load_state_dict(state | {"count": 3})
    del state["world_size"]
    three.load_state_dict(state)
    assert three.state_dict()["count"] == 1


def test_another_sampler_leaves_no_state() -> None:
    source = ResumableLoader(Rows(), batch_size=None, sampler=[[0], [1, 2]])
    assert [batch.tolist() for batch in source] == [[0], [1, 2]]
    assert source.state_dict() == {}
    source.load_state_dict({})


def test_batches_that_are_passed_over_come_empty_and_change_no_other() -> None:
    whole = list(ArticleBatchSampler([3] * 20, 9, shuffle=False))
    sampler = ArticleBatchSampler([3] * 20, 9, shuffle=False, passed_over=[0, 3])
    assert len(sampler) == len(whole)
    assert list(sampler) == [[] if number in (0, 3) else batch for number, batch in enumerate(whole)]
    share = ArticleBatchSampler([3] * 20, 9, shuffle=False, rank=1, world_size=2, passed_over=[0])
    assert list(share) == [[], *whole[3::2], []]  # numbers count the share's own batches

"""fit, stopped anywhere: going on gives the weights of an undisturbed run, bit for bit, in fp32 and in 4 bits."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from chains import START, Chains
from fault_table import Tally
from small_disk import small_disk
from small_runs import SmallRuns

KIND = "fit: kills, signals, full disks"
OPTIONS = (
    *("--trainer.max_epochs", "2", "--trainer.val_check_interval", "3", "--checkpoint.every_n_train_steps", "1"),
    *("--trainer.accumulate_grad_batches", "1"),
)
CHAINS, POINTS, DISKS = 4, 5, 4


def products(folder: Path, checkpoints: Sequence[str] = ("last", "best")) -> dict[str, object]:
    """Adapters as written, and what the checkpoints hold of weights, optimizer, score, data and random numbers."""
    found: dict[str, object] = {"adapter": (folder / "adapter/adapter_model.safetensors").read_bytes()}
    for name in checkpoints:
        checkpoint = torch.load(folder / f"checkpoints/{name}.ckpt", weights_only=True)
        found[f"{name} weights"] = _plain(checkpoint["state_dict"])
        found[f"{name} state"] = (checkpoint["global_step"], checkpoint["best_score"])
        found[f"{name} optimizer"] = _plain(checkpoint["optimizer_states"])
    for part in ("train_loader", "random_state", "other_random_states"):  # what the next epoch would begin with
        found[f"last {part}"] = _plain(torch.load(folder / "checkpoints/last.ckpt", weights_only=True)[part])
    return found


def _plain(value: object) -> object:
    """The same with the bytes of its tensors, which compare as one."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), value.contiguous().numpy().tobytes()
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


@pytest.fixture(scope="module", params=["nf4", "none"], ids=["4-bit", "fp32"])
def chains(request: pytest.FixtureRequest, runs: SmallRuns) -> Chains:
    words = ("fit", *OPTIONS, "--model.quantization", request.param)
    return Chains(runs, words, products, f"fit-{request.param}", START)


@pytest.mark.parametrize("seed", range(CHAINS))
def test_stopped_and_gone_on(chains: Chains, tally: Tally, seed: int) -> None:
    chains.stopped(seed, POINTS, tally)


@pytest.mark.parametrize("seed", range(DISKS))
def test_a_full_disk(chains: Chains, tally: Tally, tmp_path: Path, seed: int) -> None:
    size = random.Random(seed).randint(8, 5500)  # kilobytes; two checkpoints, an adapter and a scratch take 5,400
    with small_disk(tmp_path / "disk", size) as disk:
        folder = tmp_path / "disk" / "run"
        stopped = chains.full(folder, 1, tally, None if disk else size * 1024)
        if disk and stopped:
            chains.full(folder, 2, tally)  # and again, before there is room
            disk.grow()
        chains.finish(folder, tally, f"disk of {size} kB")

"""What the processes of a run tell one another."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy

from kqa_lightning.companions import Launcher

_Value = TypeVar("_Value")


def gathered(trainer: Trainer, value: _Value) -> list[_Value]:
    """The values that all processes of a run give, in the order of their ranks; each of them has to ask."""
    if trainer.world_size == 1:
        return [value]
    values: list[Any] = [None] * trainer.world_size
    torch.distributed.all_gather_object(values, value)
    return values


def largest(trainer: Trainer, *values: int) -> list[int]:
    """Of each of some whole numbers the largest that a process of the run gives; each of them has to ask."""
    if trainer.world_size == 1:
        return list(values)
    tensor = torch.tensor(values, dtype=torch.int64, device=trainer.strategy.root_device)
    torch.distributed.all_reduce(tensor, op=torch.distributed.ReduceOp.MAX)
    return tensor.tolist()


def launcher_of_others(trainer: Trainer) -> Launcher | None:
    """What starts the other processes of a command of this trainer, by the command line of this one; None for none."""
    strategy = trainer.strategy
    if not isinstance(strategy, DDPStrategy) or strategy.cluster_environment is None or trainer.world_size == 1:
        return None
    if strategy.cluster_environment.creates_processes_externally:
        return None
    return strategy.launcher if isinstance(strategy.launcher, Launcher) else None


def in_all_processes(trainer: Trainer, work: Callable[[], object]) -> None:
    """Do what takes several trainers in all processes of the first, which are started now where they are not yet.

    They stay connected, so that the trainers made in ``work`` find one another.
    """
    strategy = trainer.strategy

    def connected() -> None:
        if trainer.world_size > 1:
            strategy.setup_environment()
            strategy.barrier("all processes are there")
        work()

    if strategy.launcher is None:
        connected()
    else:
        strategy.launcher.launch(connected, trainer=trainer)


def lost_connection(error: RuntimeError) -> bool:
    """Whether another process of the run went away while this one waited for it."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return False
    return isinstance(error, torch.distributed.DistError) or "gloo/transport" in str(error)

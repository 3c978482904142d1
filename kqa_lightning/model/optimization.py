"""Optimizer and schedule: bitsandbytes' paged AdamW, and a linear warm-up and decay."""

import math
import warnings
from collections.abc import Iterable
from typing import Literal

import torch
from bitsandbytes.optim import PagedAdamW32bit
from torch.nn import Parameter
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from transformers import get_linear_schedule_with_warmup

OptimizerName = Literal["paged_adamw_32bit", "adamw"]


def make_optimizer(
    name: OptimizerName, parameters: Iterable[Parameter], learning_rate: float, weight_decay: float
) -> Optimizer:
    """AdamW on ``parameters``; the paged one keeps its state in memory a GPU can evict, and on a CPU is plain."""
    if name == "adamw":
        return AdamW(parameters, lr=learning_rate, weight_decay=weight_decay)
    warnings.filterwarnings("ignore", message="Paged optimizers are not supported on CPU")
    return PagedAdamW32bit(parameters, lr=learning_rate, weight_decay=weight_decay)


def make_schedule(optimizer: Optimizer, total_steps: int, warmup_ratio: float) -> LambdaLR:
    """Learning rate from 0 up over ``warmup_ratio`` of ``total_steps`` optimizer steps, then down to 0 at the last."""
    return get_linear_schedule_with_warmup(optimizer, math.ceil(total_steps * warmup_ratio), total_steps)


def impose(optimizer: Optimizer, schedule: LambdaLR, learning_rate: float, weight_decay: float) -> None:
    """Write learning rate and weight decay into restored states, which otherwise keep those of the first run."""
    schedule.base_lrs = [learning_rate] * len(optimizer.param_groups)
    for group, factor in zip(optimizer.param_groups, schedule.lr_lambdas, strict=True):
        group["initial_lr"] = learning_rate
        group["lr"] = learning_rate * factor(schedule.last_epoch)
        group["weight_decay"] = weight_decay


def without_paging(states: list[dict]) -> list[dict]:
    """Optimizer states with paged tensors copied to plain ones.

    A paged tensor carries its page's address as an attribute; saved, the attribute would come back on memory that
    is no page.
    """

    def plain(value: object) -> object:
        if isinstance(value, torch.Tensor):
            return value.detach().clone() if getattr(value, "is_paged", False) else value
        if isinstance(value, dict):
            return {key: plain(entry) for key, entry in value.items()}
        return value

    return [{key: plain(entry) for key, entry in state.items()} for state in states]

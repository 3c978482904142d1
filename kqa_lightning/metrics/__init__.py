"""Character F1 and exact match: pure functions in `functional`, torchmetrics classes here."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kqa_lightning.metrics.char_f1 import CharF1, ExactMatch

__all__ = ["CharF1", "ExactMatch"]


def __getattr__(name: str) -> object:
    """Import the classes on first use: ``kqa_lightning.metrics.functional`` alone loads no torch."""
    if name in __all__:
        return getattr(import_module("kqa_lightning.metrics.char_f1"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

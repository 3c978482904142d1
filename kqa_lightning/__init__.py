"""Fine-tune, run and ensemble causal language models on Korean question answering."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kqa_lightning.data.datamodule import KQADataModule
    from kqa_lightning.model.module import KQAModule

__version__ = "0.1.0"
__all__ = ["KQADataModule", "KQAModule", "__version__"]

_HOMES = {
    "KQADataModule": "kqa_lightning.data.datamodule",
    "KQAModule": "kqa_lightning.model.module",
}


def __getattr__(name: str) -> object:
    """Import the two public classes on first use: ``import kqa_lightning`` alone loads no torch."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

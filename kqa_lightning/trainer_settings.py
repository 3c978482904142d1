"""What is wrong with a setting of the trainer, told by the name of its option."""

import inspect
import re
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import StochasticWeightAveraging

from kqa_lightning.companions import Launcher
from kqa_lightning.errors import KQAError

# Of these Lightning takes 0: it divides by it, or does nothing and leaves without a word.
_AT_LEAST_ONE = ("accumulate_grad_batches", "check_val_every_n_epoch")
_ABOVE_ZERO = ("val_check_interval", "limit_train_batches", "limit_test_batches", "limit_predict_batches")
_DEFAULTS = {name: parameter.default for name, parameter in inspect.signature(Trainer.__init__).parameters.items()}


def check_settings(settings: Mapping[str, Any]) -> None:
    """Refuse what Lightning takes and this program cannot do.

    Args:
        settings: Those of the trainer, by name.

    Raises:
        KQAError: naming the option.
    """
    if settings.get("barebones"):
        raise KQAError(
            "--trainer.barebones true is not supported: it has neither checkpoints nor curves nor scores; leave it out"
        )
    callbacks = settings.get("callbacks")
    callbacks = callbacks if isinstance(callbacks, list) else [callbacks]
    if any(isinstance(callback, StochasticWeightAveraging) for callback in callbacks):
        raise KQAError(
            "--trainer.callbacks StochasticWeightAveraging is not supported: it takes its mean of the weights after the"
            " last of them were validated and saved, and that mean would be lost"
        )
    for name in _AT_LEAST_ONE:
        if (number := settings.get(name)) is not None and number < 1:
            raise KQAError(f"--trainer.{name} {number}: at least 1 is needed")
    for name in _ABOVE_ZERO:
        if settings.get(name) == 0:
            raise KQAError(f"--trainer.{name} 0: it is to be above 0")


def check_launcher(trainer: Trainer) -> None:
    """Refuse strategies that start processes otherwise than by the command line: spawn, fork and notebook.

    Their processes end with what they have learned, and the first, which did not take part, has nothing to go on with.

    Raises:
        KQAError: with the strategy to use instead.
    """
    launcher = trainer.strategy.launcher
    if launcher is not None and not isinstance(launcher, Launcher):
        name = getattr(trainer.strategy, "strategy_name", type(trainer.strategy).__name__)
        raise KQAError(
            f"--trainer.strategy {name} is not supported: the processes that it starts cannot hand back what they"
            " have learned; use --trainer.strategy ddp"
        )


def explain(error: Exception, settings: Mapping[str, Any]) -> KQAError:
    """What Lightning says of a setting, with the option in front where its words show which one it is.

    Args:
        error: Lightning's.
        settings: Those of the trainer, by name.
    """
    text = str(error)
    places: dict[str, int] = {}
    for name, value in settings.items():
        if value == _DEFAULTS.get(name):
            continue
        words = [name, value] if isinstance(value, str) and value.isidentifier() else [name]
        found = [match.start() for word in words if (match := re.search(rf"\b{word}\b", text))]
        if found:
            places[name] = min(found)
    if not places:
        return KQAError(f"--trainer: {text}")
    first = min(places, key=lambda name: places[name])
    value = f" {settings[first]}" if isinstance(settings[first], str | int | float) else ""
    return KQAError(f"--trainer.{first}{value}: {text}")

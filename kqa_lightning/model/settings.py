"""The ranges of the model's numeric settings, checked before anything is loaded."""

from typing import Any

from kqa_lightning.errors import KQAError
from kqa_lightning.model.base import LoRA

# Setting: least value, largest value (None for no limit), whether the least itself is allowed.
_RANGES: dict[str, tuple[float, float | None, bool]] = {
    "learning_rate": (0, None, True),
    "weight_decay": (0, None, True),
    "warmup_ratio": (0, 1, True),
    "max_new_tokens": (1, None, True),
    "lora.r": (1, None, True),
    "lora.alpha": (0, None, False),
    "lora.dropout": (0, 1, True),
}


def check_ranges(lora: LoRA, **settings: float) -> None:
    """Refuse settings that no training or answering could use.

    Args:
        lora: Shape of the adapters.
        settings: learning_rate, weight_decay, warmup_ratio, max_new_tokens.

    Raises:
        KQAError: naming the flag, its value and what is allowed.
    """
    values: dict[str, Any] = {**settings, "lora.r": lora.r, "lora.alpha": lora.alpha, "lora.dropout": lora.dropout}
    for name, value in values.items():
        least, most, closed = _RANGES[name]
        # Written so that NaN is refused too.
        if not ((value > least or (closed and value == least)) and (most is None or value <= most)):
            upper = "" if most is None else f" and at most {most:g}"
            lower = f"at least {least:g}" if closed else f"above {least:g}"
            raise KQAError(f"--model.{name} {value}: it is to be {lower}{upper}")

"""The ranges of the model's settings, checked before anything is loaded."""

from collections.abc import Collection
from typing import Any, get_args

from kqa_lightning.data.answer_rules import ANSWER_RULES, AnswerRule
from kqa_lightning.errors import KQAError
from kqa_lightning.model.base import LoRA
from kqa_lightning.model.decoding import Decoding, DecodingMethod

# Setting: least value, largest value (None for no limit), whether the least itself is allowed.
_RANGES: dict[str, tuple[float, float | None, bool]] = {
    "learning_rate": (0, None, True),
    "weight_decay": (0, None, True),
    "warmup_ratio": (0, 1, True),
    "max_new_tokens": (1, None, True),
    "num_candidates": (1, 256, True),
    "temperature": (0, 100, False),
    "top_p": (0, 1, False),
    "lora.r": (1, None, True),
    "lora.alpha": (0, None, False),
    "lora.dropout": (0, 1, True),
}


def check_ranges(lora: LoRA, **settings: float) -> None:
    """Refuse settings that no training could use.

    Args:
        lora: Shape of the adapters.
        settings: learning_rate, weight_decay, warmup_ratio.

    Raises:
        KQAError: naming the flag, its value and what is allowed.
    """
    _check({**settings, "lora.r": lora.r, "lora.alpha": lora.alpha, "lora.dropout": lora.dropout})


def make_decoding(
    max_new_tokens: int, num_candidates: int, method: DecodingMethod, temperature: float, top_p: float, seed: int
) -> Decoding:
    """How answers are chosen.

    Raises:
        KQAError: naming the flag, its value and what is allowed.
    """
    _check(
        {
            "max_new_tokens": max_new_tokens,
            "num_candidates": num_candidates,
            "temperature": temperature,
            "top_p": top_p,
        }
    )
    if method not in get_args(DecodingMethod):
        raise KQAError(f"--model.decoding {method}: it is one of {', '.join(get_args(DecodingMethod))}")
    return Decoding(max_new_tokens, num_candidates, method, temperature, top_p, seed)


def choose_rules(rules: Collection[AnswerRule] | None) -> list[AnswerRule]:
    """The rules that apply, in the order of their application.

    Args:
        rules: Some of them; None for all.

    Raises:
        KQAError: naming those that there are.
    """
    unknown = [rule for rule in rules or () if rule not in ANSWER_RULES]
    if unknown:
        raise KQAError(f"--model.answer_rules {', '.join(unknown)}: the rules are {', '.join(ANSWER_RULES)}")
    return [rule for rule in ANSWER_RULES if rules is None or rule in rules]


def _check(values: dict[str, Any]) -> None:
    for name, value in values.items():
        least, most, closed = _RANGES[name]
        # Written so that NaN is refused too.
        if not ((value > least or (closed and value == least)) and (most is None or value <= most)):
            upper = "" if most is None else f" and at most {most:g}"
            lower = f"at least {least:g}" if closed else f"above {least:g}"
            raise KQAError(f"--model.{name} {value}: it is to be {lower}{upper}")

"""Finds in a text what only the test split may have: patterns and names."""

import re
from collections import defaultdict
from collections.abc import Iterable

from synthetic_news import all_patterns, held_out_patterns, pattern_regex, reserved_names


class HeldOutPatterns:
    """Finds held-out patterns, trying a regex only where its longest literal occurs.

    Args:
        names: The patterns; None for all that are held out.
    """

    def __init__(self, names: Iterable[str] | None = None) -> None:
        self._by_literal: dict[str, list[re.Pattern[str]]] = defaultdict(list)
        for name in sorted(held_out_patterns() if names is None else names):
            template = all_patterns()[name]
            literals = [template.head, *[literal for _, _, literal in template.parts]]
            self._by_literal[max(literals, key=len)].append(pattern_regex(name))

    def occur_in(self, text: str) -> bool:
        """Whether any of them does."""
        return any(
            regex.search(text) for literal, regexes in self._by_literal.items() if literal in text for regex in regexes
        )


def names_in(text: str) -> set[str]:
    """The names of the test split that occur in a text."""
    names = reserved_names()
    lengths = {len(name) for name in names}
    parts = (text[start : start + length] for length in lengths for start in range(len(text) - length + 1))
    return set(names.intersection(parts))

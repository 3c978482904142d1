"""All the domains, and look-ups over their patterns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from . import patterns_business, patterns_macro, patterns_people, patterns_results
from .templates import Domain, Template

# A domain with more relations appears more often.
DOMAINS: tuple[Domain, ...] = (
    patterns_results.RESULTS,
    patterns_results.RESULTS,
    patterns_results.MARKET,
    patterns_business.CONTRACTS,
    patterns_business.CONTRACTS,
    patterns_business.INVESTMENT,
    patterns_business.PRODUCTS,
    patterns_business.PRODUCTS,
    patterns_people.PEOPLE,
    patterns_people.PEOPLE,
    patterns_people.DEALS,
    patterns_people.STARTUP,
    patterns_people.DISPUTES,
    patterns_macro.TRADE,
    patterns_macro.MONEY,
    patterns_macro.GOVERNMENT,
    patterns_macro.HOUSING,
    patterns_macro.FINANCE,
)
# Pairs of frames that would answer each other's questions about the same company.
CONFLICTS: frozenset[frozenset[str]] = frozenset(
    frozenset(pair)
    for pair in (
        ("stockup", "stockdown"),
        ("appoint", "quote"),
        ("hiring", "factory"),
        ("hiring", "research"),
    )
)


def _templates() -> Iterator[Template]:
    for domain in {domain.name: domain for domain in DOMAINS}.values():
        yield from domain.fillers
        for frame in domain.frames:
            yield from frame.sentences
            for ask in frame.asks:
                yield from ask.questions


@lru_cache(maxsize=1)
def all_patterns() -> dict[str, Template]:
    """Return every sentence and question pattern by its id."""
    return {template.id: template for template in sorted(_templates(), key=lambda t: t.id)}


@lru_cache(maxsize=1)
def held_out_patterns() -> frozenset[str]:
    """Return the ids of the patterns that only the test split uses."""
    return frozenset(name for name, template in all_patterns().items() if template.held_out)


@lru_cache(maxsize=4096)
def pattern_regex(pattern_id: str) -> re.Pattern[str]:
    """Return the pattern's literal text, with slots as wildcards within a sentence."""
    return all_patterns()[pattern_id].regex()

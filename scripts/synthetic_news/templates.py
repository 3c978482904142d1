"""The little language patterns are written in, and its compilation.

``{slot}`` is a value, ``{slot:은}`` a value with the fitting particle, ``[a|b]`` a choice
that is expanded into patterns of their own, and ``!`` at the start holds the pattern out
for the test split. A question without a question mark is a noun phrase; it is completed
with every ending of its answer type.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from .particles import attach, particle

_SLOT = re.compile(r"\{(\w+)(?::(\w+))?\}")
_CHOICE = re.compile(r"\[([^\]]*)\]")
# A slot's value may hold a decimal point, but no full stop before a space or the end.
_WILDCARD = r"(?:(?![.?!](?:\s|$)).)+?"
_PARTICLE_WORDS = ("한", "트")  # one with a final consonant, one without

_ENDINGS: dict[str, tuple[str, ...]] = {
    "money": ("?", " 얼마인가?", " 얼마인가요?", " 얼마입니까?", " 얼마일까?"),
    "percent": ("?", " 몇 %인가?", " 몇 퍼센트인가?", " 얼마인가?", " 몇 %인가요?"),
    "number": ("?", " 얼마인가?", " 얼마인가요?", " 어느 정도인가?"),
    "people": ("?", " 몇 명인가?", " 몇 명인가요?", " 얼마인가?"),
    "person": ("?", " 누구인가?", " 누구인가요?", " 누구입니까?"),
    "company": ("?", " 어디인가?", " 어디인가요?", " 어느 곳인가?"),
    "place": ("?", " 어디인가?", " 어디인가요?", " 어디입니까?"),
    "time": ("?", " 언제인가?", " 언제인가요?", " 언제입니까?"),
    "thing": ("?", " 무엇인가?", " 무엇인가요?", " 무엇입니까?"),
}


@dataclass(frozen=True)
class Template:
    """A compiled pattern: a literal head, then (slot, particle, literal) parts."""

    id: str
    head: str
    parts: tuple[tuple[str, str, str], ...]
    slots: frozenset[str]
    held_out: bool

    def render(self, values: Mapping[str, str]) -> list[str]:
        """Return the text in pieces; each slot's value is one piece."""
        pieces = [self.head] if self.head else []
        for slot, kind, literal in self.parts:
            value = values[slot]
            pieces.append(value)
            if kind:
                literal = particle(value, kind) + literal
            if literal:
                pieces.append(literal)
        return pieces

    def regex(self) -> re.Pattern[str]:
        """Return the pattern with every slot as a wildcard within a sentence."""
        source = re.escape(self.head)
        for _, kind, literal in self.parts:
            forms = {particle(word, kind) for word in _PARTICLE_WORDS} if kind else {""}
            source += _WILDCARD + f"(?:{'|'.join(sorted(forms))})" + re.escape(literal)
        return re.compile(source)


@dataclass(frozen=True)
class Ask:
    """The question patterns whose answer is the value of one slot."""

    slot: str
    questions: tuple[Template, ...]


@dataclass(frozen=True)
class Frame:
    """A kind of fact: what it is about (slot ``e``), its values, sentences and questions."""

    name: str
    kinds: Mapping[str, str]
    sentences: tuple[Template, ...]
    asks: tuple[Ask, ...]


@dataclass(frozen=True)
class Domain:
    """Frames that make up one kind of article, with sentences that state no fact."""

    name: str
    frames: tuple[Frame, ...]
    fillers: tuple[Template, ...]
    industries: tuple[str, ...] = field(default=())


def _compile(pattern_id: str, text: str, held_out: bool) -> Template:
    pieces = _SLOT.split(text)
    parts = tuple((pieces[i], pieces[i + 1] or "", pieces[i + 2]) for i in range(1, len(pieces), 3))
    slots = frozenset(slot for slot, _, _ in parts)
    return Template(pattern_id, pieces[0], parts, slots, held_out)


def _expand(text: str) -> list[str]:
    """Return ``text`` with every combination of its choices."""
    pieces = _CHOICE.split(text)
    options = [piece.split("|") if i % 2 else [piece] for i, piece in enumerate(pieces)]
    return ["".join(combination) for combination in itertools.product(*options)]


def _lines(block: str) -> list[str]:
    return [line.strip() for line in block.splitlines() if line.strip()]


def compile_block(prefix: str, block: str) -> tuple[Template, ...]:
    """Compile one pattern a line; an id is the prefix, the line and the choice made."""
    templates = []
    for number, line in enumerate(_lines(block)):
        held_out = line.startswith("!")
        for variant, text in enumerate(_expand(line.removeprefix("!"))):
            templates.append(_compile(f"{prefix}{number}.{variant}", text, held_out))
    return tuple(templates)


def _questions(prefix: str, answer_type: str, block: str) -> tuple[Template, ...]:
    """Compile question patterns, completing noun phrases with the type's endings."""
    completed = []
    for line in _lines(block):
        if line.endswith("?"):
            completed.append(line)
        else:
            endings = "|".join(_ENDINGS[answer_type])
            completed += [f"{attach(phrase, '은')}[{endings}]" for phrase in _expand(line)]
    return compile_block(prefix, "\n".join(completed))


def frame(name: str, kinds: str, sentences: str, **asks: tuple[str, str]) -> Frame:
    """Build a frame from ``slot=kind`` pairs, sentence lines and (type, questions) by slot."""
    return Frame(
        name=name,
        kinds=dict(pair.split("=") for pair in kinds.split()),
        sentences=compile_block(f"{name}.s", sentences),
        asks=tuple(
            Ask(slot, _questions(f"{name}.{slot}.q", answer_type, block)) for slot, (answer_type, block) in asks.items()
        ),
    )

"""What a sentence pattern states, and how it can be asked for."""

from dataclasses import dataclass
from functools import cache

from .patterns import DOMAINS
from .templates import Frame, Template

FRAMES = {frame.name: frame for domain in DOMAINS for frame in domain.frames}
PAIR_SUFFIX = "2"


@dataclass(frozen=True)
class AskOption:
    """A question that a sentence pattern answers, with the fitting question patterns."""

    slot: str
    seen: tuple[Template, ...]
    held_out: tuple[Template, ...]


@dataclass(frozen=True)
class Fact:
    """A value stated by a sentence, and the ways to ask for it."""

    option: AskOption
    values: dict[str, str]
    sentence: Template

    @property
    def answer(self) -> str:
        """The value that is asked for."""
        return self.values[self.option.slot]


class Record:
    """What an article says about one entity in one frame."""

    def __init__(self, frame: Frame, entity: str, context: dict[str, str]) -> None:
        self.frame = frame
        self.values = {**context, "e": entity}
        self.stated: set[str] = set()


@cache
def sentence_choices(name: str) -> tuple[tuple[Template, ...], tuple[Template, ...]]:
    """Return the seen and the held-out sentence patterns of a frame."""
    frame = FRAMES[name]
    seen = tuple(t for t in frame.sentences if not t.held_out)
    return seen, tuple(t for t in frame.sentences if t.held_out)


@cache
def ask_options(name: str, slots: frozenset[str]) -> tuple[AskOption, ...]:
    """Return what can be asked about a sentence with these ``slots``."""
    options = []
    for ask in FRAMES[name].asks:
        fitting = [q for q in ask.questions if q.slots <= slots]
        seen = tuple(q for q in fitting if not q.held_out)
        if ask.slot in slots and seen:
            held_out = tuple(q for q in fitting if q.held_out)
            options.append(AskOption(ask.slot, seen, held_out))
    return tuple(options)


def is_pair(template: Template) -> bool:
    """Whether a sentence is about two entities."""
    return "e" + PAIR_SUFFIX in template.slots

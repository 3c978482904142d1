"""Articles of economic news with questions, drawn from the patterns."""

import random
from collections.abc import Sequence

from .articles import Article, Split
from .facts import FRAMES, PAIR_SUFFIX, Fact, Record, ask_options, is_pair, sentence_choices
from .names import (
    BANKS,
    BROKERS,
    BUILDERS,
    INDUSTRIES,
    RESERVED_SAVERS,
    STARTUPS,
    NameSource,
    contains_reserved,
    pick,
)
from .patterns import CONFLICTS, DOMAINS
from .questions import QuestionWriter
from .templates import Domain, Template
from .values import VALUES, bank_product

MIN_SENTENCES = 4
MAX_SENTENCES = 8
MIN_CHARACTERS = 170
MAX_CHARACTERS = 430
_LENGTH_RANGE = (200, 390)
_FILLER_SHARE = 0.55
_OTHER_DOMAIN_SHARE = 0.25
_HELD_SENTENCE_SHARE = 0.14
_SENTENCE_TRIES = 6
_OPENING_SHARE = 0.2
_LINK_SHARE = 0.1

_INDUSTRIES: dict[str, Sequence[str]] = {
    "bank": BANKS,
    "broker": BROKERS,
    "builder": BUILDERS,
    "investor": BROKERS,
    "startup": STARTUPS,
}
_OPENINGS = (
    "{td} 업계에 따르면 ",
    "{td} 공개된 내용을 보면 ",
    "관련 업계에 따르면 ",
    "업계 관계자에 따르면 ",
    "시장 관계자들에 따르면 ",
    "공개된 자료에 따르면 ",
    "최근 발표된 자료를 보면 ",
    "취재 결과 ",
    "업계의 예상대로 ",
    "시장의 관심 속에 ",
)
_LINKS = ("한편 ", "또 ", "이와 함께 ", "아울러 ", "이 밖에 ", "이어 ")


class NewsGenerator:
    """Draws articles; the same seed and split give the same articles everywhere."""

    def __init__(self, seed: int, split: Split) -> None:
        self._rng = random.Random(f"{split}-{seed}")
        self._questions = QuestionWriter(self._rng, split)
        self._is_test = split == "test"
        self._names = NameSource(self._rng, reserved=self._is_test)

    def article(self, max_questions: int | None = None, max_sentences: int = MAX_SENTENCES) -> Article:
        """Return a new article with one question per fact, or with at most ``max_questions``.

        With a limit, some articles ask for the same fact twice in different words. Fewer than
        ``MIN_SENTENCES`` sentences make a brief instead of an article: easier reading to begin with.
        """
        while True:
            article = self._draft(max_questions, max_sentences)
            if article is None:
                continue
            if self._is_test or not self._mentions_reserved(article):
                return article

    @staticmethod
    def _mentions_reserved(article: Article) -> bool:
        # Answers are parts of the text.
        return contains_reserved("\n".join([article.text, *[q.text for q in article.questions]]))

    def _draft(self, max_questions: int | None, max_sentences: int) -> Article | None:
        """Return an article, or None if it came out too long or too short."""
        rng = self._rng
        self._names.start_article()
        domain = pick(rng, DOMAINS)
        target = _LENGTH_RANGE[0] + rng.random() * (_LENGTH_RANGE[1] - _LENGTH_RANGE[0])
        records = self._plan(domain)
        sentences, facts = self._write(records, domain, target, max_sentences)
        pieces: list[str] = []
        for sentence in sentences:
            if pieces:
                pieces.append(" ")
            pieces.extend(sentence)
        length = sum(map(len, pieces))
        brief = max_sentences < MIN_SENTENCES
        fits = brief or (MIN_CHARACTERS <= length <= MAX_CHARACTERS and len(sentences) >= MIN_SENTENCES)
        if not fits or len(facts) < 2:
            return None
        questions = self._questions.ask(facts, max_questions)
        article = Article(tuple(pieces), questions)
        assert all(question.answer in article.text for question in questions)
        return article

    def _plan(self, domain: Domain) -> list[Record]:
        """Choose frames and entities so that each relation holds for several entities."""
        rng = self._rng
        frames = list({pick(rng, domain.frames).name: None for _ in range(2 + int(rng.random() * 2))})
        if rng.random() < _OTHER_DOMAIN_SHARE:
            other = pick(rng, pick(rng, DOMAINS).frames).name
            if other not in frames:
                frames.append(other)
        per_kind = 4 if len(frames) == 1 else 2 + int(rng.random() * 2)
        context = {"t": VALUES["period"](rng), "td": f"{1 + int(rng.random() * 28)}일"}
        entities: dict[str, list[str]] = {}
        records = []
        for name in frames:
            kind = FRAMES[name].kinds["e"]
            if kind not in entities:
                entities[kind] = self._entities(kind, per_kind, domain)
            for index, entity in enumerate(entities[kind]):
                records.append((index, Record(FRAMES[name], entity, context)))
        if rng.random() < 0.5:  # entity by entity instead of relation by relation
            records.sort(key=lambda item: item[0])
        return self._without_conflicts([record for _, record in records])

    @staticmethod
    def _without_conflicts(records: list[Record]) -> list[Record]:
        kept: list[Record] = []
        for record in records:
            name, entity = record.frame.name, record.values["e"]
            if not any(
                other.values["e"] == entity and frozenset((other.frame.name, name)) in CONFLICTS for other in kept
            ):
                kept.append(record)
        return kept

    def _entities(self, kind: str, count: int, domain: Domain) -> list[str]:
        """Return ``count`` different entities, none a part of another."""
        entities: list[str] = []
        while len(entities) < count:
            new = self._value(kind, domain)
            if not any(new in old or old in new for old in entities):
                entities.append(new)
        return entities

    def _value(self, kind: str, domain: Domain) -> str:
        names = self._names
        if kind == "company":
            return names.company(domain.industries or INDUSTRIES)
        if kind in _INDUSTRIES:
            return names.company(_INDUSTRIES[kind])
        if kind == "person":
            return names.person()
        if kind == "product":
            return names.product()
        if kind == "estate":
            return names.estate()
        if kind == "bankproduct" and self._is_test:
            return bank_product(self._rng, RESERVED_SAVERS)
        return VALUES[kind](self._rng)

    def _write(
        self, records: list[Record], domain: Domain, target: float, max_sentences: int
    ) -> tuple[list[list[str]], list[Fact]]:
        """Return the sentences (in pieces) and the facts they state."""
        rng = self._rng
        sentences: list[list[str]] = []
        facts: list[Fact] = []
        length = 0
        limit = max_sentences - 1
        for record in records * 3:  # again with what is left to say
            if len(sentences) == limit or (length > target and len(sentences) >= MIN_SENTENCES):
                break
            template = self._sentence(record, records)
            if template is None:
                continue
            sentence = self._state(template, record, records, domain, facts)
            sentence = self._opening(bool(sentences), record) + sentence
            length += sum(map(len, sentence)) + 1
            sentences.append(sentence)
        if rng.random() < _FILLER_SHARE:
            filler = pick(rng, domain.fillers)
            context = records[0].values
            sentences.insert(int(rng.random() * (len(sentences) + 1)), filler.render(context))
        return sentences, facts

    def _opening(self, may_link: bool, record: Record) -> list[str]:
        """Return how the sentence is introduced, mostly not at all."""
        chance = self._rng.random()
        if chance < _OPENING_SHARE:
            opening = pick(self._rng, _OPENINGS)
            if opening.startswith("{td}"):
                return [record.values["td"], opening.removeprefix("{td}")]
            return [opening]
        if may_link and chance < _OPENING_SHARE + _LINK_SHARE:
            return [pick(self._rng, _LINKS)]
        return []

    def _sentence(self, record: Record, records: list[Record]) -> Template | None:
        """Return a sentence pattern that states only new values, if one is found soon."""
        rng = self._rng
        seen, held_out = sentence_choices(record.frame.name)
        for _ in range(_SENTENCE_TRIES):
            use_held_out = self._is_test and held_out and rng.random() < _HELD_SENTENCE_SHARE
            template = pick(rng, held_out if use_held_out else seen)
            if not record.stated.isdisjoint(template.slots):
                continue
            if not is_pair(template) or self._partner(template, record, records):
                return template
        return None

    @staticmethod
    def _partner(template: Template, record: Record, records: list[Record]) -> Record | None:
        """Return another entity of the frame about which the sentence says something new."""
        stated = {slot[:-1] for slot in template.slots if slot.endswith(PAIR_SUFFIX)}
        for other in records:
            alike = other.frame is record.frame and other is not record
            if alike and other.stated.isdisjoint(stated):
                return other
        return None

    def _state(
        self,
        template: Template,
        record: Record,
        records: list[Record],
        domain: Domain,
        facts: list[Fact],
    ) -> list[str]:
        """Render the sentence and note its facts."""
        if not is_pair(template):
            self._fill(record, template.slots, domain)
            self._note(template, record, template.slots, facts)
            return template.render(record.values)
        partner = self._partner(template, record, records)
        assert partner is not None
        second = frozenset(s[:-1] for s in template.slots if s.endswith(PAIR_SUFFIX))
        first = frozenset(s for s in template.slots if not s.endswith(PAIR_SUFFIX))
        shared = first - second  # such as the period
        self._fill(record, first, domain)
        self._fill(partner, second, domain)
        self._note(template, record, first, facts)
        self._note(template, partner, second | (shared & {"t"}), facts)
        values = dict(record.values)
        values.update({slot + PAIR_SUFFIX: partner.values[slot] for slot in second})
        return template.render(values)

    def _fill(self, record: Record, slots: frozenset[str], domain: Domain) -> None:
        kinds, values = record.frame.kinds, record.values
        for slot in sorted(slots - values.keys()):
            values[slot] = self._value(kinds[slot], domain)

    @staticmethod
    def _note(template: Template, record: Record, slots: frozenset[str], facts: list[Fact]) -> None:
        record.stated.update(slots - {"e", "t", "td"})
        for option in ask_options(record.frame.name, slots):
            facts.append(Fact(option, record.values, template))

"""Rendered prompts as token ids: what questions share, each question, and what is to be learned."""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain

from transformers import PreTrainedTokenizerBase

from kqa_lightning.data.answer_rules import clean_answer
from kqa_lightning.data.cache import fingerprint
from kqa_lightning.data.control_tokens import check_text_reaches_no_control, find_controls
from kqa_lightning.data.cutting import ArticleCutter
from kqa_lightning.data.prompts import BOS, Prompt, Segment, Stage
from kqa_lightning.data.questions import Question
from kqa_lightning.data.text_encoder import TextEncoder
from kqa_lightning.errors import KQAError


@dataclass(frozen=True)
class EncodedQuestion:
    """One question of an article.

    Args:
        row: its index in the table it came from.
        question_ids: all ids between the article and the answer, turn markers included.
        answer_ids: the gold answer and the end tokens to be learned; empty where no gold is known.
        lost: whether the article states the answer, and what is left of it after a cut does not.
    """

    row: int
    question_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]
    lost: bool = False

    def __len__(self) -> int:
        """Tokens of the question and its answer."""
        return len(self.question_ids) + len(self.answer_ids)


@dataclass(frozen=True)
class EncodedArticle:
    """An article and questions about it.

    Args:
        prefix_ids: BOS, the system's text and the article: the same for all its questions.
        questions: one or more.
        cut: whether the article was too long and lost a part, its end where nothing speaks against it.
    """

    prefix_ids: tuple[int, ...]
    questions: tuple[EncodedQuestion, ...]
    cut: bool

    def __len__(self) -> int:
        """Tokens of the packed row: the article once and all its questions."""
        return len(self.prefix_ids) + sum(map(len, self.questions))


class TooLong(KQAError):
    """Questions that leave no room for an article.

    Args:
        rows: their indices in the table.
        max_length: the limit they exceed, in tokens.
    """

    def __init__(self, rows: Sequence[int], max_length: int) -> None:
        super().__init__(f"too long for max_length {max_length} even without its article: row {rows[0] + 1}")
        self.rows = list(rows)


class PromptEncoder:
    """One tokenizer and one prompt family.

    Control tokens come from the template alone, and every sequence begins with exactly one BOS where the
    tokenizer has one. Article, question and answer are encoded as plain text, each apart: what is
    supervised is what the model has to produce after the prompt, and ids decode to the rendered text to
    the byte.

    Args:
        tokenizer: a fast tokenizer.
        prompt: the family's template.
        max_length: the most tokens of an article with one question (and, in training, its answer).

    Raises:
        KQAError: where the tokenizer lacks a control token of the template, or spells one out of plain text.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, prompt: Prompt, max_length: int) -> None:
        self.tokenizer = tokenizer
        self.prompt = prompt.bind(tokenizer)
        self.max_length = max_length
        self.text = TextEncoder(tokenizer)
        stages: tuple[Stage, ...] = ("train", "inference")
        segments = [one for stage in stages for one in self._prefix("", stage) + self.prompt.question("", stage)]
        self._controls = find_controls([*segments, *self.prompt.ending()], tokenizer, type(prompt).__name__)
        check_text_reaches_no_control(self.text, self._controls, tokenizer)
        self.end_ids = tuple(dict.fromkeys(self._controls[s.text] for s in self.prompt.ending() if s.control))
        # Padding is told from text by position, so any id does.
        pad_id = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        self.pad_id: int = 0 if pad_id is None else pad_id

    def encode_articles(
        self, articles: Sequence[tuple[str, Sequence[Question]]], stage: Stage
    ) -> list[list[EncodedArticle]]:
        """Encode articles with their questions in one go.

        An article that does not fit ``max_length`` together with its longest question loses its end, at a
        sentence end where there is one; in training, sentences that state an answer stay and others go
        instead. Questions and answers are never cut. At inference the gold answer plays no part in this, so
        that what a model is asked does not depend on it. A cut article can therefore differ between the two,
        where its beginning does not state the answer or is longer without room for one.

        Args:
            articles: each with its questions.
            stage: whether the training or the inference prompt is used.

        Returns:
            For each article, itself with its questions; in training several times, each with other questions,
            where one cut cannot keep the answers of all of them.

        Raises:
            TooLong: where questions leave no room for the article; all of them are named.
        """
        flat = [question for _, questions in articles for question in questions]
        prefixes = self._encode([self._prefix(context, stage) for context, _ in articles])
        asked = self._encode([self.prompt.question(question.text, stage) for question in flat])
        ending = self.prompt.ending()
        golds = self._encode([[] if one.answer is None else [Segment(one.answer), *ending] for one in flat])
        encoded = iter(
            EncodedQuestion(question.row, question_ids, answer_ids)
            for question, question_ids, answer_ids in zip(flat, asked, golds, strict=True)
        )
        result: list[list[EncodedArticle]] = []
        too_long: list[int] = []
        for (context, questions), prefix_ids in zip(articles, prefixes, strict=True):
            own = tuple(next(encoded) for _ in questions)
            if len(prefix_ids) <= self.max_length - max(_counted(question, stage) for question in own):
                result.append([EncodedArticle(prefix_ids, own, cut=False)])
            elif cut := self._cut(context, questions, own, stage):
                result.append(cut)
            else:
                too_long += self._without_room(own, stage)
        if too_long:
            raise TooLong(too_long, self.max_length)
        return result

    def decode_answer(self, token_ids: Sequence[int]) -> tuple[str, str]:
        """Return the answer in generated ids, and the raw text it was taken from.

        The raw text ends before the first end token; what of it is the answer, `clean_answer` says.
        """
        raw = self.decode_raw(token_ids)
        return clean_answer(raw, self.prompt.stop_strings), raw

    def decode_raw(self, token_ids: Sequence[int]) -> str:
        """Return the text of generated ids before the first end token."""
        end = next((index for index, one in enumerate(token_ids) if one in self.end_ids), len(token_ids))
        return self.text.decode(token_ids[:end])

    def fingerprint(self, stage: Stage) -> str:
        """Return a hash of all that ids depend on: tokenizer, prompt, max_length."""
        # Texts that show what a prompt does with them, and where it puts them.
        pieces = (
            self._prefix("Article a.  B", stage),
            self.prompt.question("Question q?", stage),
            self.prompt.ending(),
        )
        controls = repr(sorted(self._controls.items()))
        return fingerprint(
            *(self.tokenizer.backend_tokenizer.to_str(), repr(self.prompt), repr(pieces), controls),
            *(str(self.max_length), *_sources(type(self.prompt))),
        )

    def _prefix(self, context: str, stage: Stage) -> list[Segment]:
        """The prompt's prefix, with the BOS that a tokenizer adds where the template is silent about it."""
        segments = self.prompt.prefix(context, stage)
        return segments if BOS in segments or self.tokenizer.bos_token is None else [BOS, *segments]

    def _encode(self, batch: Sequence[Sequence[Segment]]) -> list[tuple[int, ...]]:
        texts = list(dict.fromkeys(s.text for segments in batch for s in segments if not s.control))
        ids = dict(zip(texts, self.text.encode_batch(texts), strict=True))
        return [
            tuple(chain.from_iterable([self._controls[s.text]] if s.control else ids[s.text] for s in segments))
            for segments in batch
        ]

    def _cut(
        self, context: str, questions: Sequence[Question], encoded: Sequence[EncodedQuestion], stage: Stage
    ) -> list[EncodedArticle]:
        """The article cut for its questions, nothing where they leave no room for it."""

        def encode(kept: str) -> tuple[int, ...]:
            return self._encode([self._prefix(kept, stage)])[0]

        cutter = ArticleCutter(self.text.token_starts, encode, template=len(encode("")))
        places = [question.places(context) for question in questions]
        rooms = [self.max_length - _counted(question, stage) for question in encoded]
        groups = cutter.cut_for_each(context, rooms, places if stage == "train" else [()] * len(places))
        return [
            EncodedArticle(
                cut.ids,
                # One of several places that were guessed will do.
                tuple(replace(encoded[k], lost=bool(places[k]) and not any(map(cut.holds, places[k]))) for k in group),
                cut=True,
            )
            for group, cut in groups
            if cut
        ]

    def _without_room(self, questions: Sequence[EncodedQuestion], stage: Stage) -> list[int]:
        longest = max(_counted(question, stage) for question in questions)
        template = len(self._encode([self._prefix("", stage)])[0])
        alone = [q.row for q in questions if template + _counted(q, stage) >= self.max_length]
        return alone or [q.row for q in questions if _counted(q, stage) == longest]


def _sources(kind: type) -> Iterator[str]:
    """The source of the modules that a class and those it inherits from are written in, where there are any."""
    for module in dict.fromkeys(inspect.getmodule(one) for one in kind.__mro__):
        with suppress(OSError, TypeError):  # built in, or typed into an interpreter
            yield inspect.getsource(module)  # type: ignore[arg-type]


def _counted(question: EncodedQuestion, stage: Stage) -> int:
    return len(question) if stage == "train" else len(question.question_ids)

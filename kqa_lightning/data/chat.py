"""The prompt of any instruct model: whatever chat template its tokenizer brings."""

import re
from collections.abc import Mapping
from copy import copy
from datetime import datetime
from itertools import dropwhile, takewhile
from typing import Any

from transformers import PreTrainedTokenizerBase

from kqa_lightning.data.control_tokens import token_name
from kqa_lightning.data.prompts import BOS, EOS, INSTRUCTION, Prompt, Segment, Stage
from kqa_lightning.data.text_encoder import TextEncoder
from kqa_lightning.errors import KQAError

USER = f"{INSTRUCTION}\n\n{{context}}\n\nQuestion:\n{{question}}"

# Stand for article, question, answer and the end of the system's text while the template is rendered: private
# characters, which none contains.
_ARTICLE, _QUESTION, _ANSWER, _SYSTEM = "\ue000", "\ue001", "\ue002", "\ue003"
# What a template may change: it is to come out as it went in.
_SAMPLES = {mark: f"{mark!a} Aa \"b\" 'c' \\ <d> & {{e}}  f\n\n가" for mark in (_ARTICLE, _QUESTION, _ANSWER)}
# Templates that tell the day are told this one, so that a prompt is the same in training and ever after.
TODAY = datetime(2024, 7, 26)
_DAY = re.compile(r"""strftime_now\(\s*(['"])(.*?)\1\s*\)""")


class ChatPrompt(Prompt):
    """The chat template of the tokenizer: for instruct models that have no class of their own.

    The template is rendered once, and its pieces stand around every article and question, as text and control
    tokens. All that it writes before an answer is asked, also what it writes in answered chats alone, such as an
    empty block of thoughts: so a model is trained to go on from where it is asked. What it writes after an answer
    is learned up to its first control token, which ends the answer; the tokenizer's end token where it writes
    none. It is told one date on all days. White space around a text is kept, also where the template takes it away.

    Args:
        user: What the user says, with {context} before {question}; the wording of the deck where it is not given.
        system: The system's text before it; none for templates that know no such turn, as Gemma's.
    """

    def __init__(self, user: str = USER, system: str | None = None) -> None:
        super().__init__()
        if not re.fullmatch(r"[^{}]*\{context\}[^{}]*\{question\}[^{}]*", user):
            raise KQAError(
                f"--data.prompt.init_args.user {user!r} is to hold {{context}} once and {{question}} once after it,"
                " and no other braces"
            )
        self.user = user
        self.system = system
        self._before: list[Segment] = []
        self._between: list[Segment] = []
        self._after: list[Segment] = []
        self._ending: list[Segment] = []

    def __repr__(self) -> str:
        """The class and its settings."""
        return f"{type(self).__name__}(user={self.user!r}, system={self.system!r})"

    def bind(self, tokenizer: PreTrainedTokenizerBase) -> "ChatPrompt":
        """This prompt with the template of ``tokenizer``.

        Raises:
            KQAError: where the template fails, or cannot be followed to the letter.
        """
        bound = copy(self)
        before, between, after, end = self._pieces(tokenizer)
        split = _Splitter(tokenizer)
        bound._before, bound._between, bound._after = _one_bos(split(before), tokenizer), split(between), split(after)
        ending = split(end)
        first = next((index for index, one in enumerate(ending) if one.control), len(ending))
        bound._ending = [*ending[:first], *(ending[first : first + 1] or [EOS])]
        texts = [token_name(one, tokenizer) if one.control else one.text.strip() for one in bound._ending]
        bound.stops = tuple(text for text in texts if text)
        return bound

    def prefix(self, context: str, stage: Stage) -> list[Segment]:
        """What the template writes before the article, and the article."""
        return _joined([*self._before, Segment(context)])

    def question(self, question: str, stage: Stage) -> list[Segment]:
        """The question, and what the template writes around it."""
        return _joined([*self._between, Segment(question), *self._after])

    def ending(self) -> list[Segment]:
        """The text after an answer, where there is any, and the control token that ends it."""
        return self._ending

    def _pieces(self, tokenizer: PreTrainedTokenizerBase) -> tuple[str, str, str, str]:
        """What the template writes before, between and after article, question and answer."""
        marks = {_ARTICLE: _ARTICLE, _QUESTION: _QUESTION, _ANSWER: _ANSWER}
        asked, answered = self._render(tokenizer, marks, _SYSTEM)
        if self.system is not None and answered.count(_SYSTEM) != 1:
            raise KQAError(
                f"--data.prompt.init_args.system: the chat template of {tokenizer.name_or_path} leaves the system's"
                " text out or repeats it; set it to null, and say it in --data.prompt.init_args.user"
            )
        asked, answered = asked.replace(_SYSTEM, ""), answered.replace(_SYSTEM, "")
        if any(answered.count(mark) != 1 for mark in marks):
            raise _unusable(tokenizer, "leaves a message out or repeats it")
        before, between, after, end = re.split("|".join(marks), answered)
        if not f"{before}{_ARTICLE}{between}{_QUESTION}{after}".startswith(asked):
            raise _unusable(
                tokenizer,
                f"asks with {asked.rpartition(_QUESTION)[2]!r} after the question where an answered chat has {after!r}",
            )
        article, question, answer = _SAMPLES.values()
        if self._render(tokenizer, _SAMPLES)[1] != f"{before}{article}{between}{question}{after}{answer}{end}":
            raise _unusable(tokenizer, "changes the texts that it is given")
        return before, between, after, end

    def _render(self, tokenizer: PreTrainedTokenizerBase, texts: Mapping[str, str], mark: str = "") -> tuple[str, str]:
        """The chat up to the answer, and with it."""
        system = [] if self.system is None else [{"role": "system", "content": self.system + mark}]
        text = self.user.replace("{context}", texts[_ARTICLE]).replace("{question}", texts[_QUESTION])
        chat = [*system, {"role": "user", "content": text}]
        answer = [{"role": "assistant", "content": texts[_ANSWER]}]
        try:
            template = _DAY.sub(lambda match: repr(TODAY.strftime(match[2])), tokenizer.get_chat_template())
            settings: dict[str, Any] = {"chat_template": template, "tokenize": False}
            asked = tokenizer.apply_chat_template(chat, add_generation_prompt=True, **settings)
            answered = tokenizer.apply_chat_template(chat + answer, **settings)
        except Exception as error:  # whatever the code of a template may come up with
            raise _unusable(tokenizer, f"fails ({type(error).__name__}: {' '.join(str(error).split())})") from error
        assert isinstance(asked, str) and isinstance(answered, str)
        return asked, answered


class _Splitter:
    """Splits what a template writes at its control tokens: the special ones, and those that no text is spelled by.

    Not among them are added tokens that are text all the same, as Gemma's line breaks.

    Args:
        tokenizer: whose tokens they are.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        plain = TextEncoder(tokenizer)
        added = {name for name, token_id in tokenizer.get_added_vocab().items() if token_id not in plain.encode(name)}
        names = sorted(added.union(tokenizer.all_special_tokens), key=len, reverse=True)
        self._names = re.compile("(" + ("|".join(map(re.escape, names)) or "(?!)") + ")")
        self._eos = tokenizer.eos_token

    def __call__(self, text: str) -> list[Segment]:
        """The pieces of ``text``, none of them empty."""
        return [
            Segment(part) if index % 2 == 0 else EOS if part == self._eos else Segment(part, control=True)
            for index, part in enumerate(self._names.split(text))
            if part
        ]


def _one_bos(segments: list[Segment], tokenizer: PreTrainedTokenizerBase) -> list[Segment]:
    """The segments with one first token where they begin with one or several.

    In the middle of a chat the same token is whatever the template means by it: an end, or the start of a turn.
    """
    blank = list(takewhile(lambda one: not one.control and one.text.isspace(), segments))
    controls = segments[len(blank) :]
    rest = list(dropwhile(lambda one: one.control and token_name(one, tokenizer) == tokenizer.bos_token, controls))
    return segments if len(rest) == len(controls) else [*blank, BOS, *rest]


def _unusable(tokenizer: PreTrainedTokenizerBase, fault: str) -> KQAError:
    return KQAError(
        f"--data.prompt ChatPrompt: the chat template of {tokenizer.name_or_path} {fault}; use another base model,"
        " change its chat template, or write a Prompt class for it"
    )


def _joined(segments: list[Segment]) -> list[Segment]:
    """Neighbouring texts as one, so that they are encoded as one."""
    joined: list[Segment] = []
    for segment in segments:
        if joined and not segment.control and not joined[-1].control:
            joined[-1] = Segment(joined[-1].text + segment.text)
        else:
            joined.append(segment)
    return joined

"""The prompt of any instruct model: whatever chat template its tokenizer brings."""

import re
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from kqa_lightning.data.prompts import BOS, EOS, INSTRUCTION, Prompt, Segment, Stage
from kqa_lightning.data.text_encoder import TextEncoder
from kqa_lightning.errors import KQAError

USER = f"{INSTRUCTION}\n\n{{context}}\n\nQuestion:\n{{question}}"

# Stand for article, question and answer while the template is rendered: private characters, which none contains.
_ARTICLE, _QUESTION, _ANSWER = "\ue000", "\ue001", "\ue002"


class ChatPrompt(Prompt):
    """The chat template of the tokenizer: for instruct models that have no class of their own.

    The template is rendered once, and its pieces stand around every article and question, as text and control
    tokens. What it writes after an answer, up to its last control token, ends the answer.

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
        """This prompt with the template of ``tokenizer``."""
        bound = ChatPrompt(self.user, self.system)
        asked, answered = self._render(tokenizer)
        before, _, rest = asked.partition(_ARTICLE)
        between, _, after = rest.partition(_QUESTION)
        bound._before, bound._between, bound._after = (_segments(text, tokenizer) for text in (before, between, after))
        ending = [one for one in _segments(answered.rpartition(_ANSWER)[2], tokenizer) if one.control]
        bound._ending = ending or [EOS]
        bound.stops = tuple(dict.fromkeys(str(_name(one, tokenizer)) for one in bound._ending))
        return bound

    def prefix(self, context: str, stage: Stage) -> list[Segment]:
        """What the template writes before the article, and the article."""
        return _joined([*self._before, Segment(context)])

    def question(self, question: str, stage: Stage) -> list[Segment]:
        """The question, and what the template writes around it."""
        return _joined([*self._between, Segment(question), *self._after])

    def ending(self) -> list[Segment]:
        """The control tokens after an answer."""
        return self._ending

    def _render(self, tokenizer: PreTrainedTokenizerBase) -> tuple[str, str]:
        """The chat up to the answer, and with it."""
        system = [] if self.system is None else [{"role": "system", "content": self.system}]
        text = self.user.replace("{context}", _ARTICLE).replace("{question}", _QUESTION)
        chat: list[dict[str, Any]] = [*system, {"role": "user", "content": text}]
        try:
            asked = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
            answered = tokenizer.apply_chat_template([*chat, {"role": "assistant", "content": _ANSWER}], tokenize=False)
        except (ValueError, TemplateError) as error:
            raise KQAError(
                f"--data.prompt ChatPrompt: the chat template of {tokenizer.name_or_path} cannot be used:"
                f" {' '.join(str(error).split())}"
            ) from error
        assert isinstance(asked, str) and isinstance(answered, str)
        if not (asked.count(_ARTICLE) == asked.count(_QUESTION) == answered.count(_ANSWER) == 1):
            raise KQAError(
                f"--data.prompt ChatPrompt: the chat template of {tokenizer.name_or_path} leaves a message out or"
                " repeats it"
            )
        return asked, answered


def _segments(text: str, tokenizer: PreTrainedTokenizerBase) -> list[Segment]:
    """Split what a template writes at its control tokens: the special ones, and those that no plain text is spelled by.

    Not among them are added tokens that are text all the same, as Gemma's line breaks.
    """
    plain = TextEncoder(tokenizer)
    added = {name for name, token_id in tokenizer.get_added_vocab().items() if token_id not in plain.encode(name)}
    names = sorted(added.union(tokenizer.all_special_tokens), key=len, reverse=True)
    parts = re.split("(" + "|".join(map(re.escape, names)) + ")", text) if names else [text]
    own = {tokenizer.bos_token: BOS, tokenizer.eos_token: EOS}
    return [
        own.get(part, Segment(part, control=True)) if odd else Segment(part)
        for index, part in enumerate(parts)
        if ((odd := index % 2 == 1) or part)
    ]


def _joined(segments: list[Segment]) -> list[Segment]:
    """Neighbouring texts as one, so that they are encoded as one."""
    joined: list[Segment] = []
    for segment in segments:
        if joined and not segment.control and not joined[-1].control:
            joined[-1] = Segment(joined[-1].text + segment.text)
        else:
            joined.append(segment)
    return joined


def _name(segment: Segment, tokenizer: PreTrainedTokenizerBase) -> str | None:
    return tokenizer.eos_token if segment == EOS else segment.text

"""The prompt of each model family, as segments of text and control tokens.

The wordings are those of the second-place team of DACON 236291, whose training and inference prompts differ:
``deck`` keeps that difference, ``aligned`` uses the training prompt for both.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, get_args

from transformers import PreTrainedTokenizerBase

from kqa_lightning.errors import KQAError

Stage = Literal["train", "inference"]
Wording = Literal["aligned", "deck"]

INSTRUCTION = (
    "너는 주어진 Context를 토대로 Question에 답하는 챗봇이야. Question에 대한 답변만 가급적 한 단어로 최대한"
    " 간결하게 답변하도록 해.:"
)
NOUS_INSTRUCTION = (
    "너는 주어진 Context를 토대로 Question에 답하는 챗봇이야. Question에 대한 답변만 최대한 한 단어로,"
    " 명사들로만 답변해줘. 예를 들면 누구(사람에 대한 질문)-> 김철수(사람 이름만, 직무 회사 제외), 물건 ->"
    " 사과, 시간 -> 1시, 속력 -> 1m/s, 이런식으로 딱 간단하게만 나타내줘. "
)
# Where the team cut its models' answers: symptoms of an end token that was never learned.
DECK_STOPS = ("Que", "Con", "⊙", "<eos>", "assistant")


@dataclass(frozen=True)
class Segment:
    """A piece of a prompt: plain text, or one control token of the tokenizer named by its text."""

    text: str
    control: bool = False


# Stand for the tokenizer's own first and last token, whatever they are called there.
BOS = Segment("<bos>", control=True)
EOS = Segment("<eos>", control=True)


class Prompt(ABC):
    """How a model family is asked: article first, then the question, then the answer and its end.

    Args:
        wording: "deck" asks at inference as the team did, "aligned" asks as in training.
    """

    stops: tuple[str, ...] = ()
    deck_stops: tuple[str, ...] = DECK_STOPS

    def __init__(self, wording: Wording = "aligned") -> None:
        if wording not in get_args(Wording):
            raise KQAError(f"--data.prompt: wording {wording!r} is unknown; known: {', '.join(get_args(Wording))}")
        self.wording = wording

    def __repr__(self) -> str:
        """The class and its wording, all that tells two prompts apart."""
        return f"{type(self).__name__}(wording={self.wording!r})"

    def bind(self, tokenizer: PreTrainedTokenizerBase) -> "Prompt":
        """The prompt for one tokenizer, which has a say in some families.

        Raises:
            KQAError: where the tokenizer lacks what the prompt needs.
        """
        return self

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """What ends an answer where it occurs in the generated text; a line break always does."""
        return self.stops + self.deck_stops if self.wording == "deck" else self.stops

    def deck_inference(self, stage: Stage) -> bool:
        """Whether the team's inference prompt is asked for, the one that differs from training."""
        return self.wording == "deck" and stage == "inference"

    @abstractmethod
    def prefix(self, context: str, stage: Stage) -> list[Segment]:
        """Everything up to the end of the article: what all questions of an article share."""

    @abstractmethod
    def question(self, question: str, stage: Stage) -> list[Segment]:
        """Everything between the article and the answer."""

    @abstractmethod
    def ending(self) -> list[Segment]:
        """What follows the answer: control tokens, the first of which ends generation, and text before them if any."""


class Gemma2Prompt(Prompt):
    """Gemma 2's chat turns, as in the deck's gemma2.

    Args:
        wording: "deck" puts a space after the article at inference only, as the team did; "aligned" never
            does.
    """

    stops = ("<end_of_turn>", "<eos>")

    def prefix(self, context: str, stage: Stage) -> list[Segment]:
        """``<bos><start_of_turn>user`` and the instruction with the article."""
        return [BOS, Segment("<start_of_turn>", control=True), Segment(f"user\n{INSTRUCTION}\n\n{context}")]

    def question(self, question: str, stage: Stage) -> list[Segment]:
        """The question, the end of the user's turn and the opening of the model's."""
        return [
            Segment(_asked(question, space=self.deck_inference(stage))),
            Segment("<end_of_turn>", control=True),
            Segment("\n"),
            Segment("<start_of_turn>", control=True),
            Segment("model\n"),
        ]

    def ending(self) -> list[Segment]:
        """``<end_of_turn><eos>``."""
        return [Segment("<end_of_turn>", control=True), EOS]


class EEVEPrompt(Prompt):
    """ChatML, as in the deck's eeve.

    Args:
        wording: "deck" puts a space after the article at inference only, as the team did; "aligned" never
            does.
    """

    stops = ("<|im_end|>", "<|im_start|>")
    system = "You are a helpful assistant."

    def prefix(self, context: str, stage: Stage) -> list[Segment]:
        """The system turn, and the user's turn with the instruction and the article."""
        start, end = Segment("<|im_start|>", control=True), Segment("<|im_end|>", control=True)
        return [
            *(start, Segment(f"system\n{self.system}"), end, Segment("\n")),
            *(start, Segment(f"user\n{INSTRUCTION}\n\n{context}")),
        ]

    def question(self, question: str, stage: Stage) -> list[Segment]:
        """The question, the end of the user's turn and the opening of the assistant's."""
        return [
            Segment(_asked(question, space=self.deck_inference(stage))),
            Segment("<|im_end|>", control=True),
            Segment("\n"),
            Segment("<|im_start|>", control=True),
            Segment("assistant\n"),
        ]

    def ending(self) -> list[Segment]:
        """``<|im_end|>`` and the tokenizer's own end token."""
        return [Segment("<|im_end|>", control=True), EOS]


class NousPrompt(Prompt):
    """SOLAR's ``### System`` format, as in the deck's nous: plain text between BOS and EOS.

    Args:
        wording: "deck" adds an instruction and a line break at inference only, as the team did; "aligned"
            does not.
    """

    stops = ("###", "</s>")
    deck_stops = (*DECK_STOPS, "  ")

    def prefix(self, context: str, stage: Stage) -> list[Segment]:
        """``<s>### System:`` and the article."""
        instruction = NOUS_INSTRUCTION if self.deck_inference(stage) else ""
        return [BOS, Segment(f"{instruction}### System:\n{context}")]

    def question(self, question: str, stage: Stage) -> list[Segment]:
        """The user's turn and the opening of the assistant's."""
        gap = "\n\n" if self.deck_inference(stage) else "\n"
        return [Segment(f"\n\n### User:\n{question}{gap}### Assistant:\n")]

    def ending(self) -> list[Segment]:
        """``</s>``."""
        return [EOS]


def _asked(question: str, space: bool) -> str:
    return f"{' ' if space else ''}\n\nQuestion:\n{question}"

"""The deck's strings, written out once more and in full."""

import pytest

from kqa_lightning.data.prompts import BOS, EEVEPrompt, Gemma2Prompt, NousPrompt, Prompt
from kqa_lightning.errors import KQAError

INSTRUCTION = "너는 주어진 Context를 토대로 Question에 답하는 챗봇이야. Question에 대한 답변만 가급적 한 단어로 최대한 간결하게 답변하도록 해.:"  # noqa: E501
GEMMA2 = (
    "<bos><start_of_turn>user\n"
    + INSTRUCTION
    + "\n\n기사{space}\n\nQuestion:\n질문<end_of_turn>\n<start_of_turn>model\n"
)
EEVE = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
    + INSTRUCTION
    + "\n\n기사{space}\n\nQuestion:\n질문<|im_end|>\n<|im_start|>assistant\n"
)
NOUS = "<bos>### System:\n기사\n\n### User:\n질문\n### Assistant:\n"
NOUS_INFERENCE = "<bos>너는 주어진 Context를 토대로 Question에 답하는 챗봇이야. Question에 대한 답변만 최대한 한 단어로, 명사들로만 답변해줘. 예를 들면 누구(사람에 대한 질문)-> 김철수(사람 이름만, 직무 회사 제외), 물건 -> 사과, 시간 -> 1시, 속력 -> 1m/s, 이런식으로 딱 간단하게만 나타내줘. ### System:\n기사\n\n### User:\n질문\n\n### Assistant:\n"  # noqa: E501

CASES = [
    (Gemma2Prompt, GEMMA2.format(space=""), GEMMA2.format(space=" "), "<end_of_turn><eos>"),
    (EEVEPrompt, EEVE.format(space=""), EEVE.format(space=" "), "<|im_end|><eos>"),
    (NousPrompt, NOUS, NOUS_INFERENCE, "<eos>"),
]


def rendered(prompt: Prompt, stage: str) -> str:
    segments = prompt.prefix("기사", stage) + prompt.question("질문", stage)
    return "".join(segment.text for segment in segments)


@pytest.mark.parametrize(("family", "training", "inference", "ending"), CASES)
def test_strings_of_the_deck(family: type[Prompt], training: str, inference: str, ending: str) -> None:
    deck, aligned = family("deck"), family("aligned")
    assert rendered(deck, "train") == rendered(aligned, "train") == rendered(aligned, "inference") == training
    assert rendered(deck, "inference") == inference
    assert "".join(segment.text for segment in deck.ending()) == ending


@pytest.mark.parametrize("family", [Gemma2Prompt, EEVEPrompt, NousPrompt])
def test_prefix_holds_the_article_and_the_rest_does_not(family: type[Prompt]) -> None:
    prompt = family()
    assert prompt.prefix("기사", "train")[-1].text.endswith("기사")
    assert not any("기사" in segment.text for segment in prompt.question("질문", "train"))
    assert all(segment.control for segment in prompt.ending())


def test_stop_strings() -> None:
    assert {"Que", "Con", "⊙", "<eos>", "assistant"} < set(Gemma2Prompt("deck").stop_strings)
    assert "  " in NousPrompt("deck").stop_strings and "  " not in EEVEPrompt("deck").stop_strings
    # An answer such as "Conoco" is whole where the end token was learned.
    assert not {"Que", "Con"} & set(Gemma2Prompt("aligned").stop_strings)


def test_defaults_and_errors() -> None:
    assert repr(Gemma2Prompt()) == "Gemma2Prompt(wording='aligned')"
    assert BOS.control
    with pytest.raises(KQAError, match="aligned, deck"):
        Gemma2Prompt("original")  # type: ignore[arg-type]

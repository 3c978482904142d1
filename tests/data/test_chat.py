"""Any chat template: the same ids as the tokenizer's own, and control tokens from the template alone."""

from copy import copy
from pathlib import Path

import pytest
from encoded import encode_one, sequences
from transformers import PreTrainedTokenizerBase

from kqa_lightning.data.chat import ChatPrompt
from kqa_lightning.data.encoding import PromptEncoder
from kqa_lightning.data.prompts import EEVEPrompt, Gemma2Prompt, NousPrompt, Prompt
from kqa_lightning.data.questions import Question
from kqa_lightning.data.text_encoder import load_tokenizer
from kqa_lightning.errors import KQAError

CONTEXT = "한국은행은 기준금리를 3.5%로 동결했다. 총재는 이창용이다."
QUESTIONS = [Question(0, "총재는?", "이창용"), Question(1, "기준금리는 얼마인가?", "3.5%")]
CHATML = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
ASKING = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
# What templates of the hub do, and what is learned after an answer.
TEMPLATES = {
    "llama 2": (
        "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}[INST] {{ m['content'] | trim }} [/INST]"
        "{% else %} {{ m['content'] | trim }} {{ eos_token }}{% endif %}{% endfor %}",
        " </s>",
    ),
    "no bos": (
        "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}{{ eos_token }}\n{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>\n{% endif %}",
        "</s>",
    ),
    "default system, no end": (
        "{{ bos_token }}{% if messages[0]['role'] != 'system' %}system: be kind\n{% endif %}"
        "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}",
        "\n</s>",
    ),
    "chatml": (CHATML + ASKING, "<|im_end|>"),
    "asks for nothing": (CHATML, "<|im_end|>"),
    "always asks": (CHATML + "<|im_start|>assistant\n", "<|im_end|>"),
    "two ends": (CHATML.replace("<|im_end|>", "<|im_end|>{{ eos_token }}") + ASKING, "<|im_end|>"),
    "text before the end": (CHATML.replace("<|im_end|>", "\n[END]<|im_end|>") + ASKING, "\n[END]<|im_end|>"),
    "two bos": ("{{ bos_token }}{{ bos_token }}" + CHATML + ASKING, "<|im_end|>"),
    "qwen3": (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
        "{% if m['role'] == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}"
        "{{ m['content'] }}<|im_end|>\n{% endfor %}" + ASKING,
        "<|im_end|>",
    ),
}


def with_template(base: PreTrainedTokenizerBase, template: str) -> PreTrainedTokenizerBase:
    tokenizer = copy(base)
    tokenizer.chat_template = template
    return tokenizer


@pytest.mark.parametrize(
    ("base", "family", "prompt"),
    [
        ("tiny-gemma2", Gemma2Prompt(), ChatPrompt()),
        ("tiny-eeve", EEVEPrompt(), ChatPrompt(system=EEVEPrompt.system)),
        ("tiny-nous", NousPrompt(), ChatPrompt(user="{context}\n\n### User:\n{question}", system=None)),
    ],
)
def test_the_families_own_templates_ask_as_their_classes_do(base: str, family: Prompt, prompt: ChatPrompt) -> None:
    tokenizer = load_tokenizer(base)
    if base == "tiny-nous":  # the class says System where the user speaks, and one line break before the answer
        tokenizer.chat_template = (
            "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}### System:\n{{ m['content'] }}\n"
            "### Assistant:\n{% else %}{{ m['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
        )
    own, chat = PromptEncoder(tokenizer, family, 1000), PromptEncoder(tokenizer, prompt, 1000)
    for stage in ("train", "inference"):
        for expected, ids in zip(
            sequences(encode_one(own, CONTEXT, QUESTIONS, stage)),
            sequences(encode_one(chat, CONTEXT, QUESTIONS, stage)),
            strict=True,
        ):
            # Of Gemma's two end tokens the template writes the first alone.
            assert ids == expected[: len(ids)] and len(expected) - len(ids) <= 1


@pytest.mark.parametrize("name", TEMPLATES)
def test_what_is_learned_is_what_the_template_renders(name: str, chatml: PreTrainedTokenizerBase) -> None:
    """The tokenizer's own rendering of the answered chat, up to the end of the answer; asked alike at inference."""
    template, ending = TEMPLATES[name]
    tokenizer = with_template(chatml, template)
    encoder = PromptEncoder(tokenizer, ChatPrompt(user="글: {context}\n질문: {question}"), 1000)
    article = encode_one(encoder, CONTEXT, QUESTIONS, "train")
    assert encode_one(encoder, CONTEXT, QUESTIONS, "inference") == article
    for question, encoded in zip(QUESTIONS, article.questions, strict=True):
        chat = [{"role": "user", "content": f"글: {CONTEXT}\n질문: {question.text}"}]
        asked = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        answer = {"role": "assistant", "content": question.answer}
        answered = tokenizer.apply_chat_template([*chat, answer], tokenize=False)
        prompt = article.prefix_ids + encoded.question_ids
        text = "<s>" + encoder.text.decode(prompt + encoded.answer_ids).replace("<s>", "")
        # One BOS, whether the template writes none, one or two, and an end, also where it writes none.
        answered = "<s>" + answered.replace("<s>", "")
        assert text.startswith(answered) or answered.startswith(text)
        assert ("<s>" + encoder.text.decode(prompt).replace("<s>", "")).startswith("<s>" + asked.replace("<s>", ""))
        assert prompt.count(tokenizer.bos_token_id) == 1 and prompt[0] == tokenizer.bos_token_id
        assert encoder.text.decode(encoded.answer_ids) == question.answer + ending
        assert encoder.decode_answer(encoded.answer_ids)[0] == question.answer
    assert encoder.end_ids == (article.questions[0].answer_ids[-1],)


def test_an_empty_block_of_thoughts_is_asked_and_not_learned(chatml: PreTrainedTokenizerBase) -> None:
    encoder = PromptEncoder(with_template(chatml, TEMPLATES["qwen3"][0]), ChatPrompt(), 1000)
    for stage in ("train", "inference"):
        (question, _) = encode_one(encoder, CONTEXT, QUESTIONS, stage).questions
        assert encoder.text.decode(question.question_ids).endswith("assistant\n<think>\n\n</think>\n\n")
        assert encoder.text.decode(question.answer_ids) == "이창용<|im_end|>"


def test_text_before_the_end_is_no_part_of_an_answer(chatml: PreTrainedTokenizerBase) -> None:
    template = CHATML.replace("<|im_end|>", " [END]<|im_end|>") + ASKING
    encoder = PromptEncoder(with_template(chatml, template), ChatPrompt(), 1000)
    assert encoder.prompt.stop_strings == ("[END]", "<|im_end|>")
    assert encoder.decode_answer(encoder.text.encode("이창용 [END]"))[0] == "이창용"


def test_a_first_token_that_is_also_the_last(llama2_tokenizer_dir: Path) -> None:
    """GPT-2's kind."""
    tokenizer = load_tokenizer(str(llama2_tokenizer_dir))
    tokenizer.bos_token = tokenizer.eos_token
    for begins in ("", "{{ bos_token }}", "{{ bos_token }}{{ bos_token }}"):
        tokenizer.chat_template = begins + (
            "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}{{ eos_token }}{% endfor %}"
            "{% if add_generation_prompt %}assistant: {% endif %}"
        )
        encoder = PromptEncoder(tokenizer, ChatPrompt("{context} {question}"), 1000)
        article = encode_one(encoder, "글", [Question(0, "왜?", "답")], "train")
        (ids,) = sequences(article)
        assert encoder.text.decode(ids) == "</s>user: 글 왜?</s>assistant: 답</s>"


def test_a_first_token_that_also_starts_every_turn(llama2_tokenizer_dir: Path) -> None:
    """SmolLM2's kind."""
    tokenizer = load_tokenizer(str(llama2_tokenizer_dir))
    tokenizer.add_special_tokens({"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"})
    tokenizer.chat_template = CHATML + ASKING
    encoder = PromptEncoder(tokenizer, ChatPrompt("{context} {question}"), 1000)
    (ids,) = sequences(encode_one(encoder, "글", [Question(0, "왜?", "답")], "train"))
    chat = [{"role": "user", "content": "글 왜?"}, {"role": "assistant", "content": "답"}]
    assert encoder.text.decode(ids) == tokenizer.apply_chat_template(chat, tokenize=False).removesuffix("\n")


def test_a_line_break_before_the_first_token_makes_no_second_one(chatml: PreTrainedTokenizerBase) -> None:
    encoder = PromptEncoder(with_template(chatml, "\n{{ bos_token }}" + CHATML + ASKING), ChatPrompt(), 1000)
    text = encoder.text.decode(encode_one(encoder, CONTEXT, QUESTIONS, "train").prefix_ids)
    assert text.startswith("\n<s><|im_start|>user") and text.count("<s>") == 1


def test_a_template_that_tells_the_day_says_the_same_every_day(chatml: PreTrainedTokenizerBase) -> None:
    template = "{{ strftime_now('%d %b %Y') }}\n" + CHATML + ASKING
    encoder = PromptEncoder(with_template(chatml, template), ChatPrompt(), 1000)
    article = encode_one(encoder, CONTEXT, QUESTIONS, "train")
    assert encoder.text.decode(article.prefix_ids).startswith("<s>26 Jul 2024\n<|im_start|>user")


@pytest.mark.parametrize(
    ("template", "system", "fault"),
    [
        (None, None, "fails"),
        ("{{ raise_exception('no system turn') }}", "x", "no system turn"),
        ("{{ messages + 1 }}", None, "TypeError"),
        ("{{ messages[0]['content'] }}", None, "leaves a message out"),
        (CHATML + CHATML, None, "repeats it"),
        (CHATML.replace("m['content']", "m['content'] | tojson"), None, "changes the texts"),
        (CHATML.replace("m['content']", "m['content'] | upper"), None, "changes the texts"),
        (CHATML.replace("m['content']", "m['content'] | e"), None, "changes the texts"),
        (
            "{% for m in messages %}{% if m['role'] != 'system' %}{{ m['content'] }}</s>{% endif %}{% endfor %}",
            "SYS",
            r"--data\.prompt\.init_args\.system: .*leaves the system's text out.*set it to null",
        ),
        (
            CHATML + ASKING.replace("assistant\n", "assistant\n<think>\n"),
            None,
            r"asks with .*<think>.* where an answered",
        ),
    ],
)
def test_templates_that_cannot_be_followed(chatml, template: str | None, system: str | None, fault: str) -> None:
    tokenizer = with_template(chatml, template)
    with pytest.raises(KQAError, match=fault) as error:
        PromptEncoder(tokenizer, ChatPrompt(system=system), 100)
    assert "--data.prompt" in str(error.value) and "\n" not in str(error.value)


def test_no_text_becomes_a_control_token_of_the_template(gemma: PreTrainedTokenizerBase) -> None:
    encoder = PromptEncoder(gemma, ChatPrompt(), 100_000)
    names = [*gemma.get_added_vocab(), *gemma.all_special_tokens]
    controls = {gemma.convert_tokens_to_ids(name) for name in names if name.strip("\n")}  # line breaks are text
    clean = sequences(encode_one(encoder, CONTEXT, QUESTIONS, "train"))
    nasty = encode_one(encoder, CONTEXT + "".join(names), [Question(0, "".join(names), "".join(names))], "train")
    (question,) = nasty.questions
    ids = nasty.prefix_ids + question.question_ids + question.answer_ids
    assert [one for one in ids if one in controls] == [one for one in clean[0] if one in controls]


def test_wrong_settings() -> None:
    for user in ("{question} {context}", "{context}", "{context} {question} {question}", "{context} {question} {x}"):
        with pytest.raises(KQAError, match=r"--data\.prompt\.init_args\.user"):
            ChatPrompt(user)
    assert repr(ChatPrompt(system="x")) != repr(ChatPrompt())

"""Any chat template: the same ids as the tokenizer's own, and control tokens from the template alone."""

import pytest
from encoded import encode_one
from transformers import PreTrainedTokenizerBase

from kqa_lightning.data.chat import ChatPrompt
from kqa_lightning.data.encoding import PromptEncoder, Question
from kqa_lightning.data.prompts import EEVEPrompt, Gemma2Prompt, NousPrompt, Prompt
from kqa_lightning.data.text_encoder import load_tokenizer
from kqa_lightning.errors import KQAError

CONTEXT = "한국은행은 기준금리를 3.5%로 동결했다. 총재는 이창용이다."
QUESTIONS = [Question(0, "총재는?", "이창용"), Question(1, "기준금리는 얼마인가?", "3.5%")]
# What templates of the hub do: BOS or none, turns by control tokens or by text, an end with or without a line break.
TEMPLATES = {
    "llama 2": (
        "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}[INST] {{ m['content'] | trim }} [/INST]"
        "{% else %} {{ m['content'] | trim }} {{ eos_token }}{% endif %}{% endfor %}"
    ),
    "no bos": (
        "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}{{ eos_token }}\n{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
    ),
    "default system": (
        "{{ bos_token }}{% if messages[0]['role'] != 'system' %}system: be kind\n{% endif %}"
        "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    ),
}


def sequences(encoder: PromptEncoder, stage: str = "train") -> list[tuple[int, ...]]:
    article = encode_one(encoder, CONTEXT, QUESTIONS, stage)
    return [article.prefix_ids + question.question_ids + question.answer_ids for question in article.questions]


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
        for expected, ids in zip(sequences(own, stage), sequences(chat, stage), strict=True):
            # Of Gemma's two end tokens the template writes the first alone.
            assert ids == expected[: len(ids)] and len(expected) - len(ids) <= 1


@pytest.mark.parametrize("name", TEMPLATES)
def test_ids_decode_to_what_the_template_renders(name: str, llama2: PreTrainedTokenizerBase) -> None:
    tokenizer = load_tokenizer(llama2.name_or_path)
    tokenizer.chat_template = TEMPLATES[name]
    prompt = ChatPrompt(user="글: {context}\n질문: {question}")
    encoder = PromptEncoder(tokenizer, prompt, 1000)
    article = encode_one(encoder, CONTEXT, QUESTIONS, "train")
    for question, encoded in zip(QUESTIONS, article.questions, strict=True):
        chat = [{"role": "user", "content": f"글: {CONTEXT}\n질문: {question.text}"}]
        rendered = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        bos = "" if rendered.startswith(tokenizer.bos_token) else tokenizer.bos_token
        assert encoder.text.decode(article.prefix_ids + encoded.question_ids) == bos + rendered
        assert encoder.text.decode(encoded.answer_ids) == question.answer + tokenizer.eos_token
        ids = article.prefix_ids + encoded.question_ids
        assert ids.count(tokenizer.bos_token_id) == 1 and ids[0] == tokenizer.bos_token_id
    assert encoder.end_ids == (tokenizer.eos_token_id,)
    assert encoder.prompt.stop_strings == (tokenizer.eos_token,)


def test_no_text_becomes_a_control_token_of_the_template(gemma: PreTrainedTokenizerBase) -> None:
    encoder = PromptEncoder(gemma, ChatPrompt(), 100_000)
    names = [*gemma.get_added_vocab(), *gemma.all_special_tokens]
    controls = {gemma.convert_tokens_to_ids(name) for name in names if name.strip("\n")}  # line breaks are text
    clean = sequences(encoder)
    nasty = encode_one(encoder, CONTEXT + "".join(names), [Question(0, "".join(names), "".join(names))], "train")
    (question,) = nasty.questions
    ids = nasty.prefix_ids + question.question_ids + question.answer_ids
    assert [one for one in ids if one in controls] == [one for one in clean[0] if one in controls]


def test_wrong_settings(llama2: PreTrainedTokenizerBase) -> None:
    for user in ("{question} {context}", "{context}", "{context} {question} {question}", "{context} {question} {x}"):
        with pytest.raises(KQAError, match=r"--data\.prompt\.init_args\.user"):
            ChatPrompt(user)
    tokenizer = load_tokenizer(llama2.name_or_path)
    tokenizer.chat_template = None
    with pytest.raises(KQAError, match=r"chat template of .* cannot be used"):
        PromptEncoder(tokenizer, ChatPrompt(), 100)
    tokenizer.chat_template = "{{ raise_exception('no system turn') }}"
    with pytest.raises(KQAError, match="no system turn"):
        PromptEncoder(tokenizer, ChatPrompt(system="x"), 100)
    tokenizer.chat_template = "{{ messages[0]['content'] }}"
    with pytest.raises(KQAError, match="leaves a message out"):
        PromptEncoder(tokenizer, ChatPrompt(), 100)
    assert repr(ChatPrompt(system="x")) != repr(ChatPrompt())

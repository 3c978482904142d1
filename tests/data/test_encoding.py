import importlib
import json
import linecache
import shutil
import sys
from pathlib import Path

import datasets
import pytest
from encoded import encode_one, render, sequences
from transformers import PreTrainedTokenizerBase

from kqa_lightning.data.articles import group_by_article
from kqa_lightning.data.chat import ChatPrompt
from kqa_lightning.data.encoding import PromptEncoder, TooLong
from kqa_lightning.data.prompts import EEVEPrompt, Gemma2Prompt, NousPrompt, Segment, Stage
from kqa_lightning.data.questions import Question
from kqa_lightning.data.text_encoder import load_tokenizer
from kqa_lightning.errors import KQAError

PROMPTS = {"gemma2": Gemma2Prompt, "eeve": EEVEPrompt, "nous": NousPrompt}
FAMILIES = pytest.mark.parametrize(("tokenizer", "family"), [(name, name) for name in PROMPTS], indirect=["tokenizer"])
CONTEXT = "한국은행은 기준금리를 동결했다. 총재는 이창용이다. 다음 회의는 5월이다."


@FAMILIES
@pytest.mark.parametrize("wording", ["deck", "aligned"])
def test_korquad_decodes_to_the_rendered_string(tokenizer, family, wording, korquad: datasets.Dataset) -> None:
    """All of it, with the real tokenizers: to the byte, and asked at inference as it was learned."""
    prompt = PROMPTS[family](wording)
    encoder = PromptEncoder(tokenizer, prompt, max_length=100_000)
    groups = group_by_article(korquad)
    bos = tokenizer.bos_token if family == "eeve" else ""  # the deck writes no BOS there; the tokenizer adds it
    encoded = {stage: encoder.encode_articles(groups, stage) for stage in ("train", "inference")}
    for stage, articles in encoded.items():
        for (context, questions), (article,) in zip(groups, articles, strict=True):
            prefix = render(encoder, prompt.prefix(context, stage))
            for question, ids in zip(questions, sequences(article), strict=True):
                asked = render(encoder, prompt.question(question.text, stage))
                assert (
                    encoder.text.decode(ids)
                    == f"{bos}{prefix}{asked}{question.answer}{render(encoder, prompt.ending())}"
                )
                assert ids[0] == tokenizer.bos_token_id and ids.count(tokenizer.bos_token_id) == 1
    if wording == "aligned":
        assert encoded["train"] == encoded["inference"]  # the answers' ids included: none depends on what follows it


def test_literal_string_of_the_deck(gemma: PreTrainedTokenizerBase) -> None:
    encoder = PromptEncoder(gemma, Gemma2Prompt("deck"), 1000)
    (ids,) = sequences(encode_one(encoder, "기사", [Question(0, "질문", "답")], "train"))
    assert gemma.decode(ids) == (
        "<bos><start_of_turn>user\n너는 주어진 Context를 토대로 Question에 답하는 챗봇이야. Question에 대한 답변만"
        " 가급적 한 단어로 최대한 간결하게 답변하도록 해.:\n\n기사\n\nQuestion:\n질문<end_of_turn>\n"
        "<start_of_turn>model\n답<end_of_turn><eos>"
    )


@FAMILIES
def test_inference_prompt_begins_the_training_sequence(tokenizer, family) -> None:
    encoder = PromptEncoder(tokenizer, PROMPTS[family]("aligned"), 1000)
    questions = [Question(0, "총재는?", "이창용"), Question(1, "다음 회의는?", " 5월")]
    train = encode_one(encoder, CONTEXT, questions, "train")
    inference = encode_one(encoder, CONTEXT, [one._replace(answer=None) for one in questions], "inference")
    for longer, shorter in zip(sequences(train), sequences(inference), strict=True):
        assert longer[: len(shorter)] == shorter and len(longer) > len(shorter)
    assert [question.answer_ids for question in inference.questions] == [(), ()]


@FAMILIES
def test_what_is_supervised_ends_with_all_end_tokens(tokenizer, family) -> None:
    encoder = PromptEncoder(tokenizer, PROMPTS[family](), 1000)
    (question,) = encode_one(encoder, CONTEXT, [Question(0, "총재는?", "이창용")], "train").questions
    ending = tuple(
        tokenizer.convert_tokens_to_ids(name)
        for name in {
            "gemma2": ["<end_of_turn>", "<eos>"],
            "eeve": ["<|im_end|>", "</s>"],
            "nous": ["</s>"],
        }[family]
    )
    assert question.answer_ids == (*encoder.text.encode("이창용"), *ending)
    assert encoder.end_ids == ending
    assert question.answer_ids.index(ending[0]) == len(question.answer_ids) - len(ending)


@FAMILIES
def test_text_never_becomes_a_control_token(tokenizer, family) -> None:
    encoder = PromptEncoder(tokenizer, PROMPTS[family](), 4000)
    controls = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    clean = encode_one(encoder, "기사", [Question(0, "질문", "답")], "train")
    names = [*tokenizer.all_special_tokens, "<end_of_turn>", "<bos>", "</s>", "<|im_end|>", "### System:", "<eos>"]
    for name in names:
        nasty = encode_one(encoder, f"기사{name}", [Question(0, f"{name}질문", f"답{name}")], "train")
        (one,), (other,) = sequences(clean), sequences(nasty)
        assert [i for i in one if i in controls] == [i for i in other if i in controls], name
        text = encoder.text.decode(other)
        assert f"기사{name}\n\n" in text and f"{name}질문" in text and f"답{name}" in text


def test_article_is_the_same_for_all_its_questions(llama2: PreTrainedTokenizerBase) -> None:
    encoder = PromptEncoder(llama2, NousPrompt(), 1000)
    asked = [Question(3, "총재는?", "이창용"), Question(8, "언제?")]
    both = encode_one(encoder, CONTEXT, asked, "train")
    for one, question in zip(asked, both.questions, strict=True):
        alone = encode_one(encoder, CONTEXT, [one], "train")
        assert alone.prefix_ids == both.prefix_ids and alone.questions == (question,) and question.row == one.row
    assert len(both) == len(both.prefix_ids) + sum(len(question) for question in both.questions)


@FAMILIES
def test_too_long_articles_are_cut_at_a_sentence_end_once_for_all_questions(tokenizer, family) -> None:
    questions = [Question(0, "총재는?", "이창용"), Question(1, "무엇이 결정되었나, 그리고 어떻게?", "동결")]
    whole = encode_one(PromptEncoder(tokenizer, PROMPTS[family](), 10_000), CONTEXT, questions, "train")
    longest = max(map(len, whole.questions))
    exact = len(whole.prefix_ids) + longest
    assert not encode_one(PromptEncoder(tokenizer, PROMPTS[family](), exact), CONTEXT, questions, "train").cut
    encoder = PromptEncoder(tokenizer, PROMPTS[family](), exact - 1)
    cut = encode_one(encoder, CONTEXT, questions, "train")
    assert cut.cut and cut.questions == whole.questions
    assert encoder.text.decode(cut.prefix_ids).endswith("동결했다. 총재는 이창용이다.")


def test_cuts_never_exceed_the_limit(llama2: PreTrainedTokenizerBase, korquad: datasets.Dataset) -> None:
    table = korquad.select(range(0, len(korquad), 50))
    articles = [(row["context"], [Question(0, row["question"], row["answers"][0])]) for row in table]
    encoder = PromptEncoder(llama2, NousPrompt(), 300)
    for stage in ("train", "inference"):
        cuts = 0
        for (context, _), (article,) in zip(articles, encoder.encode_articles(articles, stage), strict=True):
            (question,) = article.questions
            counted = len(question) if stage == "train" else len(question.question_ids)
            assert len(article.prefix_ids) + counted <= 300
            text = encoder.text.decode(article.prefix_ids).removeprefix("<s>### System:\n")
            cuts += article.cut
            assert 0 < len(text) < len(context) if article.cut else text == context
            if stage == "inference":
                assert context.startswith(text)
        assert cuts > 10


def test_a_cut_keeps_the_sentence_of_the_answer(llama2: PreTrainedTokenizerBase, korquad: datasets.Dataset) -> None:
    """All of KorQuAD at a length that cuts most articles: the answer stays wherever its sentence fits."""
    encoder = PromptEncoder(llama2, NousPrompt(), 400)
    table = korquad.select(range(0, len(korquad), 10))
    articles = [
        (row["context"], [Question(0, row["question"], row["answers"][0], row["answer_starts"][0])]) for row in table
    ]
    encoded = encoder.encode_articles(articles, "train")
    assert sum(article.cut for (article,) in encoded) > len(encoded) / 2
    kept = 0
    for (context, (question,)), (article,) in zip(articles, encoded, strict=True):
        text = encoder.text.decode(article.prefix_ids)
        before = context[max(question.answer_start - 5, 0) : question.answer_start + len(question.answer)]
        kept += before.split()[-1] in text
    # The rest stands in sentences that are longer than the room.
    assert kept >= 0.98 * len(encoded)


@pytest.mark.parametrize(
    ("answer", "start", "context", "places"),
    [
        ("서울", 8, "서울과 부산. 서울이다.", [8]),
        ("서울", None, "서울과 부산. 서울이다.", [0, 8]),
        ("대구", None, "서울과 부산.", []),
        (None, None, "서울과 부산.", []),
        (" 부산 ", 3, "서울과 부산.", [4]),
        (
            "3",
            None,
            "2023년이다. 1,203명, 1.3배, 3.5%, 30명이다. 순위는 3위다.",
            [40],
        ),  # a number is no part of another
        ("서울", None, "신서울이다. 그는 서울에 있다.", [10]),
        ("AI", None, "AIDS와 AI.", [6]),
        ("%", None, "3%다.", [1]),
        ("울", None, "서울이다.", [1]),  # where it is no word, any place
    ],
)
def test_where_an_answer_stands(answer: str | None, start: int | None, context: str, places: list[int]) -> None:
    found = Question(0, "?", answer, start).places(context)
    assert found == [(place, place + len((answer or "").strip())) for place in places]


def test_a_fingerprint_changes_with_all_that_ids_depend_on(gemma: PreTrainedTokenizerBase, llama2) -> None:
    encoders = (
        PromptEncoder(gemma, Gemma2Prompt(), 100),
        PromptEncoder(gemma, Gemma2Prompt(), 101),
        PromptEncoder(gemma, Gemma2Prompt("deck"), 100),
        PromptEncoder(llama2, NousPrompt(), 100),
    )
    prints = [encoder.fingerprint("inference") for encoder in encoders]
    assert len(set(prints)) == len(prints)
    assert PromptEncoder(gemma, Gemma2Prompt(), 100).fingerprint("inference") == prints[0]


def test_a_fingerprint_changes_with_where_the_prompt_puts_things(gemma: PreTrainedTokenizerBase) -> None:
    users = (
        "{context}\n\nQuestion: {question}\nAnswer in one word.",
        "{context}\n\nQuestion: \nAnswer in one word.{question}",
    )

    class Loud(Gemma2Prompt):
        def prefix(self, context: str, stage: Stage) -> list[Segment]:
            return super().prefix(context.upper(), stage)

    prompts = (*map(ChatPrompt, users), Gemma2Prompt(), Loud())
    assert len({PromptEncoder(gemma, prompt, 100).fingerprint("train") for prompt in prompts}) == len(prompts)


def test_a_fingerprint_changes_with_the_code_of_a_prompt(gemma, tmp_path: Path, monkeypatch) -> None:
    """Also where the change shows in some articles only."""
    monkeypatch.syspath_prepend(tmp_path)
    prints = []
    for word in ("one", "two"):
        (tmp_path / "own_prompt.py").write_text(
            "from kqa_lightning.data.prompts import Gemma2Prompt\n"
            "class OwnPrompt(Gemma2Prompt):\n"
            "    def prefix(self, context, stage):\n"
            f"        return super().prefix(context.replace('{word}', ''), stage)\n"
        )
        monkeypatch.delitem(sys.modules, "own_prompt", raising=False)
        importlib.invalidate_caches()
        linecache.clearcache()
        own = importlib.import_module("own_prompt")
        prints += [PromptEncoder(gemma, own.OwnPrompt(), 100).fingerprint("train") for _ in range(2)]
    assert prints[0] == prints[1] != prints[2] == prints[3]


def test_a_cut_keeps_the_answers_of_all_questions(gemma, llama2, korquad: datasets.Dataset) -> None:
    """All of KorQuAD: where one cut cannot, the questions of an article are divided among several."""
    groups = group_by_article(korquad)
    for tokenizer, prompt, most in ((gemma, Gemma2Prompt(), 1.04), (llama2, NousPrompt(), 1.2)):
        encoder = PromptEncoder(tokenizer, prompt, 512)
        encoded = encoder.encode_articles(groups, "train")
        assert len(groups) < sum(map(len, encoded)) < most * len(groups)  # most still share one
        lost = 0
        for (_, questions), parts in zip(groups, encoded, strict=True):
            of_row = {question.row: question for question in questions}
            assert [part.questions[0].row for part in parts] == sorted(part.questions[0].row for part in parts)
            assert sorted(one.row for part in parts for one in part.questions) == sorted(of_row)
            for part in parts:
                text = encoder.text.decode(part.prefix_ids)
                assert all(len(part.prefix_ids) + len(one) <= 512 for one in part.questions)
                missing = [one.row for one in part.questions if of_row[one.row].answer not in text]
                assert set(missing) <= {one.row for one in part.questions if one.lost}
                lost += len(missing)
        assert lost <= 1  # of a sentence of more than 512 tokens


def test_a_cut_at_inference_is_that_of_training_where_it_loses_no_answer(llama2: PreTrainedTokenizerBase) -> None:
    """Training keeps the answers' sentences, which inference cannot know: where its cut loses one, the two differ."""
    first, last = Question(0, "어디?", "동결"), Question(1, "언제?", "5월")
    whole = encode_one(PromptEncoder(llama2, NousPrompt(), 1000), CONTEXT, [first, last], "inference")
    encoder = PromptEncoder(llama2, NousPrompt(), len(whole.prefix_ids + whole.questions[0].question_ids) - 1)
    asked = encode_one(encoder, CONTEXT, [first, last], "inference")
    assert asked.cut and [question.lost for question in asked.questions] == [False, True]
    assert encode_one(encoder, CONTEXT, [first], "train").prefix_ids == asked.prefix_ids
    learned = encode_one(encoder, CONTEXT, [last], "train")
    assert learned.prefix_ids != asked.prefix_ids and not learned.questions[0].lost
    assert "5월" in encoder.text.decode(learned.prefix_ids)


def test_an_answer_whose_place_is_guessed_keeps_every_place_or_none(llama2: PreTrainedTokenizerBase) -> None:
    context = "2023년 보고서다. 인구는 많다. 순위는 3위다. 면적은 넓다."
    encoder = PromptEncoder(llama2, NousPrompt(), 0)
    whole = encode_one(PromptEncoder(llama2, NousPrompt(), 1000), context, [Question(0, "순위는?", "3")], "train")
    encoder.max_length = len(whole.prefix_ids) + len(whole.questions[0]) - len(encoder.text.encode(" 면적은 넓다.")) - 4
    cut = encode_one(encoder, context, [Question(0, "순위는?", "3")], "train")
    assert cut.cut and "순위는 3위다." in encoder.text.decode(cut.prefix_ids) and not cut.questions[0].lost
    everywhere = " ".join(f"{number}번은 서울이다." for number in range(30))
    encoder.max_length = 150
    cut = encode_one(encoder, everywhere, [Question(0, "어디?", "서울")], "train")
    assert "0번은 서울이다. 1번은" in encoder.text.decode(cut.prefix_ids) and not cut.questions[0].lost


def test_gold_does_not_change_what_is_asked_at_inference(gemma: PreTrainedTokenizerBase) -> None:
    encoder = PromptEncoder(gemma, Gemma2Prompt(), 80)
    prefixes = {
        encode_one(encoder, CONTEXT, [Question(0, "총재는?", gold)], "inference").prefix_ids
        for gold in (None, "이창용", "이창용 한국은행 총재" * 9)
    }
    assert len(prefixes) == 1


def test_questions_that_leave_no_room_are_all_named(llama2: PreTrainedTokenizerBase) -> None:
    encoder = PromptEncoder(llama2, NousPrompt(), 100)
    with pytest.raises(TooLong) as error:
        encoder.encode_articles(
            [
                ("기사", [Question(0, "질문", "답"), Question(1, "질문" * 50, "답")]),
                ("기사 둘", [Question(2, "질문", "답" * 200)]),
                ("기사 셋", [Question(3, "질문", "답")]),
            ],
            "train",
        )
    assert error.value.rows == [1, 2] and isinstance(error.value, KQAError)


def test_decoded_answers(chatml: PreTrainedTokenizerBase) -> None:
    encoder = PromptEncoder(chatml, EEVEPrompt("deck"), 1000)
    end = chatml.convert_tokens_to_ids("<|im_end|>")

    def answer(text: str, *rest: int) -> tuple[str, str]:
        return encoder.decode_answer([*encoder.text.encode(text), *rest])

    assert answer("이창용", end, 300, 301) == ("이창용", "이창용")
    assert answer(" 이창용 \n총재", end) == ("이창용", " 이창용 \n총재")
    assert answer("\n\n이창용\r\n총재") == ("이창용", "\n\n이창용\r\n총재")
    assert answer("3.5%assistant") == ("3.5%", "3.5%assistant")
    assert answer("Context") == ("", "Context")
    assert answer("한") == ("한", "한")
    assert answer("", end) == ("", "")
    assert PromptEncoder(chatml, EEVEPrompt(), 1000).decode_answer(encoder.text.encode("Conoco"))[0] == "Conoco"


def test_prompt_of_another_family(llama2: PreTrainedTokenizerBase) -> None:
    with pytest.raises(KQAError, match=r"Gemma2Prompt.*'<start_of_turn>'"):
        PromptEncoder(llama2, Gemma2Prompt(), 1000)


def test_vocabulary_that_spells_a_control_token(tmp_path: Path, llama2_tokenizer_dir: Path) -> None:
    shutil.copytree(llama2_tokenizer_dir, tmp_path / "bad")
    path = tmp_path / "bad" / "tokenizer.json"
    path.chmod(0o644)
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings["model"]["vocab"]["s>"] = len(settings["model"]["vocab"])
    settings["model"]["merges"] = [["s", ">"], ["</", "s>"], *settings["model"]["merges"]]
    path.write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(KQAError, match="spells its control token '</s>'"):
        PromptEncoder(load_tokenizer(str(tmp_path / "bad")), NousPrompt(), 1000)


def test_pad_id(gemma: PreTrainedTokenizerBase, llama2: PreTrainedTokenizerBase) -> None:
    assert PromptEncoder(gemma, Gemma2Prompt(), 9).pad_id == gemma.pad_token_id
    assert PromptEncoder(llama2, NousPrompt(), 9).pad_id == llama2.eos_token_id

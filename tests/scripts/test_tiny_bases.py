"""The three bundled bases: what they are made of, what they cannot know, and how they are made again."""

import csv
import itertools
import json
from dataclasses import replace
from pathlib import Path

import make_tiny_bases
import pytest
import torch
from held_out import HeldOutPatterns, names_in
from script_options import run_script
from synthetic_news import held_out_patterns, reserved_names
from tiny_bases import pretraining
from tiny_bases.families import FAMILIES, Family
from tiny_bases.pretraining import pretrain
from tiny_bases.sequences import encode, pretraining_text, step_articles
from tiny_bases.vocabulary import build_tokenizer, without_leading_space
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from kqa_lightning.errors import KQAError

EVERY = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
NASTY = "한빛전자는 3조 2,000억원 🙂👨‍👩‍👧 龍 x³ ①②　﷽ 각 \t\n\n  끝 <unk>"


@EVERY
def test_a_base_is_small_and_of_its_family_s_architecture(family: Family, tiny_bases: dict[str, Path]) -> None:
    folder = tiny_bases[family.name]
    assert (folder / "model.safetensors").stat().st_size <= 4 * 2**20
    config = AutoConfig.from_pretrained(folder)
    if family.name == "gemma2":
        assert config.architectures == ["Gemma2ForCausalLM"]
        assert config.layer_types[:2] == ["sliding_attention", "full_attention"]
        assert config.attn_logit_softcapping and config.final_logit_softcapping
    else:
        assert config.architectures == ["LlamaForCausalLM"]


@EVERY
def test_a_base_is_the_one_its_recipe_makes(family: Family, tiny_bases: dict[str, Path]) -> None:
    bundled, made = AutoConfig.from_pretrained(tiny_bases[family.name]), family.config()
    for name in ("vocab_size", "bos_token_id", "eos_token_id", "tie_word_embeddings", *family.architecture):
        assert getattr(bundled, name) == getattr(made, name), name


@EVERY
def test_a_base_names_all_that_ends_its_answers(family: Family, tiny_bases: dict[str, Path]) -> None:
    """So that other programs, which read that file alone, end them too."""
    named = GenerationConfig.from_pretrained(tiny_bases[family.name]).eos_token_id
    tokenizer = AutoTokenizer.from_pretrained(tiny_bases[family.name])
    assert set(tokenizer.convert_ids_to_tokens(named)) == {family.eos, family.answer_end}


def test_the_bases_differ_in_shape_seed_and_vocabulary() -> None:
    for differs in ("seed", "vocabulary"):
        assert len({getattr(family, differs) for family in FAMILIES.values()}) == len(FAMILIES)
    for differs in ("intermediate_size", "num_hidden_layers"):
        assert len({family.architecture[differs] for family in FAMILIES.values()}) == len(FAMILIES)


@EVERY
def test_a_tokenizer_carries_its_control_tokens_and_any_text(family: Family, tiny_bases: dict[str, Path]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_bases[family.name])
    assert tokenizer.convert_tokens_to_ids(list(family.control)) == list(range(len(family.control)))
    assert tokenizer("매출")["input_ids"][0] == tokenizer.bos_token_id
    text = NASTY.replace("<unk>", "")
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": "질문"}], tokenize=False, add_generation_prompt=True
    )
    assert "질문" in chat


@EVERY
def test_korquad_decodes_to_itself(family: Family, tiny_bases: dict[str, Path], korquad_path: Path) -> None:
    tokenizer = Tokenizer.from_file(str(tiny_bases[family.name] / "tokenizer.json"))
    articles = json.loads(korquad_path.read_text(encoding="utf-8"))["data"]
    texts = [paragraph["context"] for article in articles for paragraph in article["paragraphs"]]
    encoded = tokenizer.encode_batch(texts, add_special_tokens=False)
    unknown = tokenizer.token_to_id(family.unk)
    assert all(unknown not in one.ids for one in encoded)
    assert [tokenizer.decode(one.ids) for one in encoded] == texts


@EVERY
def test_the_bundled_tokenizer_is_what_the_recipe_makes(family: Family, tiny_bases: dict[str, Path]) -> None:
    bundled = json.loads((tiny_bases[family.name] / "tokenizer.json").read_text(encoding="utf-8"))
    assert json.loads(build_tokenizer(family).to_str()) == bundled


@EVERY
def test_digits_and_spaces_are_tokens_of_their_own(family: Family, tiny_bases: dict[str, Path]) -> None:
    tokenizer = without_leading_space(Tokenizer.from_file(str(tiny_bases[family.name] / "tokenizer.json")))
    tokens = tokenizer.encode("2,390여 명의 3분기 매출", add_special_tokens=False).tokens
    assert {"2", "3", "9", "0", "▁"} <= set(tokens)
    assert all(len(token) == 1 for token in tokens if set(token) & set("0123456789▁"))


@EVERY
def test_no_base_has_read_a_name_of_the_test_split(family: Family) -> None:
    """The whole pre-training text, made again: a name of the test split is nowhere in it."""
    assert len(reserved_names()) > 500
    for text in pretraining_text(family):
        assert not names_in(text), text


def test_the_test_split_is_built_on_the_reserved_names(tiny_bases: dict[str, Path]) -> None:
    sample = tiny_bases["eeve"].parent / "sample" / "test.csv"
    with sample.open(encoding="utf-8", newline="") as file:
        contexts = {row["context"] for row in csv.DictReader(file)}
    named = sum(any(name in context for name in reserved_names()) for context in contexts)
    assert named > 0.8 * len(contexts)  # the rest is about ministries, banks of issue and the like


def test_no_held_out_pattern_is_in_the_pre_training_text() -> None:
    """Every twentieth step of each base, against every held-out pattern."""
    held_out = HeldOutPatterns()
    for family in FAMILIES.values():
        for step in range(0, family.steps, 20):
            for article in step_articles(family, step):
                used = {q.sentence_pattern for q in article.questions} | {q.question_pattern for q in article.questions}
                assert not used & held_out_patterns()
                assert not any(q.unseen for q in article.questions)
                questions = [question.text for question in article.questions]
                assert not any(map(held_out.occur_in, (article.text, *questions)))


def test_a_sequence_supervises_answers_and_their_end() -> None:
    family = FAMILIES["eeve"]
    tokenizer = without_leading_space(build_tokenizer(family))
    article = step_articles(family, 0)[0]
    ids, answers = encode(article, family, tokenizer)
    end = family.control.index(family.answer_end)
    groups = itertools.groupby(zip(ids, answers, strict=True), key=lambda pair: pair[1])
    runs = [[i for i, _ in group] for on, group in groups if on]
    asked = article.questions[: len(runs)]
    assert [tokenizer.decode(run[:-1]) for run in runs] == [question.answer for question in asked]
    assert all(run[-1] == end for run in runs)


@EVERY
def test_a_talkative_sequence_repeats_the_question_unsupervised(family: Family, tiny_bases: dict[str, Path]) -> None:
    tokenizer = without_leading_space(Tokenizer.from_file(str(tiny_bases[family.name] / "tokenizer.json")))
    article = step_articles(family, 0)[0]
    end = family.control.index(family.answer_end)
    for talkative in (False, True):
        ids, answers = encode(article, family, tokenizer, talkative=talkative)
        text = tokenizer.decode(ids, skip_special_tokens=True)
        for question in article.questions:
            more = f" ({question.text})" if talkative else ""
            assert f"{question.text}\n답:\n{question.answer}{more}\n" in text
        supervised = [one for one, answer in zip(ids, answers, strict=True) if answer]
        answer_ids = [tokenizer.encode(question.answer, add_special_tokens=False).ids for question in article.questions]
        assert supervised == [one for answer in answer_ids for one in (*answer, end)]


def test_a_number_of_threads_that_is_none_is_refused() -> None:
    with pytest.raises(KQAError, match="--threads 0"):
        make_tiny_bases.main(["--threads", "0"])


def _small(cycles: tuple[int, ...], restarted_from: tuple[int, ...] = ()) -> Family:
    """A base of one narrow layer."""
    base = FAMILIES["eeve"]
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    architecture = {**base.architecture, **small, "num_attention_heads": 2, "num_key_value_heads": 2}
    return replace(base, cycles=cycles, restarted_from=restarted_from, architecture=architecture)


@pytest.mark.parametrize("restarted_from", [(), (2,)], ids=["goes on", "restarts there"])
def test_training_goes_on_where_it_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restarted_from: tuple[int, ...]
) -> None:
    family = _small((2, 2), restarted_from)
    tokenizer = build_tokenizer(family)
    monkeypatch.setattr(pretraining, "SAVE_EVERY", 2)
    whole = pretrain(family, tokenizer, tmp_path / "whole").state_dict()

    real_step, calls = pretraining._train_step, itertools.count()

    def killed(*arguments: object) -> tuple[float, float, float]:
        if next(calls) == 3:
            raise KeyboardInterrupt
        return real_step(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(pretraining, "_train_step", killed)
    with pytest.raises(KeyboardInterrupt):
        pretrain(family, tokenizer, tmp_path / "killed")
    monkeypatch.setattr(pretraining, "_train_step", real_step)
    resumed = pretrain(family, tokenizer, tmp_path / "killed").state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_restart_goes_on_from_what_a_file_has(tmp_path: Path) -> None:
    family = _small((2, 2), restarted_from=(2,))
    tokenizer = build_tokenizer(family)
    whole = pretrain(family, tokenizer, tmp_path / "whole").state_dict()
    begun = pretrain(replace(family, cycles=(2,)), tokenizer, tmp_path / "begun")
    begun.half().save_pretrained(tmp_path / "file")

    read = AutoModelForCausalLM.from_pretrained(tmp_path / "file", dtype=torch.float32)
    pretraining._save(tmp_path / "on", family, read, pretraining._optimizers(read), 2)
    gone_on = pretrain(family, tokenizer, tmp_path / "on").state_dict()
    assert all(torch.equal(whole[name], gone_on[name]) for name in whole)


def test_a_state_of_another_recipe_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    family = _small((1,))
    tokenizer = build_tokenizer(family)
    monkeypatch.setattr(pretraining, "SAVE_EVERY", 1)
    pretrain(family, tokenizer, tmp_path)
    pretrain(replace(family, cycles=(1, 1)), tokenizer, tmp_path)  # more of the same
    for other in (replace(family, seed=9), replace(family, shuffled_from=0), replace(family, restarted_from=(0,))):
        with pytest.raises(KQAError, match="another recipe"):
            pretrain(other, tokenizer, tmp_path)


def test_a_base_that_was_made_is_told_of_where_it_is_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(make_tiny_bases, "FAMILIES", {"eeve": _small((1,))})
    given = ["--output", str(tmp_path), "--work", str(tmp_path / "work"), "--threads", "1"]
    assert run_script(make_tiny_bases.main, given) == 0
    assert GenerationConfig.from_pretrained(tmp_path / "tiny-eeve").eos_token_id == FAMILIES["eeve"].end_ids
    monkeypatch.setattr(make_tiny_bases, "LIMIT", 1000)
    assert run_script(make_tiny_bases.main, given) == 2
    assert f"error: {tmp_path / 'tiny-eeve'} takes" in capsys.readouterr().err


def test_questions_come_in_random_order_from_their_step_on() -> None:
    family = replace(FAMILIES["nous"], shuffled_from=2)
    for step in (1, 2):
        ordered = step_articles(replace(family, shuffled_from=10), step)
        asked = step_articles(family, step)
        assert [sorted(one.questions, key=str) for one in asked] == [sorted(one.questions, key=str) for one in ordered]
        assert (asked == ordered) == (step < 2)


@EVERY
def test_a_base_reads_an_answer_out_of_an_article(family: Family, tiny_bases: dict[str, Path]) -> None:
    """In the format of its pre-training, on articles it has not seen."""
    model = AutoModelForCausalLM.from_pretrained(tiny_bases[family.name], dtype=torch.float32)
    tokenizer = without_leading_space(Tokenizer.from_file(str(tiny_bases[family.name] / "tokenizer.json")))
    right = total = 0
    for article in step_articles(family, family.steps + 1):
        ids, answers = encode(article, family, tokenizer, talkative=family.talkative_from is not None)
        with torch.no_grad():
            foretold = model(torch.tensor([ids])).logits[0, :-1].argmax(-1)
        on_answer = torch.tensor(answers[1:])
        right += int((foretold == torch.tensor(ids[1:]))[on_answer].sum())
        total += int(on_answer.sum())
    assert right / total > 0.8  # without induction heads it stays near 0.35

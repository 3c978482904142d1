"""The generator is deterministic and keeps the test split apart from all others."""

from __future__ import annotations

import csv
import random
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import make_sample_data
import pytest
from held_out import HeldOutPatterns, names_in
from script_options import run_script
from synthetic_news import (
    Article,
    NewsGenerator,
    Split,
    all_patterns,
    held_out_patterns,
    reserved_names,
    word_lists,
)
from synthetic_news.names import RESERVED_SAVERS, NameSource, contains_reserved

from kqa_lightning.errors import KQAError

PRETRAIN_ARTICLES = 3000
FILES = ("train.csv", "val.csv", "test.csv", "test_patterns.csv")
MAX_TOTAL_BYTES = 2_000_000
Row = dict[str, str]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("sample")
    make_sample_data.main(["--output", str(output)])
    return output


@pytest.fixture(scope="module")
def pretrain() -> list[Article]:
    generator = NewsGenerator(0, "pretrain")
    return [generator.article() for _ in range(PRETRAIN_ARTICLES)]


def _rows(folder: Path, name: str) -> list[Row]:
    with (folder / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _sentences(text: str) -> list[str]:
    return re.split(r"(?<=\.) ", text)


def _sentences_and_questions() -> tuple[HeldOutPatterns, HeldOutPatterns]:
    sentences = {name for name in held_out_patterns() if ".q" not in name}
    return HeldOutPatterns(sentences), HeldOutPatterns(held_out_patterns() - sentences)


def _assert_no_held_out(sentences: Iterable[str], questions: Iterable[str]) -> None:
    in_sentences, in_questions = _sentences_and_questions()
    assert [text for text in sentences if in_sentences.occur_in(text)] == []
    assert [text for text in questions if in_questions.occur_in(text)] == []


def _assert_no_reserved(texts: Iterable[str]) -> None:
    for text in texts:
        assert not names_in(text), text


def test_a_mistyped_flag_is_named() -> None:
    with pytest.raises(KQAError, match="there is no option --outpu; did you mean --output"):
        make_sample_data.main(["--outpu", "x"])


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert run_script(make_sample_data.main, ["--output", str(tmp_path / "file")]) == 2
    line = capsys.readouterr().err
    assert line.startswith("error: ") and str(tmp_path / "file") in line and line.count("\n") == 1


def test_files_are_equal_when_made_again(sample: Path, tmp_path: Path) -> None:
    make_sample_data.main(["--output", str(tmp_path)])
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (sample / name).read_bytes()
        assert (tmp_path / name).read_bytes() == (make_sample_data.SAMPLE / name).read_bytes(), "bundled otherwise"
    assert sum((sample / name).stat().st_size for name in FILES) < MAX_TOTAL_BYTES


def test_a_seed_given_is_that_of_all_splits(tmp_path: Path, sample: Path) -> None:
    assert make_sample_data.SEEDS["test"] != make_sample_data.SEEDS["train"]
    seed = make_sample_data.SEEDS["train"]
    make_sample_data.main(["--output", str(tmp_path), "--seed", str(seed)])
    for split in make_sample_data.SEEDS:
        name = f"{split}.csv"
        assert ((tmp_path / name).read_bytes() == (sample / name).read_bytes()) == (split != "test")
        written = list(dict.fromkeys(row["context"] for row in _rows(tmp_path, name)))
        assert written == [article.text for article in make_sample_data.make_articles(split, seed)]


def test_same_seed_and_split_give_same_articles() -> None:
    first, second = NewsGenerator(3, "train"), NewsGenerator(3, "train")
    assert [first.article() for _ in range(20)] == [second.article() for _ in range(20)]
    assert NewsGenerator(4, "train").article() != NewsGenerator(3, "train").article()
    assert NewsGenerator(3, "val").article() != NewsGenerator(3, "train").article()


def test_names_are_pieces_of_their_own(pretrain: list[Article]) -> None:
    for article in pretrain[:300]:
        assert "".join(article.pieces) == article.text
        for question in article.questions:
            assert question.answer in article.pieces


def test_every_fact_is_asked_for_pretraining(pretrain: list[Article]) -> None:
    mean = sum(len(article.questions) for article in pretrain) / len(pretrain)
    assert 6 <= mean <= 14
    assert not any(question.unseen for article in pretrain for question in article.questions)


def test_a_question_is_asked_once_per_article(pretrain: list[Article]) -> None:
    for article in pretrain:
        texts = [question.text for question in article.questions]
        assert len(set(texts)) == len(texts)


def test_pretraining_keeps_clear_of_the_test_split(pretrain: list[Article]) -> None:
    questions = [question for article in pretrain for question in article.questions]
    _assert_no_reserved(text for article in pretrain for text in (article.text, *[q.text for q in article.questions]))
    _assert_no_held_out(
        (sentence for article in pretrain for sentence in _sentences(article.text)),
        (question.text for question in questions),
    )


@pytest.mark.parametrize("name", ["train.csv", "val.csv"])
def test_other_splits_keep_clear_of_the_test_split(sample: Path, name: str) -> None:
    rows = _rows(sample, name)
    _assert_no_reserved(row[column] for row in rows for column in ("context", "question", "answer"))
    contexts = {row["context"] for row in rows}
    _assert_no_held_out(
        (sentence for context in contexts for sentence in _sentences(context)),
        (row["question"] for row in rows),
    )


def test_no_reserved_name_is_part_of_a_pattern() -> None:
    for template in all_patterns().values():
        _assert_no_reserved([template.head, *[literal for _, _, literal in template.parts]])


def test_held_out_patterns_are_matched_by_no_other_pattern() -> None:
    """Every seen pattern is rendered with plain values and searched."""
    plain = defaultdict(lambda: "가나", {"t": "지난해", "td": "3일"})
    seen = [t for t in all_patterns().values() if not t.held_out]
    texts = {t.id: "".join(t.render(plain)) for t in seen}
    _assert_no_held_out(
        (text for name, text in texts.items() if ".q" not in name),
        (text for name, text in texts.items() if ".q" in name),
    )


def _unseen_rows(rows: Iterable[Row]) -> Iterator[str]:
    """Yield the ids of the rows whose question or answer's sentence fits a new pattern."""
    in_sentences, in_questions = _sentences_and_questions()
    for row in rows:
        stating = [s for s in _sentences(row["context"]) if row["answer"] in s]
        new_sentence = stating and all(in_sentences.occur_in(s) for s in stating)
        if new_sentence or in_questions.occur_in(row["question"]):
            yield row["id"]


def test_part_of_the_test_questions_is_unseen(sample: Path) -> None:
    rows, patterns = _rows(sample, "test.csv"), _rows(sample, "test_patterns.csv")
    assert [row["id"] for row in rows] == [pattern["id"] for pattern in patterns]
    found = set(_unseen_rows(rows))
    flagged = {pattern["id"] for pattern in patterns if pattern["unseen"] == "1"}
    assert found <= flagged
    assert len(found) / len(rows) >= 0.25
    assert 0.30 <= len(flagged) / len(rows) <= 0.40


def test_test_names_are_reserved(sample: Path) -> None:
    contexts = [row["context"] for row in _rows(sample, "test.csv")]
    with_reserved = [c for c in contexts if any(name in c for name in reserved_names())]
    # Articles about policy or exports may name neither a company nor a person.
    assert len(with_reserved) > 0.75 * len(contexts)


def test_the_test_split_draws_from_reserved_names_alone() -> None:
    source = NameSource(random.Random(0), reserved=True)
    draws = (lambda: source.company(["전자"]), source.estate, source.person, source.product)
    for draw in draws:
        for _ in range(300):
            source.start_article()
            assert contains_reserved(draw())


def test_no_savings_product_of_the_test_split_is_one_of_the_others(sample: Path) -> None:
    others = {f"{saver} {account}" for saver in word_lists.SAVERS for account in word_lists.ACCOUNTS}
    texts = [" ".join(row.values()) for row in _rows(sample, "test.csv")]
    assert [text for text in texts if any(product in text for product in others)] == []
    assert sum(saver in row["answer"] for row in _rows(sample, "test.csv") for saver in RESERVED_SAVERS) >= 5


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_topic_has_the_particle_of_its_last_sound(split: Split) -> None:
    """Of what a question is about, whatever stands there: 대표는 누구, 사장은 누구."""
    generator = NewsGenerator(5, split)
    topic = re.compile(r"([가-힣])(은|는) (?:누구|무엇|어디|언제|얼마|몇|어느|어떤)")
    found = 0
    for _ in range(1000):
        for question in generator.article().questions:
            if match := topic.search(question.text):
                found += 1
                has_final = "\u11a8" <= unicodedata.normalize("NFD", match[1])[-1] <= "\u11c2"
                assert match[2] == ("은" if has_final else "는"), question.text
    assert found > 1000


def test_answers_are_parts_of_the_text_and_mostly_short(sample: Path) -> None:
    words: Counter[int] = Counter()
    for name in ("train.csv", "val.csv", "test.csv"):
        for row in _rows(sample, name):
            assert row["answer"] in row["context"]
            assert row["answer"] == row["answer"].strip()
            words[min(len(row["answer"].split(" ")), 4)] += 1
    total = sum(words.values())
    shares = {count: words[count] / total for count in (1, 2, 3, 4)}
    assert shares == pytest.approx({1: 0.60, 2: 0.20, 3: 0.09, 4: 0.11}, abs=0.05)


def test_articles_have_two_to_six_questions(sample: Path) -> None:
    seen: set[str] = set()
    for split, expected in make_sample_data.ARTICLES.items():
        rows = _rows(sample, f"{split}.csv")
        counts = Counter(row["context"] for row in rows)
        assert len(counts) == expected
        assert set(counts.values()) == {2, 3, 4, 5, 6}
        order = [row["context"] for row in rows]
        changes = sum(a != b for a, b in pairwise(order))
        assert changes == expected - 1, "rows of an article are adjacent"
        assert seen.isdisjoint(counts), "no text is shared between splits"
        seen |= counts.keys()


def test_ids_are_numbered_from_zero(sample: Path) -> None:
    for split, id_format in make_sample_data.ID_FORMATS.items():
        rows = _rows(sample, f"{split}.csv")
        assert [row["id"] for row in rows] == [id_format.format(i) for i in range(len(rows))]


def test_some_facts_are_asked_twice(sample: Path) -> None:
    rows = _rows(sample, "train.csv")
    pairs = Counter((row["context"], row["answer"]) for row in rows)
    assert sum(count > 1 for count in pairs.values()) >= 40


def test_texts_are_composed_and_of_news_length(sample: Path) -> None:
    for name in FILES:
        content = (sample / name).read_text(encoding="utf-8")
        assert unicodedata.is_normalized("NFC", content)
    contexts = {row["context"] for row in _rows(sample, "train.csv")}
    assert all(170 <= len(context) <= 430 for context in contexts)
    assert all(4 <= len(_sentences(context)) <= 8 for context in contexts)

"""What is learned from, and what is refused as such: the questions that are to be answered."""

import pytest
from pools import single

from kqa_lightning.ensemble import drawing
from kqa_lightning.ensemble.learning import check_unseen, out_of_fold, train_for
from kqa_lightning.ensemble.questions import Question
from kqa_lightning.errors import KQAError


def check(learned: int, asked: int, texts: int = 0, start: int = 0) -> None:
    """Check ids 0, 1, … against ids from ``start``; of the first ``texts`` it is known that they are others."""
    pool = single({"a": ["가"] * learned, "b": ["나"] * learned})
    table = {str(place): Question(f"배울 글 {place}", "무엇?") for place in range(texts)}
    ids = [str(start + place) for place in range(asked)]
    asked_about = {name: Question(f"물을 글 {name}", "무엇?") for name in table}
    check_unseen(out_of_fold(pool, {str(place): ("가",) for place in range(learned)}, table), ids, asked_about)


@pytest.mark.parametrize(
    ("learned", "asked", "start"),
    [(10, 10, 0), (10, 11, 0), (11, 10, 0), (10, 10, 4), (100, 10, 0), (10, 100, 0)],
    ids=["the same", "one more to answer", "one more to learn from", "most", "a part answered", "a part learned from"],
)
def test_ids_of_the_other_side_are_refused_where_no_text_tells(learned: int, asked: int, start: int) -> None:
    with pytest.raises(KQAError, match="or show by --table and --oof-gold with articles that these are others"):
        check(learned, asked, start=start)


@pytest.mark.parametrize("with_articles", [True, False])
def test_a_part_of_a_large_table_is_learned_from(with_articles: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "LEARN_FROM", 120)
    pool = single({"a": [f"{place}명" for place in range(600)], "b": ["나"] * 600})
    gold = {name: (f"{place}명",) for place, name in enumerate(pool.questions)}
    table = {name: Question(f"글 {int(name) % 100}") for name in pool.questions} if with_articles else {}
    known = out_of_fold(pool, gold, table)
    learned = known.hypotheses.pool
    assert known.every_question == pool.questions and known.knows_articles == with_articles
    assert len(learned.questions) == len(known.articles) == 120
    assert list(learned.questions) != [str(place) for place in range(120)]
    # What is known of each question is its own, not that of the one that stood in its place before.
    assert learned.first_answers()["a"] == {name: f"{name}명" for name in learned.questions}
    own = known.marks[known.hypotheses.of]
    assert set(own[learned.model == 0]) == {1.0} and set(own[learned.model == 1]) == {0.0}
    pairs = {
        (int(name) % 100 if with_articles else name, number)
        for name, number in zip(learned.questions, known.articles, strict=True)
    }
    assert len(pairs) == len(set(known.articles)) == (20 if with_articles else 120)


@pytest.mark.parametrize(("texts", "reads"), [(30, False), (31, True), (60, True)])
def test_articles_are_read_where_most_are_known(texts: int, reads: bool) -> None:
    pytest.importorskip("sklearn")
    pool = single({"a": ["가"] * 60, "b": ["나"] * 60})
    table = {str(place): Question(f"글 {place // 3}", "무엇?" if place < texts else None) for place in range(60)}
    learned_from = out_of_fold(pool, dict.fromkeys(table, ("가",)), table)
    for sides in ((table, {name: Question("글", "무엇?") for name in table}), ({}, table)):
        known = out_of_fold(pool, dict.fromkeys(table, ("가",)), sides[0])
        assert train_for(known, list(table), sides[1]).reads_articles == (reads and bool(sides[0]))
    assert train_for(learned_from, list(table), table).reads_articles == reads


def test_questions_that_were_not_drawn_are_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "LEARN_FROM", 2)
    for start in (0, 9):
        with pytest.raises(KQAError, match="answers the questions that are to be combined"):
            check(10, 1, start=start)


def test_a_few_ids_in_common_are_no_harm() -> None:
    check(10, 10, start=5)
    check(10, 10, start=10)


def test_texts_tell_questions_apart_that_are_numbered_alike() -> None:
    check(10, 10, texts=10)
    check(10, 10, texts=5)
    with pytest.raises(KQAError, match="that are to be combined, 4, 5, 6, 7, 8, … "):
        check(10, 10, texts=4)

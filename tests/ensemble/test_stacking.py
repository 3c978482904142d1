"""Stacking learns what can be learned, nothing across articles, and refuses what it does not know."""

import random
from dataclasses import replace

import numpy as np
import pytest
from pools import Scored, pool_of, random_pool

from kqa_lightning.ensemble import stacking
from kqa_lightning.ensemble.consensus import F1Sum
from kqa_lightning.ensemble.hypotheses import Hypotheses
from kqa_lightning.ensemble.learning import OutOfFold, answers_at, out_of_fold, train_for
from kqa_lightning.ensemble.questions import Question
from kqa_lightning.ensemble.stacking import SHORTLIST, Stacking, count_texts, shortlist, train_stacking
from kqa_lightning.ensemble.strategies import combine
from kqa_lightning.ensemble.weighted import probabilities
from kqa_lightning.errors import KQAError
from kqa_lightning.metrics.functional import char_f1

ASKS = ("누구인가?", "언제인가?", "왜 그런가?")  # each model knows one of the three


def simulate(articles: int, seed: int) -> OutOfFold:
    """Three models, each right nine times in ten on its own kind of question and three in ten on the others."""
    chance = random.Random(seed)
    table, gold = {}, {}
    models: dict[str, list[list[Scored]]] = {"a": [], "b": [], "c": []}
    for article in range(articles):
        for _ in range(6):
            kind = chance.randrange(3)
            right, *wrong = ("".join(chance.choices("가나다라마바사아자차카타파하", k=4)) for _ in range(4))
            name = str(len(gold))
            table[name] = Question(f"글 {article}", f"{article}번은 {ASKS[kind]}")
            gold[name] = (right,)
            for place, found in enumerate(models.values()):
                knows = chance.random() < (0.9 if place == kind else 0.3)
                found.append([(right if knows else wrong[place], -chance.random())])
    return out_of_fold(pool_of(models), gold, table)


def train(learned_from: OutOfFold, with_texts: bool = True, seed: int = 0) -> Stacking:
    table = learned_from.table if with_texts else None
    return train_stacking(learned_from.hypotheses, learned_from.marks, learned_from.articles, table, seed)


def test_the_shortlist_is_the_models_own_answers_and_those_that_agree_best() -> None:
    hypotheses = Hypotheses(random_pool(60, models=3, most=8, seed=4))
    pool = hypotheses.pool
    share = probabilities(pool)
    expected = hypotheses.agreement(hypotheses.masses(share)).sum(axis=1)
    kept = set(shortlist(hypotheses, expected).tolist())
    assert stacking.look_closely(hypotheses, None)[0].tolist() == sorted(kept)  # the same from the features
    assert len(kept) < len(hypotheses)
    for question in range(60):
        its = np.flatnonzero(hypotheses.question == question).tolist()
        candidates = np.flatnonzero(pool.question == question)
        texts = {one: pool.answers[hypotheses.first[one]] for one in its}
        agreement = {
            one: sum(share[place] * char_f1(texts[one], pool.answers[place]) for place in candidates) for one in its
        }
        own = {hypotheses.of[place] for place in candidates if pool.rank[place] == 0}
        assert own <= kept
        left_out = [agreement[one] for one in its if one not in kept]
        others = [agreement[one] for one in its if one in kept and one not in own]
        assert len(own) + len(others) == max(len(own), min(SHORTLIST, len(its)))
        assert not left_out or not others or max(left_out) <= min(others) + 1e-9


def score_of(simulated: OutOfFold, name: str, answer: str) -> float:
    """F1 of one of the answers to a question."""
    hypotheses = simulated.hypotheses
    its = np.flatnonzero(hypotheses.question == int(name))
    return next(simulated.marks[one] for one in its if hypotheses.pool.answers[hypotheses.first[one]] == answer)


@pytest.fixture(scope="module")
def known() -> OutOfFold:
    return simulate(articles=90, seed=1)


@pytest.fixture(scope="module")
def trained(known: OutOfFold) -> Stacking:
    return train(known)


def test_it_learns_which_model_knows_what(known: OutOfFold, trained: Stacking) -> None:
    new = simulate(articles=60, seed=2)
    hypotheses = new.hypotheses
    stacked = new.marks[hypotheses.of[trained.choose(hypotheses, new.table)]].mean()
    summed = combine(hypotheses.pool.first_answers(), F1Sum())
    f1_sum = np.mean([score_of(new, name, answer) for name, answer in summed.items()])
    assert stacked > f1_sum + 0.1 and stacked > 0.88
    # The line cannot see that a model is good at one kind of question; the choice among the two does.
    assert trained.learner == "boosted trees" and trained.scores["boosted trees"] > trained.scores["ridge"] + 0.05


def test_without_questions_it_cannot_know(known: OutOfFold, trained: Stacking) -> None:
    blind = train(known, with_texts=False)
    assert not blind.reads_articles and max(blind.scores.values()) < max(trained.scores.values()) - 0.1
    new = simulate(articles=5, seed=3)
    assert len(blind.choose(new.hypotheses)) == 30


def test_the_same_seed_gives_the_same_choices(known: OutOfFold, trained: Stacking) -> None:
    again = train(known)
    new = simulate(articles=20, seed=4)
    assert again.scores == trained.scores
    np.testing.assert_array_equal(again.choose(new.hypotheses, new.table), trained.choose(new.hypotheses, new.table))


def test_what_chooses_has_learned_from_every_article(known: OutOfFold, trained: Stacking) -> None:
    rows, values = stacking.look_closely(known.hypotheses, known.table)
    regression = stacking._regressions(0)[trained.learner].fit(values, known.marks[rows])
    np.testing.assert_array_equal(trained.regression.predict(values), regression.predict(values))


def test_agreement_is_computed_once(known: OutOfFold, trained: Stacking, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    agreement = Hypotheses.agreement
    monkeypatch.setattr(Hypotheses, "agreement", lambda *args: calls.append(1) or agreement(*args))
    trained.choose(known.hypotheses, known.table)
    assert len(calls) == 1
    train(known)
    assert len(calls) == 2


def test_nothing_leaks_between_questions_on_one_article() -> None:
    """Which of two answers is right is a matter of chance, the same for all ten paraphrases on an article."""
    chance = random.Random(6)
    models: dict[str, list[list[Scored]]] = {"a": [], "b": []}
    gold, table = {}, {}
    for article in range(100):
        answers = ["".join(chance.choices(alphabet, k=4)) for alphabet in ("가나다라마바사", "아자차카타파하")]
        score, right = -chance.random(), answers[chance.randrange(2)]
        for _ in range(10):
            name = str(len(gold))
            gold[name], table[name] = (right,), Question(f"글 {article}", "무엇인가?")
            for found, answer in zip(models.values(), answers, strict=True):
                found.append([(answer, score)])
    learned_from = out_of_fold(pool_of(models), gold, table)
    grouped = train(learned_from)
    assert grouped.scores["boosted trees"] < 0.65
    torn_apart = train(replace(learned_from, articles=list(range(1000))))
    assert torn_apart.scores["boosted trees"] > 0.9


def test_an_abstention_is_never_chosen_over_an_answer(known: OutOfFold, trained: Stacking) -> None:
    pool = pool_of(
        {"a": [[("", -0.1)], [("", -0.1)]], "b": [[("?", -0.1)], [("", 0.0)]], "c": [[("가", -5.0)], [("", 0)]]}
    )
    table = {name: Question("글", "누구인가?") for name in pool.questions}
    hypotheses = Hypotheses(pool)
    assert answers_at(pool, trained.choose(hypotheses, table)) == {"0": "가", "1": ""}


def test_at_a_tie_votes_decide_then_the_first_mention() -> None:
    class Undecided:
        def predict(self, values: np.ndarray) -> np.ndarray:
            return np.zeros(len(values))

    models = {"a": [["가", "마"], ["가"]], "b": [["나"], ["나"]], "c": [["'나'", "마"], ["다"]]}
    pool = pool_of({name: [[(one, -1.0) for one in found] for found in answers] for name, answers in models.items()})
    undecided = Stacking(pool.models, False, 2, "", {}, Undecided())
    assert list(answers_at(pool, undecided.choose(Hypotheses(pool))).values()) == ["나", "가"]


def test_other_models_are_refused(trained: Stacking) -> None:
    for names in ("ab", "abd", "bac"):
        hypotheses = Hypotheses(pool_of({name: [[("가", -1.0)]] for name in names}))
        with pytest.raises(KQAError, match="learned from a, b, c and cannot choose among answers of"):
            trained.choose(hypotheses, {"0": Question("글", "누구인가?")})


@pytest.mark.parametrize("table", [None, {}, {"0": Question(None, "누구인가?")}, {"0": Question("글", None)}])
def test_articles_it_learned_with_are_needed(trained: Stacking, table: dict[str, Question] | None) -> None:
    hypotheses = Hypotheses(pool_of({name: [[("가", -1.0)]] for name in "abc"}))
    assert count_texts(table, ["0"]) == 0
    with pytest.raises(KQAError, match="with articles and questions and cannot choose without them"):
        trained.choose(hypotheses, table)


def test_a_blank_question_costs_no_other_its_article(known: OutOfFold, trained: Stacking) -> None:
    table = dict(known.table) | {"0": replace(known.table["0"], question=None)}
    learned = train_for(replace(known, table=table), known.hypotheses.pool.questions, table)
    assert learned.reads_articles
    assert learned.scores[learned.learner] == pytest.approx(trained.scores[trained.learner], abs=0.02)
    new = simulate(articles=10, seed=3)
    asked = dict(new.table) | {"7": Question("글", None)}
    plain, blank = (trained.choose(new.hypotheses, one) for one in (new.table, asked))
    others = np.arange(len(plain)) != 7
    np.testing.assert_array_equal(plain[others], blank[others])


def test_one_article_is_too_few() -> None:
    with pytest.raises(KQAError, match="two articles or more; there is one"):
        train(simulate(articles=1, seed=1))


def test_two_articles_will_do() -> None:
    assert set(train(simulate(articles=2, seed=1)).scores) == {"ridge", "boosted trees"}


def test_more_candidates_and_missing_scores(known: OutOfFold) -> None:
    """Log-probabilities that only the new predictions have, or lack, are no obstacle."""
    pool = known.hypotheses.pool
    bare = replace(pool, logprob_sum=np.full_like(pool.logprob_sum, np.nan), logprob_mean=pool.logprob_mean * np.nan)
    learned = train(replace(known, hypotheses=Hypotheses(bare)))
    assert learned.choose(known.hypotheses, known.table).shape == (len(pool.questions),)


def test_marks_are_f1_with_the_best_gold_answer() -> None:
    pool = pool_of({"a": [[("가나", -1.0), ("다", -1.0)]], "b": [[("라마", -1.0)]]})
    found = out_of_fold(pool, {"0": ("가", "라마바")}, {})
    assert found.marks.tolist() == [char_f1("가나", "가"), 0.0, char_f1("라마", "라마바")]
    assert not found.knows_articles

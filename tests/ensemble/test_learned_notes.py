"""What the user is told of what was learned, and of what does not go together."""

import math
import random

import pytest
from pools import Scored, pool_of

from kqa_lightning.ensemble import drawing
from kqa_lightning.ensemble.candidates import CandidatePool
from kqa_lightning.ensemble.learned_notes import describe_fit, describe_mixed, describe_stacking, describe_unlike
from kqa_lightning.ensemble.learning import fit_to, out_of_fold, train_for
from kqa_lightning.ensemble.questions import Question


def pool_with(**counts: int) -> CandidatePool:
    """Four questions, each answered by these models with so many candidates; none scored where it is negative."""
    found: dict[str, list[list[Scored]]] = {
        name: [
            [(f"{question}{place}", -1.0 - place if count > 0 else math.nan) for place in range(abs(count))]
            for question in "가나다라"
        ]
        for name, count in counts.items()
    }
    return pool_of(found)


def test_other_numbers_of_candidates_are_told_by_model() -> None:
    (note,) = describe_unlike(pool_with(a=1, b=8, c=4), pool_with(a=8, b=8, c=5))
    assert note.startswith("candidates a question in --oof and in what is combined: a 1.0 and 8.0; ")
    assert note.endswith("give crossfit and predict the same --model.num_candidates")
    assert describe_unlike(pool_with(a=4, b=8), pool_with(a=5, b=7)) == []  # as a beam leaves them


def test_log_probabilities_on_one_side_are_told() -> None:
    (note,) = describe_unlike(pool_with(a=-2, b=2), pool_with(a=2, b=2))
    assert note.startswith("log-probabilities of a are in --oof or in what is combined, not in both")


def test_answers_that_count_in_full_beside_others_that_share_are_told() -> None:
    (note,) = describe_mixed(pool_with(a=-1, b=8, c=2))
    assert note.startswith("weighted: there are no log-probabilities of a, whose answers therefore count in full, ")
    assert "while those of b, c share their model's weight" in note
    for alike in (pool_with(a=-1, b=-1), pool_with(a=8, b=2), pool_with(a=-1, b=1)):  # one candidate shares nothing
        assert describe_mixed(alike) == []


@pytest.mark.parametrize("most", [10_000, 20])
def test_of_how_many_questions_it_learned(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "LEARN_FROM", most)
    chance = random.Random(3)
    answers: dict[str, list[list[Scored]]] = {
        name: [[(chance.choice("가나다라"), -1.0)] for _ in range(60)] for name in ("a", "b")
    }
    table = {str(place): Question(f"글 {place // 3}", "무엇인가?") for place in range(60)}
    learned_from = out_of_fold(pool_of(answers), dict.fromkeys(table, ("가",)), table)
    said = describe_stacking(train_for(learned_from, list(table), table), learned_from)
    count, articles = (60, 20) if most == 10_000 else (21, 7)  # articles whole
    assert f"over {articles} articles (ridge " in said and said.endswith(f"; learned from {count} of 60 questions")
    assert describe_fit(fit_to(learned_from), learned_from).endswith(f"; learned from {count} of 60 questions")

"""Vote patterns and agreement, counted by hand."""

import random
from collections import Counter
from itertools import combinations, permutations

from kqa_lightning.ensemble.agreement import measure_agreement
from kqa_lightning.ensemble.voting import vote_pattern
from kqa_lightning.metrics.functional import exact_match, normalize_answer


def test_patterns_and_shares_by_hand() -> None:
    predictions = {
        "gemma2": {"1": "25명", "2": "다섯 차례", "3": "", "4": "가", "5": "?"},
        "nous": {"1": "'25명'", "2": "14일", "3": "가", "4": "나", "5": ""},
        "eeve": {"1": "25명.", "2": "14일", "3": "가", "4": "다", "5": "!"},
    }
    agreement = measure_agreement(predictions)
    assert list(agreement.patterns.items()) == [
        ((3, 0, 0), 1),
        ((2, 1, 0), 1),
        ((2, 0, 0), 1),
        ((1, 1, 1), 1),
        ((0, 0, 0), 1),  # nobody answers
    ]
    assert agreement.shares == {("gemma2", "nous"): 0.2, ("gemma2", "eeve"): 0.2, ("nous", "eeve"): 0.6}


def test_patterns_of_any_number_of_models() -> None:
    assert vote_pattern(["가", "나"]) == (1, 1)
    assert vote_pattern(["가", "나", "가", "다", "나", "가", "라"]) == (3, 2, 1, 1, 0, 0, 0)
    assert vote_pattern(["", "?", "."]) == (0, 0, 0)
    for order in permutations(["가", "'가'", "나", ""]):
        assert vote_pattern(order) == (2, 1, 0, 0)


def test_shares_are_mean_exact_matches_of_answers() -> None:
    chance = random.Random(5)
    names = ["a", "b", "c", "d"]
    predictions = {
        name: {str(i): "".join(chance.choices("가나 .", k=chance.randint(0, 3))) for i in range(300)} for name in names
    }
    agreement = measure_agreement(predictions)
    for one, other in combinations(names, 2):
        matches = [
            exact_match(predictions[one][i], predictions[other][i]) if normalize_answer(predictions[one][i]) else 0
            for i in predictions[one]
        ]
        assert agreement.shares[one, other] == sum(matches) / 300
    answers = ([by_id[i] for by_id in predictions.values()] for i in predictions["a"])
    assert agreement.patterns == Counter(map(vote_pattern, answers))
    assert list(agreement.patterns) == sorted(agreement.patterns, reverse=True)

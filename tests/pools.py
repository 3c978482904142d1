"""Candidates made in memory for the tests of the ensemble."""

import math
import random
from collections.abc import Mapping, Sequence

from kqa_lightning.ensemble.candidate_files import ModelCandidates
from kqa_lightning.ensemble.candidates import CandidatePool, make_pool

Scored = tuple[str, float]  # an answer and its log-probability
ALPHABETS = ("가나", "가나다라 ", "가나다라마바사아자차 '.", "ab12 %")


def pool_of(models: Mapping[str, Sequence[Sequence[Scored]]]) -> CandidatePool:
    """A pool of {model: candidates of each question}; the ids are 0, 1, …"""
    read = {}
    for name, questions in models.items():
        one = ModelCandidates([str(place) for place in range(len(questions))], [len(found) for found in questions])
        for answer, logprob in (candidate for found in questions for candidate in found):
            one.answers.append(answer)
            one.logprob_sum.append(logprob)
            one.logprob_mean.append(logprob / max(len(answer), 1))
        read[name] = one
    return make_pool(read)


def single(answers: Mapping[str, Sequence[str]]) -> CandidatePool:
    """A pool of one answer a model without a log-probability: {model: answer to each question}."""
    return pool_of({name: [[(one, math.nan)] for one in its] for name, its in answers.items()})


def random_answer(chance: random.Random, alphabet: str) -> str:
    """A few characters, so that ties, agreement and nothing at all are common."""
    return "".join(chance.choices(alphabet, k=chance.randint(0, chance.choice([2, 4, 9]))))


def random_pool(questions: int, models: int, most: int, seed: int = 0, missing: float = 0.0) -> CandidatePool:
    """A pool of up to ``most`` candidates a model; the share ``missing`` has no log-probability."""
    chance = random.Random(seed)
    names = [f"m{number}" for number in range(models)]
    found: dict[str, list[list[Scored]]] = {name: [] for name in names}
    for _ in range(questions):
        alphabet = chance.choice(ALPHABETS)
        for name in names:
            scores = [math.nan if chance.random() < missing else -chance.choice([0.5, 1.0, 2.0]) for _ in range(most)]
            count = chance.randint(1, most)
            found[name].append([(random_answer(chance, alphabet), score) for score in scores[:count]])
    return pool_of(found)

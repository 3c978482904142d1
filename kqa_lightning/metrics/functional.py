"""The metric of KorQuAD 1.0, character for character: normalisation, character F1, exact match.

The rules are those of the official ``evaluate-v1.0.py`` (https://korquad.github.io/KorQuad%201.0/), which the
competition scores with. Text is compared as it comes: bring it to NFC when it is read, since the same Hangul
in NFD shares no character with it.
"""

import string
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

_TO_SPACE = str.maketrans(dict.fromkeys("'\"《》<>〈〉()‘’", " "))
_PUNCTUATION = str.maketrans("", "", string.punctuation)


@lru_cache(maxsize=4096)  # models agree, and strategies ask again
def normalize_answer(text: str) -> str:
    """What of an answer is compared: no quotes or brackets, lower case, no ASCII punctuation, single spaces.

    >>> normalize_answer("《삼성전자(Samsung)》 3.5%")
    '삼성전자 samsung 35'
    """
    # In this order: lower-casing a final sigma looks past an apostrophe, but not past a space.
    return " ".join(text.translate(_TO_SPACE).lower().translate(_PUNCTUATION).split())


def character_counts(text: str) -> Counter[str]:
    """How often each character stands in an answer, after normalisation and without spaces.

    >>> character_counts("1,100 원")
    Counter({'1': 2, '0': 2, '원': 1})
    """
    return Counter(normalize_answer(text).replace(" ", ""))


def shared_characters(first: Counter[str], second: Counter[str]) -> int:
    """The number of characters two answers have in common, each as often as it stands in both.

    >>> shared_characters(character_counts("1100원"), character_counts("100원"))
    4
    """
    if len(first) > len(second):
        first, second = second, first
    return sum(min(count, second[character]) for character, count in first.items() if character in second)


def char_f1(prediction: str | None, golds: str | Sequence[str]) -> float:
    """Character F1 of an answer, from 0 to 1: the best over the gold answers.

    Twice the shared characters over all characters of both, which is the harmonic mean of precision and
    recall. Nothing shared is 0, also where both are empty.

    Args:
        prediction: the model's answer; None, a missing prediction, scores 0.
        golds: one gold answer or several.

    Raises:
        ValueError: there is no gold answer to compare with.

    >>> char_f1("25명", "1710명")
    0.25
    >>> char_f1("국민은행", ["우리은행", "KB 국민은행"])
    0.8
    >>> char_f1(None, "국민은행")
    0.0
    """
    golds = _as_list(golds)
    if prediction is None:
        return 0.0
    predicted = character_counts(prediction)
    return max(_f1(predicted, character_counts(gold)) for gold in golds)


def exact_match(prediction: str | None, golds: str | Sequence[str]) -> float:
    """1.0 where the normalised answer is that of one of the gold answers, spaces included; else 0.0.

    Args:
        prediction: the model's answer; None, a missing prediction, scores 0.
        golds: one gold answer or several.

    Raises:
        ValueError: there is no gold answer to compare with.

    >>> exact_match("'국민 은행'", "국민 은행"), exact_match("국민은행", "국민 은행")
    (1.0, 0.0)
    """
    golds = _as_list(golds)
    if prediction is None:
        return 0.0
    normalized = normalize_answer(prediction)
    return float(any(normalized == normalize_answer(gold) for gold in golds))


def _f1(predicted: Counter[str], gold: Counter[str]) -> float:
    shared = shared_characters(predicted, gold)
    return 2 * shared / (predicted.total() + gold.total()) if shared else 0.0


def _as_list(golds: str | Sequence[str]) -> Sequence[str]:
    golds = [golds] if isinstance(golds, str) else golds
    if not golds:
        raise ValueError("no gold answer to compare with: leave such a question out of the score")
    return golds

"""Reading by columns gives what reading line by line gives, or leaves the file to it."""

import json
import math
import random
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from kqa_lightning.data.problems import Problems
from kqa_lightning.ensemble import candidate_files
from kqa_lightning.ensemble.candidate_columns import read_columns
from kqa_lightning.ensemble.candidate_files import ModelCandidates, read_candidates
from kqa_lightning.errors import KQAError

ANSWERS = ("14일, 다섯", "", "가\u200b나", unicodedata.normalize("NFD", "한국"), "a\xa0b", '"\\', "a\nb", "İß😀", "한")
SCORES = (-0.5, -3, 0, 0.0005, None, -1e-320, -3.4028234663852886e38, -1234567.125)


def by_columns(text: str, own: bool = False) -> ModelCandidates | None:
    return candidate_files._read_columns(text, own)


def by_lines(text: str, own: bool = False) -> ModelCandidates:
    """Raises a KQAError where anything is wrong with the text."""
    return candidate_files._read_lines(text, Problems("a.jsonl"), own)


def same(found: ModelCandidates, expected: ModelCandidates) -> bool:
    """Equality in which NaN is NaN, and 1 is not 1.0."""
    return repr(vars(found)) == repr(vars(expected))


def make_text(questions: int, chance: random.Random) -> str:
    """Lines as ``predict`` writes them, and with what else may stand in them."""
    lines = []
    for number in range(questions):
        candidates: list[dict[str, Any]] = []
        for _ in range(chance.randint(1, 4)):
            one = {"answer": chance.choice(ANSWERS), "raw": chance.choice(ANSWERS), "more": [1, {"id": None}]}
            for name in ("logprob_sum", "logprob_mean"):
                if chance.random() < 0.9:
                    one[name] = chance.choice(SCORES)
            candidates.append(dict(chance.sample(list(one.items()), len(one))))
        record = {"id": f"질문 {number}", "candidates": candidates, "model": chance.choice(ANSWERS)}
        lines.append(json.dumps(dict(chance.sample(list(record.items()), 3)), ensure_ascii=False))
    return chance.choice(("\n", "\r\n")).join(lines) + chance.choice(("", "\n"))


@pytest.mark.parametrize("own", [False, True])
def test_columns_are_the_lines(own: bool) -> None:
    chance = random.Random(1)
    for _ in range(40):
        text = make_text(chance.randint(1, 30), chance)
        found = by_columns(text, own)
        assert found is not None
        assert same(found, by_lines(text, own))


def test_a_text_with_anything_changed_is_read_alike_or_left() -> None:
    """Random characters put in, taken out and repeated: what is taken is taken by both, with the same outcome."""
    chance = random.Random(2)
    signs = [*'{}[]":,\\ \n\r\t0.-eE+5\x01\u2028\x00가', "null", "true", "NaN", "-Inf", "null\n", "}{"]
    taken = left = 0
    for _ in range(3000):
        text = make_text(2, chance)
        for _ in range(chance.randint(1, 2)):
            at = chance.randrange(len(text))
            put_in = chance.choice((chance.choice(signs), "", text[at : at + chance.randint(1, 40)]))
            text = text[:at] + put_in + text[at + chance.randint(0, 1) :]
        found = by_columns(text)
        if found is None:
            left += 1
        else:
            taken += 1
            assert same(found, by_lines(text)), text
    assert taken > 300
    assert left > 300


GOOD = '{"id": "1", "candidates": [{"answer": "가", "logprob_sum": -1.0}]}'


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"null\n{GOOD}",
        f"\n{GOOD}",
        "[" * 1_000_000,
        f'{{"id": "1", "candidates": [{{"answer": "가", "raw": {"[" * 1_000_000}}}]}}',
        f"{GOOD}\n{GOOD}",
        f"{GOOD}\n\n",
        f"{GOOD}{GOOD.replace('1', '2')}",
        f"{GOOD} {GOOD.replace('1', '2')}\n{GOOD.replace('1', '3').replace(', ', chr(10))}",
        f"{GOOD}{GOOD.replace('1', '2')}\n\n{GOOD.replace('1', '3')}",
        GOOD.replace("-1.0", "-NaN"),
        GOOD.replace("-1.0", "-Inf"),
        GOOD.replace("-1.0", "-" + "1" * 400),
        GOOD.replace(", ", ",\n"),
        GOOD.replace('"1"', "1"),
        GOOD.replace('"1"', '" "'),
        GOOD.replace('"1"', "null"),
        GOOD.replace('"가"', "null"),
        GOOD.replace('"가"', '"\\ud83d"'),
        GOOD.replace('"가"', '"\\uDC00"'),
        GOOD.replace('"가"', '"a\tb"'),
        GOOD.replace("-1.0", "true"),
        GOOD.replace("-1.0", '"-1.0"'),
        GOOD.replace("-1.0", "0.5"),
        GOOD.replace("-1.0", "1e999"),
        '{"id": "1", "candidates": []}',
        '{"id": "1", "candidates": [null]}',
        '{"id": "1", "candidates": null}',
        '{"id": "1", "answer": "가"}',
        '{"id": "1", "id": "2", "candidates": [{"answer": "가"}]}',
    ],
    ids=range(30),
)
def test_what_is_unusual_is_left_to_the_lines(text: str) -> None:
    assert by_columns(text) is None


def test_a_long_file_is_read_by_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = make_text(6000, random.Random(3))
    assert len(text) > candidate_files._LONG
    path = tmp_path / "a.jsonl"
    path.write_text(text, encoding="utf-8", newline="")
    with monkeypatch.context() as patch:
        patch.setattr(candidate_files, "_read_lines", pytest.fail)
        found = read_candidates(path)
    assert same(found, by_lines(text))
    path.write_text(text.replace('"질문 4711"', '"질문 4710"'), encoding="utf-8", newline="")
    with pytest.raises(KQAError, match=r"duplicate id: row 4712 \(질문 4710 of row 4711\)"):
        read_candidates(path)


def test_numbers_are_the_nearest_there_are() -> None:
    chance = random.Random(4)
    values = [-(10 ** chance.uniform(-30, 29)) for _ in range(2000)]
    text = json.dumps({"id": "1", "candidates": [{"answer": "가", "logprob_sum": value} for value in values]})
    found = read_columns(text, own=False)
    assert found is not None
    assert found.logprob_sum.tolist() == values
    assert all(map(math.isnan, found.logprob_mean))

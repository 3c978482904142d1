"""The page's own matching, run by Node, against the metric."""

import json
import random
import re
import shutil
import subprocess
from collections import Counter
from importlib.resources import files
from typing import Any

import pytest

from kqa_lightning.metrics.functional import char_f1, character_counts, shared_characters

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="no node on the path: the page's scripts are not run alone")
SCRIPT = files("kqa_lightning.ensemble.page") / "match.js"


def run(function: str, calls: list[list[Any]]) -> list[Any]:
    """The results of one function of match.js for several lists of arguments."""
    program = (
        f"const match = require({json.dumps(str(SCRIPT))});"
        "const calls = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
        f"console.log(JSON.stringify(calls.map((call) => match.{function}(...call))));"
    )
    assert NODE
    done = subprocess.run([NODE, "-e", program], input=json.dumps(calls), capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def random_texts(count: int) -> list[str]:
    chance = random.Random(2)
    alphabets = [
        "가나다라 ",
        "12345,.% 억원",
        "aAbBΣσςİßÄ'‘’《》<>()",
        '가\u200b\u0301😀𝕏\u3000\xa0\x85\x1c\ufeff\u2028·~!@[]_`{}\\"',
    ]
    return ["".join(chance.choices(chance.choice(alphabets), k=chance.randint(0, 14))) for _ in range(count)]


def test_the_same_characters_count() -> None:
    texts = random_texts(3000)
    for text, counted in zip(texts, run("countedCharacters", [[text] for text in texts]), strict=True):
        assert Counter(one["character"] for one in counted) == character_counts(text), text


def test_as_many_characters_match_as_the_metric_shares() -> None:
    texts = random_texts(3000)
    pairs = [[answer, reference] for answer, reference in zip(texts, reversed(texts), strict=True)]
    for (answer, reference), pieces in zip(pairs, run("colouredPieces", pairs), strict=True):
        assert "".join(piece["text"] for piece in pieces) == answer
        hits = "".join(piece["text"] for piece in pieces if piece["kind"] == "hit")
        if "İ" not in answer:  # one character here, two in lower case
            shared = shared_characters(character_counts(answer), character_counts(reference))
            assert len(hits) == shared
        assert all(not character_counts(piece["text"]) for piece in pieces if piece["kind"] == "plain")


@pytest.mark.parametrize(
    ("answer", "reference", "marked"),
    [
        ("1월 14일", "14일", "1월 [14일]"),  # not the 1 of the month
        ("은행국민", "국민은행", "[은행국민]"),
        ("25명", "1710명", "25[명]"),
        ("'14일', 다섯 차례", "다섯 차례!", "'14일', [다섯] [차례]"),
        ("Samsung", "삼성(SAMSUNG)", "[Samsung]"),
        ("", "가", ""),
        ("가" * 600, "가" * 500, "[" + "가" * 500 + "]" + "가" * 100),  # too long for a subsequence
    ],
)
def test_what_is_coloured(answer: str, reference: str, marked: str) -> None:
    (pieces,) = run("colouredPieces", [[answer, reference]])
    assert "".join(f"[{one['text']}]" if one["kind"] == "hit" else one["text"] for one in pieces) == marked


def test_the_best_of_several_references() -> None:
    texts = random_texts(900)
    calls = [[texts[i], texts[i + 1 : i + 4]] for i in range(0, 896, 4)]
    for (answer, references), best in zip(calls, run("bestReference", calls), strict=True):
        assert char_f1(answer, best) == char_f1(answer, references)


def marked(article: str, *answers: str) -> str:
    """The article with the owners of each piece: [text|owners] and, where an answer ends, ^owners."""
    (pieces,) = run("markedPieces", [[article, answers]])
    return "".join(
        (f"[{one['text']}|{''.join(map(str, one['owners']))}]" if one["owners"] else one["text"])
        + "".join(f"^{owner}" for owner in one["ends"])
        for one in pieces
    )


@pytest.mark.parametrize(
    ("article", "answers", "expected"),
    [
        ("지난 14일에 냈다.", ["14일"], "지난 [14일|0]^0에 냈다."),
        ("지난 114일, 4일", ["14일", "4일"], "지난 114일, [4일|1]^1"),
        ("3.5%와 3,500원과 3%", ["3"], "3.5%와 3,500원과 [3|0]^0%"),
        ("955억 원을 들였다", ["955억원", "955억"], "[955억|01]^1[ 원|0]^0을 들였다"),
        ("KB국민은행, 국민 은행", ["국민은행"], "KB[국민은행|0]^0, 국민 은행"),
        ("KB국민은행, 국민 은행", ["국민 은행"], "KB[국민은행|0]^0, [국민 은행|0]^0"),
        ("‘코로나19’ 탓", ["코로나19", "탓", ""], "‘[코로나19|0]^0’ [탓|1]^1"),
        ("a a a.", ["A A"], "[a |0][a|0]^0[ a|0]^0."),
        ("aaa aab baa", ["AA"], "aaa aab baa"),
        ("모두 14. 일은 끝났다", ["14일"], "모두 14. 일은 끝났다"),  # a sentence ends in between
        ("절대 한다, 대한민국", ["대한"], "절대 한다, [대한|0]^0민국"),
        ("많이 사는 이 사람의 이사", ["이사"], "많이 사는 이 사람의 [이사|0]^0"),
        ("참석자 25명", ["명", "석자"], "참석자 25명"),
        (
            "다섯 차례, 25 명, 3조 500억 원",
            ["다섯차례", "25명", "3조500억원"],
            "[다섯 차례|0]^0, [25 명|1]^1, [3조 500억 원|2]^2",
        ),
        ("14일, 다섯 차례. 25일", ["14일 다섯 차례", "차례 25일"], "[14일, 다섯 차례|0]^0. 25일"),
        ("끝났다. 25일 다시", ["끝났다. 25일"], "[끝났다. 25일|0]^0 다시"),
        ("코로나19는 한국GM에", ["19", "GM"], "코로나[19|0]^0는 한국[GM|1]^1에"),
        ("1200 3500", ["12003500", "1,200"], "[1200|1]^1 3500"),
        ("없다", ["가"], "없다"),
        ("", ["가"], ""),
    ],
)
def test_where_answers_stand(article: str, answers: list[str], expected: str) -> None:
    assert marked(article, *answers) == expected


def test_an_article_stays_what_it_is() -> None:
    texts = random_texts(400)
    calls = [["".join(texts[i : i + 6]), texts[i : i + 8]] for i in range(0, 392, 8)]
    for (article, answers), pieces in zip(calls, run("markedPieces", calls), strict=True):
        assert "".join(piece["text"] for piece in pieces) == article
        for piece in pieces:
            assert all(re.search(r"\S", answers[owner]) for owner in piece["owners"])

"""What the report holds, and that nothing in it can become markup."""

import base64
import hashlib
import json
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kqa_lightning.ensemble.page import render_page
from kqa_lightning.ensemble.questions import Question
from kqa_lightning.ensemble.report import describe_report, report_data, report_written
from kqa_lightning.errors import KQAError
from kqa_lightning.metrics.functional import char_f1

PREDICTIONS = {
    "gemma2": {"1": "가나", "2": "다섯 차례", "3": "", "4": "같다"},
    "nous": {"1": "'가나'", "2": "14일", "3": "마바", "4": "같다"},
    "eeve": {"1": "가", "2": "14일, 다섯 차례", "3": "마바", "4": "'같다'"},
}
RULES = {
    "first": {"1": "가나", "2": "다섯 차례", "3": "마바", "4": "같다"},
    "other": {"1": "가나", "2": "새 답", "3": "마바", "4": "같다"},
}
TABLE = {"1": Question("글", "왜?"), "2": Question("글", None), "3": Question(None, "누가?")}
GOLD = {"1": ("가나",), "2": ("14일", "열"), "3": ("바사",), "4": ("같다",)}


class Reader(HTMLParser):
    """The elements of a page, and the text within each."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], str]] = []
        self.inside = False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), ""))
        self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            tag, attributes, text = self.elements[-1]
            self.elements[-1] = (tag, attributes, text + data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data[:40]}")


def data_of(page: str) -> Any:
    (text,) = [text for tag, attributes, text in Reader(page).elements if attributes.get("id") == "data"]
    return json.loads(text)


def test_worked_by_hand() -> None:
    data = report_data(PREDICTIONS, RULES, TABLE, GOLD, "first")
    assert (data["models"], data["strategies"], data["shown"]) == (["gemma2", "nous", "eeve"], ["first", "other"], 0)
    assert (data["hasGold"], data["total"], data["articles"]) == (True, 4, ["글"])
    one, two, three = data["questions"]  # all agree on 4
    assert one == {
        "id": "1",
        "article": 0,
        "question": "왜?",
        "answers": ["가나", "'가나'", "가"],
        "pattern": "2:1:0",
        "pairs": [1.0, 0.6667, 0.6667],
        "chosen": [[0, 1], [0, 1]],
        "split": False,
        "gold": ["가나"],
        "f1": [1.0, 1.0, 0.6667],
        "chosenF1": [1.0, 1.0],
        "stake": pytest.approx(1 / 3),
    }
    assert (two["article"], two["question"], two["pattern"]) == (0, None, "1:1:1")
    assert (two["chosen"], two["split"], two["gold"]) == ([[0], "새 답"], True, ["14일", "열"])
    assert (two["f1"], two["chosenF1"], two["stake"]) == ([0.0, 1.0, 0.6], [0.0, 0.0], 1.0)
    assert (three["article"], three["pattern"], three["pairs"]) == (-1, "2:0:0", [0.0, 0.0, 1.0])


def test_without_gold_and_articles() -> None:
    data = report_data(PREDICTIONS, RULES, {})
    assert (data["hasGold"], data["articles"], data["shown"]) == (False, [], 1)
    answers = [(*question["answers"], *["새 답"] * (question["id"] == "2")) for question in data["questions"]]
    pairs = [list(combinations(its, 2)) for its in answers]
    assert [question["stake"] for question in data["questions"]] == [
        pytest.approx(1 - sum(char_f1(a, b) for a, b in its) / len(its)) for its in pairs
    ]
    assert all((q["gold"], q["f1"], q["article"]) == (None, [], -1) for q in data["questions"])


def test_choices_that_are_equal_after_normalisation_are_no_split() -> None:
    predictions = {"a": {"1": "25명"}, "b": {"1": "1710명"}, "c": {"1": "25명."}}
    rules = {"f1_sum": {"1": "25명"}, "stacking": {"1": "'25명'"}, "other": {"1": "1710명"}}
    (question,) = report_data(predictions, rules, {})["questions"]
    assert question["chosen"] == [[0, 2], [0, 2], [1]] and question["split"]
    (question,) = report_data(predictions, {name: rules[name] for name in ("f1_sum", "stacking")}, {})["questions"]
    assert not question["split"]


@pytest.mark.parametrize("gold", [None, {"1": ("나다",), "2": ("가",), "3": ("x",)}])
def test_a_strategy_that_overrules_all_models_is_shown(gold: dict[str, tuple[str, ...]] | None) -> None:
    predictions = {"a": {"1": "가나", "2": "가", "3": "?"}, "b": {"1": "'가나'", "2": "가", "3": ""}}
    rules = {"f1_sum": {"1": "가나", "2": "가", "3": ""}, "stacking": {"1": "나다", "2": "'가'", "3": "나"}}
    data = report_data(predictions, rules | {"other": rules["stacking"]}, {}, gold)
    assert (data["total"], data["overruled"]) == (3, 2)
    assert describe_report(data) == "0 of 3 questions, where the models disagree, and 2 where they agree and " + (
        "a strategy does not"
    )
    one, three = data["questions"]
    assert (one["id"], one["pattern"], three["id"], three["pattern"]) == ("1", "2:0", "3", "0:0")
    assert one["chosen"] == [[0, 1], "나다", "나다"] and one["split"] and three["chosen"][1:] == ["나", "나"]
    # Between 가나, '가나' and 나다: 1, 1/2 and 1/2; with gold 1 less 1/2.
    assert one["stake"] == pytest.approx(1 / 3 if gold is None else 1 / 2)


def test_models_that_always_agree_leave_an_empty_page() -> None:
    same = {"a": {"1": "가"}, "b": {"1": "'가'"}}
    data = report_data(same, {"r": {"1": "가"}}, {}, {"1": ("가",)})
    assert data["questions"] == [] and (data["total"], data["overruled"]) == (1, 0)
    assert describe_report(data) == "0 of 1 questions, where the models disagree"


@pytest.mark.parametrize("models", [2, 5, 7])
def test_pairs_stand_in_the_order_the_page_reads(models: int) -> None:
    answers = ["가나다라마바사"[: place + 1] for place in range(models)]
    data = report_data({f"m{i}": {"1": answer} for i, answer in enumerate(answers)}, {"r": {"1": "가"}}, {})
    expected = [round(char_f1(one, other), 4) for one, other in combinations(answers, 2)]
    assert data["questions"][0]["pairs"] == expected


NASTY = (
    st.text(st.sampled_from("<>/!-&;\"'{}\\\u2028\0\ud800가script"), max_size=30)
    | st.text(st.characters(), max_size=30)
    | st.sampled_from(
        ["</script><script>a()</script>", "<!--<script>", "]]>", "{{scripts}}", "<img src=x onerror=a()>"]
    )
)


@given(NASTY, NASTY, NASTY)
def test_no_text_becomes_markup(text: str, answer: str, name: str) -> None:
    predictions = {name + "1": {text: answer}, name + "2": {text: "다른 답"}}
    data = report_data(predictions, {"r": {text: answer}}, {text: Question(text, name, ())}, {text: (answer + "가",)})
    page = render_page(data).encode("utf-8", "backslashreplace").decode()  # as it is written
    plain = render_page(report_data({"a": {"1": "가"}, "b": {"1": "나"}}, {"r": {"1": "가"}}, {}))
    assert data_of(page) == data
    names = [(tag, sorted(attributes)) for tag, attributes, _ in Reader(page).elements]
    assert names == [(tag, sorted(attributes)) for tag, attributes, _ in Reader(plain).elements]


def test_the_policy_allows_its_own_scripts_and_nothing_else() -> None:
    elements = Reader(render_page(report_data(PREDICTIONS, RULES, TABLE))).elements
    (policy,) = [attrs["content"] or "" for _, attrs, _ in elements if attrs.get("http-equiv")]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'" and "unsafe" not in policy and "http" not in policy
    for tag in ("script", "style"):
        own = [text for name, attrs, text in elements if name == tag and attrs.get("type") is None]
        hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in own]
        assert own and rules[f"{tag}-src"].split() == hashes
    assert not any({"src", "href", "onclick", "style"} & set(attrs) for _, attrs, _ in elements)


def test_both_languages_have_every_text() -> None:
    elements = Reader(render_page(report_data(PREDICTIONS, RULES, TABLE))).elements
    texts = json.loads(next(text for _, attrs, text in elements if attrs.get("id") == "texts"))
    assert set(texts) == {"en", "ko"} and texts["en"].keys() == texts["ko"].keys()
    used = {attrs["data-text"] for _, attrs, _ in elements if "data-text" in attrs}
    assert used <= texts["en"].keys()


def test_it_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    data = report_data(PREDICTIONS, RULES, TABLE)
    with report_written(tmp_path / "report.html", data):
        assert not (tmp_path / "report.html").exists()
    assert data_of((tmp_path / "report.html").read_text(encoding="utf-8")) == data
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
    (tmp_path / "folder").mkdir()
    refused = pytest.raises(KQAError, match=r"^--report .*folder: cannot be written")
    with refused, report_written(tmp_path / "folder", data):
        pass


def test_it_does_not_appear_where_what_is_done_meanwhile_fails(tmp_path: Path) -> None:
    data = report_data(PREDICTIONS, RULES, {})
    with pytest.raises(KQAError, match="the submission"), report_written(tmp_path / "report.html", data):
        raise KQAError("the submission")
    assert list(tmp_path.iterdir()) == []

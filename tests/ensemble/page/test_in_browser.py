"""The report as a person has it: a file, opened in a real Chromium without a window."""

import random
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Page, find_browser, open_browser

from kqa_lightning.ensemble.questions import Question
from kqa_lightning.ensemble.report import report_data, report_written
from kqa_lightning.ensemble.strategies import combine, make_strategies

BROWSER = find_browser()
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on the path (apt-get install chromium)")
MODELS = ("gemma2", "이브", "nous")
IDS = "[...document.querySelectorAll('.card .id')].map((node) => node.textContent)"

# The page waits until no key was struck for 150 ms; a longer timer that starts later ends later.
TYPED = "new Promise((done) => setTimeout(done, 300))"


def make_data(questions: int, gold: bool = True, seed: int = 4) -> dict[str, Any]:
    """A report on made-up answers, five questions an article; the models disagree on most."""
    chance = random.Random(seed)
    words = ["25명", "1,710명", "14일", "다섯 차례", "14일, 다섯 차례", "국민은행", "955억 원", "미국 경제 침체", ""]
    ids = [f"TEST_{number:04}" for number in range(questions)]
    contexts = [f"기사 {number}. " + " ".join(chance.choices(words, k=200)) for number in range(questions // 5 + 1)]
    table = {
        name: Question(contexts[number // 5], f"{number}번 질문은 무엇인가?", (chance.choice(words[:8]),))
        for number, name in enumerate(ids)
    }
    predictions: dict[str, dict[str, str]] = {model: {} for model in MODELS}
    for name in ids:
        agreed = chance.choice(words) if chance.random() < 0.2 else None
        for answers in predictions.values():
            answers[name] = chance.choice(words) if agreed is None else agreed
    rules = {name: combine(predictions, strategy) for name, strategy in make_strategies(list(MODELS)).items()}
    golds = {name: question.answers for name, question in table.items()} if gold else None
    return report_data(predictions, rules, table, golds, "f1_sum")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    assert BROWSER
    with open_browser(BROWSER, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def show(page: Page, folder: Path, data: dict[str, Any], width: int = 1200) -> None:
    """Open a report afresh."""
    path = folder / "report.html"
    with report_written(path, data):
        pass
    page.requests.clear()
    page.errors.clear()
    page.open(path, width)
    if page.run("document.documentElement.lang") != "en":  # the language is kept from page to page
        page.run("document.getElementById('language').click()")


def listed(page: Page) -> list[str]:
    """The ids of all questions listed, those not drawn yet too."""
    page.run("while (!document.getElementById('more').hidden) document.getElementById('more').click()")
    return page.run(IDS)


def in_order(questions: list[dict[str, Any]], *keys: str) -> list[str]:
    """Ids by falling keys; those that tie stay in order."""
    return [one["id"] for one in sorted(questions, key=lambda one: [-one[key] for key in keys])]


def with_loss(data: dict[str, Any], strategy: int) -> list[dict[str, Any]]:
    return [one | {"loss": max(one["f1"]) - one["chosenF1"][strategy]} for one in data["questions"]]


def test_it_needs_nothing_but_itself(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, make_data(60))
    page.wait("document.querySelectorAll('.card').length > 0")
    assert set(page.requests) == {(tmp_path / "report.html").as_uri()}
    assert page.errors == []


def test_a_card_shows_all_there_is_to_a_question(page: Page, tmp_path: Path) -> None:
    predictions = {
        "gemma2": {"Q": "다섯 차례"},
        "이브": {"Q": "4일"},
        "nous": {"Q": "14일, 다섯 차례"},
    }
    table = {"Q": Question("회의는 14일 다섯 차례 열렸다.\n114일이 아니다.", "언제 몇 차례 열렸나?", ())}
    rules = {"vote": {"Q": "다섯 차례"}, "learned": {"Q": "14일"}}
    show(page, tmp_path, report_data(predictions, rules, table, {"Q": ("14일",)}, "vote"))
    assert page.run("document.querySelector('.card h2').textContent") == "언제 몇 차례 열렸나?"
    rows = "[...document.querySelectorAll('.card tbody tr')].map((row) => [...row.cells].map((cell) => cell.innerText))"
    assert page.run(rows) == [
        ["Agemma2", "다섯 차례", "0.00", "", "0.00", "0.73"],
        ["B이브", "4일", "0.80", "0.00", "", "0.44"],
        ["Cnous", "14일, 다섯 차례", "0.60", "0.73", "0.44", ""],
        ["✓gold", "14일"],
    ]
    kinds = "[...document.querySelectorAll('.card tbody tr td.answer .KIND')].map((node) => node.textContent)"
    assert page.run(kinds.replace("KIND", "hit")) == ["4일", "14일"]
    assert page.run(kinds.replace("KIND", "miss")) == ["다섯", "차례", "다섯", "차례"]
    assert page.run("document.querySelector('tr.chosen td.model').innerText") == "Agemma2"
    choices = "[...document.querySelectorAll('.choices li:not(.head)')].map((node) => node.innerText)"
    assert page.run(choices) == ["vote A 0.00", "learned 14일 1.00"]
    marks = "[...document.querySelectorAll('.article mark')].map((node) => [node.textContent, node.className])"
    assert page.run(marks) == [["14일", "gold"], [" ", ""], ["다섯 차례", ""]]
    assert page.run("document.querySelector('.article').textContent") == (
        "회의는 14일✓ 다섯 차례AC 열렸다.\n114일이 아니다."
    )
    assert page.run("[...document.querySelectorAll('.chip')].map((node) => node.textContent)") == [
        "1:1:1",
        "at stake 1.00",  # the answer that was learned is right, gemma2's all wrong
    ]


def test_a_choice_that_is_no_models_own_answer_has_a_row_and_a_sign(page: Page, tmp_path: Path) -> None:
    predictions = {"gemma2": {"Q": "14일", "P": "25명"}, "nous": {"Q": "다섯 차례", "P": "30명"}}
    table = {"Q": Question("회의는 4월 14일 다섯 차례 열렸다.", "언제 열렸나?", ())}
    rules = {"vote": {"Q": "14일", "P": "25명"}, "learned": {"Q": "4월 14일", "P": "30명"}}
    show(page, tmp_path, report_data(predictions, rules, table, {"Q": ("4월",), "P": ("30명",)}, "learned"))
    page.choose("choice", "other")
    assert listed(page) == ["Q"]
    assert page.run("document.getElementById('count').textContent") == "1 question"
    rows = "[...document.querySelectorAll('.card tbody tr')].map((tr) => [...tr.cells].map((td) => td.textContent))"
    assert page.run(rows) == [
        ["Agemma2", "14일", "0.40", "", "0.00"],
        ["Bnous", "다섯 차례", "0.00", "0.00", ""],
        ["★learned", "4월 14일", "0.57", "0.75", "0.00"],
        ["✓gold", "4월"],
    ]
    article = "document.querySelector('div.article').textContent"
    assert page.run("[...document.querySelectorAll('tr.chosen .name')].map((node) => node.textContent)") == ["learned"]
    assert page.run(article) == "회의는 4월✓ 14일A★ 다섯 차례B 열렸다."
    page.choose("choice", "")
    page.choose("strategy", "0")  # which chose a model's answer
    assert page.run(article) == "회의는 4월✓ 14일A 다섯 차례B 열렸다."
    page.choose("choice", "other")
    assert listed(page) == []


def test_where_a_strategy_overrules_all_models(page: Page, tmp_path: Path) -> None:
    predictions = {name: {"1": "가", "2": answer, "3": "", "4": "라"} for name, answer in (("a", "나"), ("b", "다"))}
    rules = {
        "vote": {"1": "가", "2": "나", "3": "", "4": "라"},
        "learned": {"1": "마", "2": "나", "3": "바", "4": "라"},
    }
    show(page, tmp_path, report_data(predictions, rules, {}))
    patterns = "[...document.getElementById('pattern').options].map((option) => option.textContent)"
    assert page.run(patterns) == ["all (3)", "2:0, overruled (1)", "1:1 (1)", "0:0, overruled (1)"]
    assert "disagree: 1 of 4. On which they agree and a strategy does not: 2." in page.run("document.body.innerText")
    page.choose("pattern", "2:0")
    assert listed(page) == ["1"]
    page.choose("pattern", "0:0")
    assert listed(page) == ["3"]
    assert page.errors == []


def test_signs_stay_on_the_line_of_their_answer(page: Page, tmp_path: Path) -> None:
    text = " ".join(f"가나다라{'마' * (place % 7)} (국민은행) 나." for place in range(60))
    data = report_data(
        {name: {"1": "국민은행"} if name < "e" else {"1": "나"} for name in "abcdef"},
        {"vote": {"1": "국민은행"}},
        {"1": Question(text, "?")},
    )
    # Of each sign, whether it begins a line that its answer is not on.
    apart = """[...document.querySelectorAll('.article sup')].filter((sup) => {
      const answer = [...sup.previousSibling.getClientRects()].pop();
      return [...sup.querySelectorAll('.badge')].some((sign) => sign.getBoundingClientRect().top > answer.bottom);
    }).length"""
    for width in range(320, 400, 7):
        show(page, tmp_path, data, width)
        assert page.run("document.querySelectorAll('.article sup').length") > 60
        assert page.run(apart) == 0, width


def test_filters_and_orders(page: Page, tmp_path: Path) -> None:
    data = make_data(120)
    show(page, tmp_path, data)
    questions = with_loss(data, 2)
    assert 60 < len(questions) < 120
    assert listed(page) == in_order(questions, "stake", "loss")
    page.choose("pattern", "2:1:0")
    assert listed(page) == in_order([q for q in questions if q["pattern"] == "2:1:0"], "stake", "loss")
    page.choose("pattern", "")
    page.choose("show", "showLost")
    lost = [q for q in questions if q["loss"] > 0]
    assert 0 < len(lost) < len(questions) and listed(page) == in_order(lost, "stake", "loss")
    page.choose("sort", "sortLost")
    assert listed(page) == in_order(lost, "loss")
    page.choose("sort", "sortOrder")
    page.choose("strategy", "0")
    assert listed(page) == [q["id"] for q in with_loss(data, 0) if q["loss"] > 0]
    page.choose("show", "showSplit")
    assert listed(page) == [q["id"] for q in questions if q["split"]]
    page.choose("show", "showAll")
    page.choose("choice", "1")
    assert listed(page) == [q["id"] for q in questions if 1 in q["chosen"][0]]
    assert page.run("document.getElementById('count').textContent") == f"{len(listed(page))} questions"
    assert page.errors == []


def test_all_models_with_the_chosen_answer_are_those_it_chose(page: Page, tmp_path: Path) -> None:
    predictions = {"gemma2": {"Q": "14일"}, "이브": {"Q": "25명"}, "nous": {"Q": "'14일'"}}
    show(page, tmp_path, report_data(predictions, {"vote": {"Q": "14일"}}, {}))
    chosen = "[...document.querySelectorAll('tr.chosen .name')].map((node) => node.textContent)"
    assert page.run(chosen) == ["gemma2", "nous"]
    assert page.run("document.querySelector('.choices li.current').innerText") == "vote AC"
    for model, ids in enumerate((["Q"], [], ["Q"])):
        page.choose("choice", str(model))
        assert listed(page) == ids


@pytest.mark.parametrize(
    "wanted", ["국민은행", unicodedata.normalize("NFD", "국민은행"), "test_0017", "17번 질문", "기사 3."]
)
def test_text_is_found_everywhere(page: Page, tmp_path: Path, wanted: str) -> None:
    data = make_data(60)
    show(page, tmp_path, data)
    page.choose("sort", "sortOrder")
    page.choose("search", f"  {wanted} ")
    needle = unicodedata.normalize("NFC", wanted)
    expected = [
        q["id"]
        for q in data["questions"]
        if any(
            needle in text.lower()
            for text in (q["id"], q["question"], *q["answers"], *q["gold"], data["articles"][q["article"]])
        )
    ]
    page.run(TYPED)
    assert expected and listed(page) == expected
    page.choose("search", "그런 말은 없다")
    page.run(TYPED)
    assert page.run("document.getElementById('count').textContent") == "No question fits."
    assert page.run("document.querySelectorAll('.card').length") == 0


def test_both_languages(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, make_data(30))
    english = page.run("document.body.innerText")
    page.run("document.getElementById('language').click()")
    korean = page.run("document.body.innerText")
    assert page.run("[document.documentElement.lang, document.title]") == ["ko", "모델의 답이 갈린 질문"]
    assert "Where the models disagree" in english and "걸린 점수" not in english
    assert "모델의 답이 갈린 질문" in korean and "at stake" not in korean
    assert page.run("document.getElementById('language').textContent") == "English"
    page.open(tmp_path / "report.html")
    assert page.run("document.documentElement.lang") == "ko"  # kept


@pytest.mark.parametrize("models", [3, 7])
def test_on_a_phone_nothing_sticks_out(page: Page, tmp_path: Path, models: int) -> None:
    answers = ["미국 경제 침체도 그 책임을 중국에 전가하게 될 것", "x" * 100, "14일", "25명", "", "?", "가"]
    predictions = {f"model-with-a-name-{place}": {"Q" * 60: answers[place]} for place in range(models)}
    table = {"Q" * 60: Question("y" * 500 + " " + "글 " * 100, "z" * 300)}
    show(page, tmp_path, report_data(predictions, {"f1_sum": {"Q" * 60: answers[0]}}, table), width=360)
    assert page.run("document.documentElement.scrollWidth") <= 360
    inside = "[...document.querySelectorAll('.card *')].every((node) => node.closest('.scroll')"
    assert page.run(f"{inside} || node.getBoundingClientRect().right <= 360)")
    names = "[...document.querySelectorAll('td.model .name')].map((node) => node.getBoundingClientRect())"
    assert page.run(f"{names}.every(({{ width, height }}) => width > 20 && height > 8)")  # there are no bare letters
    if models == 3:  # and the answers are seen whole, without pushing the table aside
        assert page.run(
            "(({ scrollWidth, clientWidth }) => scrollWidth <= clientWidth)(document.querySelector('.scroll'))"
        )


def test_without_gold_the_chosen_answer_is_the_measure(page: Page, tmp_path: Path) -> None:
    data = make_data(40, gold=False)
    show(page, tmp_path, data)
    assert listed(page) == in_order(data["questions"], "stake")
    assert page.run("[...document.getElementById('show').options].map((option) => option.value)") == [
        "showAll",
        "showSplit",
    ]
    assert page.run("document.querySelectorAll('tr.chosen .miss').length") == 0
    assert page.run("document.querySelectorAll('tr:not(.chosen) .miss').length") > 0
    assert page.errors == []


def test_no_text_of_the_data_runs_or_becomes_markup(page: Page, tmp_path: Path) -> None:
    attack = "</script><script>window.hurt=1</script><img src=x onerror='window.hurt=1'><!-- <b>'\"&amp;\u2028"
    predictions = {f"{attack}1": {attack: f"{attack}1"}, f"{attack}2": {attack: "다른 답"}}
    table = {attack: Question(f"글 {attack}1 글", attack)}
    rules = {attack: {attack: f"{attack}1"}}
    show(page, tmp_path, report_data(predictions, rules, table, {attack: (f"{attack}1",)}))
    assert page.run("document.querySelector('.card h2').textContent") == attack
    assert page.run("document.querySelector('.card .id').textContent") == attack
    assert page.run("document.getElementById('strategy').options[0].textContent") == attack
    assert page.run("document.querySelector('.article').textContent") == f"글 {attack}A✓1 글".replace("A✓1", "1A✓")
    assert page.run("window.hurt") is None
    assert page.run("document.querySelectorAll('img, b, .card script').length") == 0
    assert page.errors == [] and set(page.requests) == {(tmp_path / "report.html").as_uri()}


def test_a_whole_test_set_is_drawn_as_it_is_read(page: Page, tmp_path: Path) -> None:
    data = make_data(1507)
    show(page, tmp_path, data)
    drawn = page.run("document.querySelectorAll('.card').length")
    assert 20 <= drawn < 100 < len(data["questions"])
    page.run("window.scrollTo(0, document.body.scrollHeight)")
    page.wait(f"document.querySelectorAll('.card').length > {drawn}")
    drawn_ids = page.run(IDS)
    assert drawn_ids == in_order(with_loss(data, 2), "stake", "loss")[: len(drawn_ids)]

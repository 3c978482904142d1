import gzip
import json
import unicodedata
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import datasets
import pyarrow
import pyarrow.parquet
import pytest
from table_files import HEADER, fails, write

from kqa_lightning.data import tables
from kqa_lightning.data.tables import load_table


def test_words_that_look_like_missing_values_and_numbers(tmp_path: Path) -> None:
    answers = ["NA", "null", "None", "nan", "007", "1.0", "True", "#N/A"]
    lines = [f"{'0' * i}1,본문,질문,{answer}" for i, answer in enumerate(answers)]
    table = load_table(write(tmp_path / "a.csv", HEADER + "\n".join(lines)), "train", require_answers=True)
    assert table["answers"][:] == [[answer] for answer in answers]
    assert table["id"][:2] == ["1", "01"]


def test_korean_is_composed(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "국민은행")
    table = load_table(write(tmp_path / "a.csv", f"{HEADER}1,{decomposed},{decomposed},{decomposed}"), "train")
    assert (table[0]["context"], table[0]["question"], table[0]["answers"]) == ("국민은행", "국민은행", ["국민은행"])


def test_table_without_answers(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "id,context,question\n1,본문,질문\n")
    assert load_table(path, "predict")[0]["answers"] == []
    message = fails(path, "train", require_answers=True)
    assert "--data.train_path" in message and "'answer'" in message and "--data.columns" in message
    assert "'id', 'context', 'question'" in message


def test_answers_may_be_missing_in_some_rows_to_predict_on(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", f"{HEADER}1,본문,질문,갑\n2,본문,질문,\n3,본문,질문, \n")
    assert load_table(path, "predict")["answers"][:] == [["갑"], [], []]
    assert "blank answer: rows 2, 3" in fails(path, "val", require_answers=True)


def test_renamed_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "번호,지문,질문,정답\n1,본문,왜,갑\n")
    columns = {"id": "번호", "context": "지문", "question": "질문", "answer": "정답"}
    expected = {"id": "1", "context": "본문", "question": "왜", "answers": ["갑"]}
    row = load_table(path, "train", columns, require_answers=True)[0]
    assert {name: row[name] for name in expected} == expected
    message = fails(path, "train", {"id": "번호"})
    assert "no column 'context' and no column 'question'; found" in message
    assert "'지문'" in message
    assert """--data.columns '{"context": "NAME", "question": "NAME"}'""" in message
    assert "'틀림'" in fails(path, "train", columns | {"answer": "틀림"})
    assert "no 'text' there" in fails(path, "train", {"text": "지문"})


def test_all_faulty_rows_are_reported_at_once(tmp_path: Path) -> None:
    rows = [
        "1,본문,질문,갑",
        "1,본문,질문,갑",
        ",본문,질문,갑",
        "4,,질문,갑",
        "5,본문, ,갑",
        "6,본문,질문,",
        "7,본문",
    ]
    message = fails(write(tmp_path / "a.csv", HEADER + "\n".join(rows)), "train", require_answers=True)
    for part in (
        "duplicate id: row 2 ('1' of row 1)",
        "blank id: row 3",
        "blank context: row 4",
        "blank question: row 5",
        "blank answer: row 6",
        "ragged row: row 7",
    ):
        assert part in message


def test_first_twenty_rows_and_the_count(tmp_path: Path) -> None:
    message = fails(write(tmp_path / "a.csv", HEADER + "\n".join(f"{i},,질문,갑" for i in range(30))), "train")
    assert "blank context: rows 1, 2, " in message and ", 20 and more, 30 in all" in message
    assert ", 21" not in message


def test_empty_tables(tmp_path: Path) -> None:
    assert "no rows" in fails(write(tmp_path / "a.csv", HEADER), "train")
    assert "is empty" in fails(write(tmp_path / "a.json", "[]"), "train")


def test_several_golds_and_hub_style_answers(tmp_path: Path) -> None:
    rows = [
        {"id": "1", "context": "본문", "question": "왜", "answers": ["갑", "을"]},
        {"id": "2", "context": "본문", "question": "왜", "answers": {"text": ["병"], "answer_start": [0]}},
    ]
    path = write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))
    assert load_table(path, "val", require_answers=True)["answers"][:] == [["갑", "을"], ["병"]]
    path = write(tmp_path / "b.jsonl", json.dumps(rows[0] | {"answers": []}))
    assert "missing answer: row 1" in fails(path, "val", require_answers=True)


def test_values_that_are_no_usable_text(tmp_path: Path) -> None:
    rows = [
        {"id": True, "context": "a", "question": "q"},
        {"id": "2", "context": ["a"], "question": "q"},
        {"id": "3", "context": "\u200b", "question": "\ud800"},
    ]
    message = fails(write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows))), "predict")
    assert "id is no text: row 1 (bool)" in message and "context is no text: row 2 (list)" in message
    assert "blank context: row 3" in message and "surrogate pair in question: row 3" in message


def test_characters_that_no_reader_sees_are_taken_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    family = "👨\u200d👩\u200d👧"  # one sign, by its joiners
    lines = [f"1,\ufeff본\u200b문\x07 {family},질\u2060문,답\x85", '2,본문,"탭\t줄\n바꿈",답']
    table = load_table(write(tmp_path / "a.csv", HEADER + "\n".join(lines)), "train", require_answers=True)
    assert table[0]["context"] == f"본문 {family}" and table[0]["question"] == "질문" and table[0]["answers"] == ["답"]
    assert table[1]["question"] == "탭\t줄\n바꿈"
    assert table["removed"][:] == [5, 0]
    assert "5 zero-width and control characters were taken out of 1 rows" in caplog.text


def test_where_answers_stand_survives_cleaning(tmp_path: Path) -> None:
    context = unicodedata.normalize("NFD", "서울과") + "\u200b 부산과 서울"
    start = context.rindex("서울")
    rows = [
        {"answers": {"text": ["서울"], "answer_start": [start]}},
        {"answers": {"text": ["서울"], "answer_start": [0]}},  # decomposed there, and the same after cleaning
        {"answers": {"text": ["서울"], "answer_start": [3]}},  # it does not stand there
        {"answers": ["서울"]},
    ]
    common = {"context": context, "question": "어디"}
    lines = [json.dumps({"id": str(number), **common, **row}) for number, row in enumerate(rows)]
    table = load_table(write(tmp_path / "a.jsonl", "\n".join(lines)), "train", require_answers=True)
    assert table[0]["context"] == "서울과 부산과 서울"
    assert table["answer_starts"][:] == [[8], [0], [-1], [-1]]


def test_parquet_numbers_and_gaps(tmp_path: Path) -> None:
    columns = {"id": [1, 2], "context": ["a", "b"], "question": ["q", "q"], "answer": [1.5, None]}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    table = load_table(str(tmp_path / "a.parquet"), "predict")
    assert table["id"][:] == ["1", "2"] and table["answers"][:] == [["1.5"], []]


def parquet(path: Path, **columns: pyarrow.Array) -> str:
    count = max(map(len, columns.values()))
    given = {
        "context": ["본문"] * count,
        "question": ["왜"] * count,
        "id": [str(row) for row in range(count)],
    } | columns
    pyarrow.parquet.write_table(pyarrow.table(given), path)
    return str(path)


def test_parquet_text_that_is_no_utf8_is_named_by_its_row(tmp_path: Path) -> None:
    broken = pyarrow.array([b"a", b"\xff\xfe", b"b"]).view(pyarrow.string())
    message = fails(parquet(tmp_path / "a.parquet", context=broken), "predict")
    assert "context is no text: row 2" in message and "0xff" in message
    assert len(load_table(parquet(tmp_path / "b.parquet", other=broken), "predict")) == 3  # nobody reads it


def test_parquet_dates_and_decimals_are_answers(tmp_path: Path) -> None:
    for name, values, expected in (
        ("date", [date(2024, 1, 31)], "2024-01-31"),
        ("decimal", [Decimal("1.50")], "1.50"),
        ("single", pyarrow.array([3.14], pyarrow.float32()), "3.14"),
    ):
        path = parquet(tmp_path / f"{name}.parquet", answer=values)
        assert load_table(path, "train", require_answers=True)["answers"][:] == [[expected]]
    message = fails(parquet(tmp_path / "time.parquet", answer=[datetime(2024, 1, 31)]), "train")
    assert "answer is no text: row 1 (datetime)" in message
    # Of a number in a list it is not known how many of its digits were meant.
    message = fails(
        parquet(tmp_path / "list.parquet", answers=pyarrow.array([[3.14]], pyarrow.list_(pyarrow.float32()))), "train"
    )
    assert "answer is no text: row 1 (float)" in message


@pytest.mark.parametrize("start", [float("inf"), float("nan"), -1.0, 1e300])
def test_a_place_that_is_none(tmp_path: Path, start: float) -> None:
    path = parquet(tmp_path / "a.parquet", answers=[{"text": ["문"], "answer_start": [start]}])
    assert load_table(path, "train", require_answers=True)["answer_starts"][:] == [[-1]]


@pytest.mark.parametrize("filler", ["\u3164", "\u200e", "\u00ad", "\u115f\u1160", "\u2800", "\ufe0f", " \u200d "])
def test_what_shows_nothing_is_blank(tmp_path: Path, filler: str) -> None:
    path = write(tmp_path / "a.csv", f"{HEADER}{filler},{filler},{filler},{filler}\n")
    message = fails(path, "train", require_answers=True)
    for name in ("id", "context", "question", "answer"):
        assert f"blank {name}: row 1" in message


def test_answer_and_answers_in_one_table(tmp_path: Path) -> None:
    rows = [
        {"id": "1", "context": "본문", "question": "왜", "answer": "갑"},
        {"id": "2", "context": "본문", "question": "왜", "answers": ["을"]},
    ]
    path = write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))
    for part in ("train", "predict"):
        message = fails(path, part)
        assert "both a column 'answer' and a column 'answers'" in message and '{"answer": "answers"}' in message
    assert load_table(path, "predict", {"answer": "answers"})["answers"][:] == [[], ["을"]]


def test_two_names_for_one_column(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", f"{HEADER}1,본문,질문,갑\n")
    message = fails(path, "train", {"question": "context"})
    assert "column 'context' both context and question" in message and "--data.columns" in message


def test_a_squad_answer_without_text_is_named_by_its_row(tmp_path: Path) -> None:
    answers = [[{"text": "갑"}], [{"answer_start": 0}], ["을"], None, [["병"]]]
    qas = [{"id": str(number), "question": "왜", "answers": one} for number, one in enumerate(answers, start=1)]
    document = {"data": [{"paragraphs": [{"context": "갑과 을", "qas": qas}]}]}
    message = fails(write(tmp_path / "a.json", json.dumps(document)), "train", require_answers=True)
    assert "blank answer: rows 2, 4;" in message and "answer is no text: row 5 (list)" in message


@pytest.fixture
def parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one for every table that is parsed, all of them cached in a folder of this test."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(tables, "CACHED_FROM", 0)
    calls: list[int] = []
    original = tables.check
    monkeypatch.setattr(tables, "check", lambda *arguments: (calls.append(1), original(*arguments))[1])
    return calls


def test_the_same_content_is_parsed_once(tmp_path: Path, parsed: list[int]) -> None:
    first = write(tmp_path / "a.csv", f"{HEADER}1,본문\u200b,질문,갑\n")
    second = write(tmp_path / "b.csv", f"{HEADER}1,본문\u200b,질문,갑\n")  # whatever its name, date or flag
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
    rows = load_table(first, "train", require_answers=True).to_list()
    for path, part in ((first, "train"), (first, "val"), (second, "train"), (str(tmp_path / "c.csv.gz"), "test")):
        assert load_table(path, part, require_answers=True).to_list() == rows
    assert len(parsed) == 1


def test_what_decides_is_parsed_again(tmp_path: Path, parsed: list[int]) -> None:
    path = write(tmp_path / "a.csv", f"{HEADER}1,본문,질문,갑\n")
    load_table(path, "train")
    load_table(path, "train", require_answers=True)
    assert load_table(path, "train", {"question": "answer", "answer": "question"})[0]["question"] == "갑"
    assert len(parsed) == 3
    write(tmp_path / "a.csv", f"{HEADER}1,본문,질문,을\n")
    assert load_table(path, "train")[0]["answers"] == ["을"] and len(parsed) == 4


def test_a_format_is_decided_by_its_extension_under_any_compression(tmp_path: Path, parsed: list[int]) -> None:
    line = json.dumps([{"id": "1", "context": "본문", "question": "왜", "answer": "갑"}])
    for name in ("rows.jsonl", "rows.json"):
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(line.encode()))
    assert "no JSON object: row 1" in fails(str(tmp_path / "rows.jsonl.gz"), "train")
    assert len(load_table(str(tmp_path / "rows.json.gz"), "train")) == 1
    assert "no JSON object: row 1" in fails(str(tmp_path / "rows.jsonl.gz"), "train")


def test_a_faulty_table_is_faulty_again(tmp_path: Path, parsed: list[int]) -> None:
    path = write(tmp_path / "a.csv", f"{HEADER}1,,질문,갑\n")
    assert fails(path, "train") == fails(path, "train") and len(parsed) == 2


def test_removed_characters_are_reported_from_the_cache_too(
    tmp_path: Path, parsed: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "a.csv", f"{HEADER}1,본\u200b문,질문,갑\n")
    for _ in range(2):
        caplog.clear()
        load_table(path, "train")
        assert "1 zero-width and control characters" in caplog.text
    assert len(parsed) == 1


def test_sample() -> None:
    sizes = {part: len(load_table("sample", part, require_answers=True)) for part in ("train", "val")}
    assert sizes["train"] > sizes["val"] > 0
    assert load_table("sample", "predict")["id"][:] == load_table("sample", "test")["id"][:]


def test_missing_file_in_a_folder_is_not_taken_for_a_hub_data_set() -> None:
    assert "no such file" in fails("data/train.csv", "train")
    assert "no such file" in fails("nowhere", "train")


def test_korquad(korquad_path: Path) -> None:
    table = load_table(str(korquad_path), "train", require_answers=True)
    assert len(table) == 5774 and len(set(table["id"])) == 5774
    document = json.loads(korquad_path.read_text(encoding="utf-8"))
    paragraph = document["data"][-1]["paragraphs"][-1]
    qa = paragraph["qas"][-1]
    golds = [unicodedata.normalize("NFC", answer["text"]) for answer in qa["answers"]]
    assert table[-1]["id"] == qa["id"] and table[-1]["answers"] == golds
    assert table[-1]["context"] == unicodedata.normalize("NFC", paragraph["context"])
    for row in table:
        for answer, start in zip(row["answers"], row["answer_starts"], strict=True):
            assert row["context"].startswith(answer, start) and start >= 0

import bz2
import gzip
import json
import lzma
import zipfile
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from kqa_lightning.data.json_tables import parse_json
from kqa_lightning.data.problems import Problems
from kqa_lightning.data.raw_table import RawTable
from kqa_lightning.data.readers import read_file
from kqa_lightning.errors import KQAError


def read(path: Path) -> tuple[RawTable, Problems]:
    problems = Problems(path.name)
    return read_file(path, problems), problems


def fails(path: Path) -> str:
    with pytest.raises(KQAError) as error:
        _, problems = read(path)
        problems.raise_any()
    assert "\n" not in str(error.value)
    return str(error.value)


def write(path: Path, data: str | bytes) -> Path:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def test_csv_keeps_text_as_it_stands(tmp_path: Path) -> None:
    cells = ["NA", "null", "None", "007", "1,000", "1e5", "", "  ", 'a"b', "두\r\n줄", "=SUM(A1)", "True"]
    quoted = ",".join('"' + cell.replace('"', '""') + '"' for cell in cells)
    header = ",".join(f"c{i}" for i in range(len(cells)))
    table, _ = read(write(tmp_path / "a.csv", f"{header}\n{quoted}\n"))
    assert list(table.rows[0][1].values()) == cells


@pytest.mark.parametrize("prefix", [b"", b"\xef\xbb\xbf"])
def test_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path, prefix: bytes) -> None:
    table, _ = read(write(tmp_path / "a.csv", prefix + b"id,x\r\n1,2\r\n"))
    assert table.columns == ["id", "x"] and table.rows == [(1, {"id": "1", "x": "2"})]


def test_cp949_is_read_and_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table, _ = read(write(tmp_path / "a.csv", "id,답\n1,똠방각하\n".encode("cp949")))
    assert table.rows[0][1] == {"id": "1", "답": "똠방각하"}
    assert "cp949" in caplog.text


def test_undecodable_byte_is_named(tmp_path: Path) -> None:
    message = fails(write(tmp_path / "a.csv", "id,x\n1,가\n2,".encode() + b"\xff\n"))
    assert "0xff" in message and "(row 2, line 3)" in message and "UTF-8" in message


@pytest.mark.parametrize(
    ("name", "before", "row"),
    [
        ("a.csv", 'id,x\n1,"가\n나"\n2,', 2),
        ("a.csv", "id,", 0),
        ("a.tsv", "id\tx\n1\t가\n", 2),
        ("a.jsonl", '{"id": "가"}\n\n{"id": "', 2),
        ("a.json", '{"data": [{"paragraphs": [{"qas": [{"question": "가"}, {"question": "', 2),
    ],
)
def test_the_row_of_an_undecodable_byte(tmp_path: Path, name: str, before: str, row: int) -> None:
    data = before.encode() + b"\xff"
    message = fails(write(tmp_path / name, data))
    assert f"byte 0xff at offset {len(data) - 1} (row {row}, line" in message


def test_the_offset_counts_the_byte_order_mark(tmp_path: Path) -> None:
    data = b"\xef\xbb\xbf" + "id,x\n1,가\n2,".encode()
    message = fails(write(tmp_path / "a.csv", data + b"\xff\n"))
    assert f"byte 0xff at offset {len(data)} (row 2, line 3)" in message
    # Without Hangul before the fault too, a marked file is no cp949.
    assert "byte 0xb0 at offset 7" in fails(write(tmp_path / "b.csv", b"\xef\xbb\xbfid,x\xb0\xa1\n"))


def test_the_bad_byte_of_a_cp949_file_is_cp949s(tmp_path: Path) -> None:
    data = "id,답\n1,서울특별시\n2,부산광역시\n3,대".encode("cp949")
    message = fails(write(tmp_path / "a.csv", data + b"\xff\n"))
    assert f"byte 0xff at offset {len(data)} (row 3, line 4)" in message


def test_the_bad_byte_of_an_utf8_file_is_utf8s_where_no_hangul_comes_before_it(tmp_path: Path) -> None:
    data = b"id,x\n1," + "가나다".encode()[1:] + "라마바사\n".encode()
    assert "byte 0xb0 at offset 7 (row 1, line 2)" in fails(write(tmp_path / "a.csv", data))


JAPANESE = "東京は日本の首都である。人口は約1400万人で、世界最大級の都市圏を形成している。"
CHINESE = "北京是中华人民共和国的首都，是全国的政治中心、文化中心，是世界著名古都和现代化国际城市。"


@pytest.mark.parametrize(
    ("text", "encoding"), [(JAPANESE, "euc_jp"), (JAPANESE, "shift_jis"), (CHINESE, "gbk"), ("ひらがな", "shift_jis")]
)
def test_other_encodings_are_not_read_as_cp949(tmp_path: Path, text: str, encoding: str) -> None:
    message = fails(write(tmp_path / "a.csv", f"id,x\n1,{text}\n".encode(encoding)))
    assert "(row 1, line 2) is neither UTF-8 nor cp949" in message and "UTF-8" in message


def test_cp949_with_chinese_characters_is_korean(tmp_path: Path) -> None:
    table, _ = read(write(tmp_path / "a.csv", "id,x\n1,세종대왕(世宗大王)은 조선의 임금이다.\n".encode("cp949")))
    assert table.rows[0][1]["x"] == "세종대왕(世宗大王)은 조선의 임금이다."


@pytest.mark.parametrize(
    "extra", [["__MACOSX/._a.csv"], ["data/"], ["data/", "data/.DS_Store", "__MACOSX/data/._a.csv"]]
)
def test_what_else_is_in_a_zip_with_one_table(tmp_path: Path, extra: list[str]) -> None:
    with zipfile.ZipFile(tmp_path / "a.csv.zip", "w") as archive:
        for name in extra:
            archive.writestr(name, "" if name.endswith("/") else b"\0\5\x16\7\0\2")
        archive.writestr("data/a.csv", "id,x\n1,가\n")
    assert read(tmp_path / "a.csv.zip")[0].rows == [(1, {"id": "1", "x": "가"})]


@pytest.mark.parametrize(("names", "found"), [(["a.csv", "b.csv"], "2 files (a.csv, b.csv)"), ([], "0 files (none)")])
def test_a_zip_that_holds_not_exactly_one_table(tmp_path: Path, names: list[str], found: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.csv.zip", "w") as archive:
        for name in names:
            archive.writestr(name, "id,x\n1,가\n")
    assert found in fails(tmp_path / "a.csv.zip")


def test_short_damaged_utf8_is_not_taken_for_cp949(tmp_path: Path) -> None:
    # The two bytes left of the second syllable are a syllable of cp949.
    data = "id,x\n가,".encode() + "각".encode("cp949")
    assert "neither UTF-8 nor cp949" in fails(write(tmp_path / "a.csv", data))


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zip"])
def test_compressed_files(tmp_path: Path, suffix: str) -> None:
    text = "id,x\n1,가나다\n".encode()
    packed = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
    path = tmp_path / f"a.csv{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.csv", text)
    else:
        path.write_bytes(packed[suffix](text))
    table, _ = read(path)
    assert table.rows == [(1, {"id": "1", "x": "가나다"})]
    path.write_bytes(path.read_bytes()[:12] + b"torn")
    assert f"a.csv{suffix} cannot be read" in fails(path)


def test_one_bad_byte_in_korean_utf8_is_not_read_as_cp949(tmp_path: Path) -> None:
    text = "id,x\n1,대한민국의 경제 성장률은 3.5%로 예상된다.\n".encode()
    assert "line 2" in fails(write(tmp_path / "a.csv", text.replace("경".encode(), b"\xea\xb2")))


def test_utf16_is_told_from_a_stray_nul(tmp_path: Path) -> None:
    assert "UTF-8" in fails(write(tmp_path / "a.csv", "id,x\n1,가\n".encode("utf-16")))
    assert "full of NUL bytes" in fails(write(tmp_path / "b.csv", "id,x\n1,a\n".encode("utf-16-le")))
    table, _ = read(write(tmp_path / "c.csv", b"id,context\n1,a word and a\0nother\n"))
    assert table.rows[0][1]["context"] == "a word and a\0nother"  # taken out and counted where rows are checked


def test_tab_separated_blank_lines_and_long_fields(tmp_path: Path) -> None:
    long = "가" * 200_000
    table, problems = read(write(tmp_path / "a.tsv", f"id\tx\n\n1\ta,b\n\n2\t{long}\n\n"))
    problems.raise_any()
    assert [(number, row["x"]) for number, row in table.rows] == [(1, "a,b"), (2, long)]


def test_ragged_rows_and_quotes_are_reported_together(tmp_path: Path) -> None:
    message = fails(write(tmp_path / "a.csv", 'id,x\n1,"a\nb"\n2\n3,a,b\n4,"open\n5,c\n'))
    assert "rows 2 (line 4: 1 fields instead of 2), 3 (line 5: 3 fields instead of 2)" in message
    assert "not closed" in message and "row 4 (from line 6)" in message


def test_faults_after_a_wrong_quote_are_found(tmp_path: Path) -> None:
    rows = ["1,open", '2,"open', "3,a,b", '4,"a"b', "5", "6,last", '7,"never closed', "8,a,b"]
    message = fails(write(tmp_path / "a.csv", "id,x\n" + "\n".join(rows)))
    assert "after a closing quote: rows 2 (from line 3), 4 (from line 5), 7 (from line 8)" in message
    assert "ragged row: rows 3 (line 4: 3 fields instead of 2), 5 (line 6: 1 fields instead of 2), 8 (line 9" in message


def test_a_wrong_quote_in_the_header(tmp_path: Path) -> None:
    assert "header" in fails(write(tmp_path / "a.csv", 'id,"x\n1,2\n'))


def test_rows_that_an_open_quote_swallowed_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = ['1,"열린 본문,질문,답', "2,본문,질문,답", '3,본문",질문,답', "4,본문,질문,답"]
    table, problems = read(write(tmp_path / "a.csv", "id,context,question,answer\n" + "\n".join(rows)))
    problems.raise_any()
    assert [number for number, _ in table.rows] == [1, 2]  # by the letter of the format it is one long field
    assert "rows of their own: row 1 (lines 2 to 4)" in caplog.text


def test_paragraphs_in_a_field_are_no_swallowed_rows(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    context = "서울은, 부산은, 대구는, 크다.\n인구는 1,000,000명이고, 넓이는 1,234,567이다.\n하나,둘,셋,넷"
    write(tmp_path / "a.csv", f'id,context,question,answer\n1,"{context}",질문,답\n')
    assert read(tmp_path / "a.csv")[0].rows[0][1]["context"] == context
    assert not caplog.text


def test_many_wrong_quotes_take_no_time_by_the_square(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "id,x\n" + "".join(f'{i},"a"b\n' for i in range(50_000)))
    assert "50000 in all" in fails(tmp_path / "a.csv")


def test_quote_closed_too_early(tmp_path: Path) -> None:
    assert "row 1 (from line 2)" in fails(write(tmp_path / "a.csv", 'id,x\n1,"a"b\n'))


def test_column_twice(tmp_path: Path) -> None:
    assert "'x' occurs more than once" in fails(write(tmp_path / "a.csv", "x,x\n1,2\n"))


@pytest.mark.parametrize(("name", "sign"), [("a.csv", ";"), ("a.csv", "\t"), ("a.tsv", ",")])
def test_columns_that_are_separated_by_another_sign(tmp_path: Path, name: str, sign: str) -> None:
    message = fails(write(tmp_path / name, f"id{sign}answer\n1{sign}2\n"))
    assert f"by {sign!r}" in message and "commas" in message


def test_jsonl(tmp_path: Path) -> None:
    lines = ['{"id": 1.50, "x": "a\u2028b"}', "", '{"id": null, "y": ["007", 7]}\r']
    table, _ = read(write(tmp_path / "a.jsonl", "\n".join(lines)))
    assert table.columns == ["id", "x", "y"]
    assert table.rows == [(1, {"id": "1.50", "x": "a\u2028b"}), (2, {"id": None, "y": ["007", "7"]})]


def test_jsonl_faults_are_reported_together(tmp_path: Path) -> None:
    message = fails(write(tmp_path / "a.jsonl", '{"id": 1}\n{"id": \n[1]\n\n{"id" 2}\n'))
    assert "broken JSON: rows 2 (line 2" in message and "4 (line 5" in message
    assert "no JSON object: row 3" in message


def test_a_name_twice_in_one_object(tmp_path: Path) -> None:
    message = fails(write(tmp_path / "a.jsonl", '{"id": "1"}\n{"id": "2", "answer": "a", "answer": "b"}\n'))
    assert "broken JSON: row 2" in message and "(line 2: 'answer' stands more than once" in message
    message = fails(write(tmp_path / "a.json", '[{"id": "1"}, {"id": "2", "answer": "a", "answer": "b"}]'))
    assert "'answer' stands more than once" in message and "'id': '2'" in message


def test_numbers_of_json_keep_their_characters() -> None:
    assert parse_json("[1.0, 1e3, -0, 12345678901234567890.10, NaN]") == [
        *("1.0", "1e3", "-0", "12345678901234567890.10", "NaN")
    ]


def test_squad_json_keeps_all_golds(tmp_path: Path) -> None:
    qa = {"id": "a", "question": "누구?", "answers": [{"text": "갑", "answer_start": 0}, {"text": "을"}]}
    document = {"data": [{"paragraphs": [{"context": "갑과 을", "qas": [qa, {"id": "b", "question": "왜?"}]}]}]}
    table, _ = read(write(tmp_path / "a.json", json.dumps(document)))
    first, second = (row for _, row in table.rows)
    golds = {"text": ["갑", "을"], "answer_start": ["0", None]}
    assert first == {"id": "a", "context": "갑과 을", "question": "누구?", "answers": golds}
    assert "answers" not in second


def test_json_list_and_broken_json(tmp_path: Path) -> None:
    table, _ = read(write(tmp_path / "a.json", '[{"id": "1"}, {"id": "2"}]'))
    assert [row["id"] for _, row in table.rows] == ["1", "2"]
    assert "broken JSON" in fails(write(tmp_path / "b.json", '{"data": [}'))
    assert "broken JSON: row 2 (line 2" in fails(write(tmp_path / "c.json", '{"id": "1"}\n{"id"}\n'))
    table, _ = read(write(tmp_path / "e.json", '{"id": "1"}\n{"id": "2"}\n'))
    assert [row["id"] for _, row in table.rows] == ["1", "2"]
    assert "neither KorQuAD" in fails(write(tmp_path / "d.json", '{"data": [{"paragraph": []}]}'))
    assert "KeyError 'context' after row 0" in fails(write(tmp_path / "f.json", '{"data": [{"paragraphs": [{}]}]}'))


def test_parquet(tmp_path: Path) -> None:
    table = pyarrow.table({"id": [1, None], "x": ["NA", "007"]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet")[0].rows == [(1, {"id": 1, "x": "NA"}), (2, {"id": None, "x": "007"})]
    assert "no Parquet file" in fails(write(tmp_path / "b.parquet", "id,x\n"))


def parquet_rows(path: Path, columns: dict[str, pyarrow.Array]) -> list[dict[str, object]]:
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return [dict(row) for _, row in read(path)[0].rows]


def test_numbers_and_dates_of_parquet_are_written_as_people_do(tmp_path: Path) -> None:
    rows = parquet_rows(
        tmp_path / "a.parquet",
        {
            "single": pyarrow.array([3.14, None, float("nan")], pyarrow.float32()),
            "gaps": pyarrow.array([2020.0, None, 1.5], pyarrow.float64()),
            "half": pyarrow.array([0.5, 2, None], pyarrow.float16()),
            "decimal": pyarrow.array([Decimal("3.10"), Decimal("0E-10"), None], pyarrow.decimal128(20, 10)),
            "date": pyarrow.array([date(2024, 1, 31), None, None]),
            "many": pyarrow.array([2**60 + 1, None, -1]),
        },
    )
    assert [row["single"] for row in rows] == ["3.14", None, None]
    assert [row["gaps"] for row in rows] == ["2020", None, "1.5"]
    assert [row["half"] for row in rows] == ["0.5", "2", None]
    assert [row["decimal"] for row in rows] == ["3.1000000000", "0.0000000000", None]
    assert [row["date"] for row in rows] == ["2024-01-31", None, None]
    assert [row["many"] for row in rows] == [2**60 + 1, None, -1]


def test_a_parquet_column_is_read_when_it_is_asked_for(tmp_path: Path) -> None:
    columns = {
        "id": pyarrow.array(["1"]),
        "late": pyarrow.array([2**62], pyarrow.timestamp("ms")),
        "nowhere": pyarrow.array([0], pyarrow.timestamp("us", "Middle/Earth")),
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    table, _ = read(tmp_path / "a.parquet")
    row = table.rows[0][1]
    assert table.columns == ["id", "late", "nowhere"] and row["id"] == "1" and "other" not in row
    assert isinstance(row["late"], OverflowError) and isinstance(row["nowhere"], Exception)


def test_a_parquet_column_twice(tmp_path: Path) -> None:
    table = pyarrow.table([pyarrow.array(["1"]), pyarrow.array(["2"])], names=["id", "id"])
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    message = fails(tmp_path / "a.parquet")
    assert "no Parquet file that can be read" in message and "id" in message


def test_what_cannot_be_read_at_all(tmp_path: Path) -> None:
    assert "no such file" in fails(tmp_path / "a.csv")
    assert "folder" in fails(tmp_path)
    assert "'.xlsx'" in fails(write(tmp_path / "a.xlsx", "x"))
    assert "is empty" in fails(write(tmp_path / "a.csv", " \n"))

"""Answers as any table holds them, by the rules of the data side."""

import gzip
import unicodedata
from pathlib import Path

import pytest

from kqa_lightning.ensemble.tables import read_answers
from kqa_lightning.errors import KQAError


def test_everything_is_text(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(
        "\ufeffanswer,score,id\r\nNA,1,001\r\nnull,2,1e5\r\n".encode()
        + '"14일, ""다섯""",3,x\r\n\r\n,4,y\r\n1.0,5,z\u2028z\r\n'.encode()
    )
    assert read_answers(path) == {"001": "NA", "1e5": "null", "x": '14일, "다섯"', "y": "", "z\u2028z": "1.0"}


def test_answers_are_cleaned_and_ids_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    decomposed = unicodedata.normalize("NFD", "한국")
    path.write_text(f"id,answer\n{decomposed},{decomposed}\u200b３㎏\n2,\u200b\n", encoding="utf-8")
    assert read_answers(path) == {decomposed: "한국３㎏", "2": ""}


def test_every_format_that_tables_have(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    expected = {"001": "한국", "2": "7"}
    text = "id,answer\n001,한국\n2,7\n"
    files = {
        "a.csv": text.encode("cp949"),
        "a.tsv": text.replace(",", "\t").encode(),
        "a.csv.gz": gzip.compress(text.encode()),
        "a.jsonl": '{"id": "001", "answer": "한국"}\n{"id": 2, "answer": 7}\n'.encode(),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        assert read_answers(tmp_path / name) == expected, name
    assert "a.csv is not UTF-8 and was read as cp949" in caplog.text


def test_an_answer_longer_than_the_parsers_own_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"id,answer\n1,{'가' * 200_000}\n", encoding="utf-8")
    assert read_answers(path) == {"1": "가" * 200_000}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"id,answer\n", "there are no rows in it"),
        (b"id,prediction\n1,a\n", "has no column 'answer'; found: 'id', 'prediction'"),
        (b"id;answer\n1;a\n", "'id;answer' separates its columns by ';'"),
        (b"id,answer,answer\n1,a,b\n", "column 'answer' occurs more than once"),
        (b"id,answer\n1,a\n2,b\n1,c\n3,d\n3,e\n", r"duplicate id: rows 3 \(1 of row 1\), 5 \(3 of row 4\)"),
        (b"id,answer\n1,a\n,b\n \t,c\n", "blank id: rows 2, 3"),
        (b"id,answer\n1,14\xec\x9d\xbc, 5\n", r"row 1 \(line 2: 3 fields instead of 2\)"),
        (b'id,answer\n1,"a\nb"\n2\n', "row 2"),
        (b'id,answer\n1,"a\n2,b\n', "quote that is not closed"),
        ("id,answer\n1,a\n".encode("utf-16"), "UTF-8"),
    ],
)
def test_bad_files_name_file_and_row(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(KQAError, match=message) as caught:
        read_answers(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_missing_file_folder_and_unknown_format(tmp_path: Path) -> None:
    with pytest.raises(KQAError, match="there is no such file"):
        read_answers(tmp_path / "none.csv")
    with pytest.raises(KQAError, match="is a folder"):
        read_answers(tmp_path)
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    with pytest.raises(KQAError, match="unknown extension"):
        read_answers(tmp_path / "a.xlsx")


def test_many_faults_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,answer\n" + ",a\n" * 30, encoding="utf-8")
    with pytest.raises(KQAError, match=r"blank id: rows 1, 2, .* and more, 30 in all"):
        read_answers(path)

"""The journal as a file: what is whole of it is read, whatever happened to the rest."""

import os
from pathlib import Path

import pytest

from kqa_lightning.answer_journal import (
    AnswerJournal,
    Group,
    find_journals,
    journal_path,
    read_journal,
    read_journals,
)
from kqa_lightning.errors import KQAError

SETTINGS = {"model.max_new_tokens": "4", "data.prompt": "NousPrompt(wording='aligned')"}
BUDGET = {"articles": 16384, "answers": 700}
GROUPS = [
    Group(answers, BUDGET)
    for answers in (
        {"1": [{"answer": "국민은행", "raw": " 국민은행\n", "logprob_sum": -1 / 3}], "2": [{"answer": "\u2028\x85"}]},
        {"\n": [{"answer": "", "logprob_mean": float("-inf")}]},
        {"3": [{"answer": "가"}, {"answer": "나"}]},
    )
]


def written(path: Path) -> bytes:
    journal = AnswerJournal(path, SETTINGS)
    for group in GROUPS:
        journal.append(group)
    journal.close()
    return path.read_bytes()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = journal_path(tmp_path / "new" / "mine.csv", 0)
    written(path)
    assert path.name == "mine.rank0.journal"
    assert read_journals([path], SETTINGS) == GROUPS
    content = read_journal(path)
    assert content is not None
    assert (content.settings, content.size) == (SETTINGS, path.stat().st_size)


def test_cut_at_every_byte_it_is_completed(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole")
    ends = [place + 1 for place, byte in enumerate(whole) if byte == ord("\n")]
    path = tmp_path / "cut"
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        kept = read_journals([path], SETTINGS)
        assert kept == GROUPS[: max(sum(end <= cut for end in ends) - 1, 0)]
        journal = AnswerJournal(path, SETTINGS)
        for group in GROUPS[len(kept) :]:
            journal.append(group)
        journal.close()
        assert path.read_bytes() == whole


def test_a_damaged_byte_costs_its_group_and_those_after_it(tmp_path: Path) -> None:
    whole, path = written(tmp_path / "whole"), tmp_path / "damaged"
    first, *ends = (place + 1 for place, byte in enumerate(whole) if byte == ord("\n"))
    for place in range(first, len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert read_journals([path], SETTINGS) == GROUPS[: sum(end <= place for end in ends)], place


@pytest.mark.parametrize("line", ['{"answers": {"1": []}}', '{"answers": {"1": "text"}}', "[" * 100_000, "{}", "1"])
def test_a_line_without_its_checksum_holds_nothing(line: str, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(written(path) + line.encode() + b"\n")
    assert read_journals([path], SETTINGS) == GROUPS


def test_each_group_is_in_the_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = AnswerJournal(path, SETTINGS)
    for number, group in enumerate(GROUPS, start=1):
        journal.append(group)
        assert read_journals([path], SETTINGS) == GROUPS[:number]
    journal.close()


def test_all_ranks_are_found_and_no_other_file(tmp_path: Path) -> None:
    table = tmp_path / "a[1].csv"
    for rank in (0, 1):
        journal_path(table, rank).touch()
    for name in ("a1.rank0.journal", "b.rank0.journal", "a[1].csv"):
        (tmp_path / name).touch()
    assert find_journals(table) == [journal_path(table, rank) for rank in (0, 1)]
    assert read_journals(find_journals(table), SETTINGS) == []


def test_what_differs_is_named_with_both_values(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    written(path)
    with pytest.raises(KQAError) as error:
        read_journals([path], {"model.max_new_tokens": "64", "data.prompt": SETTINGS["data.prompt"]})
    assert str(error.value) == (
        f"{path} holds 4 answers that were given with other settings: model.max_new_tokens was 4 and is 64; give those"
        " again to go on, or remove the file to answer all anew"
    )
    others = {str(number): "" for number in range(9)}
    with pytest.raises(KQAError, match=r"was None and is ; \d more; give"):
        read_journals([path], SETTINGS | others)


def test_without_answers_it_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    AnswerJournal(path, {"other": "settings"}).close()
    assert read_journals([path], SETTINGS) == []
    AnswerJournal(path, SETTINGS).close()
    content = read_journal(path)
    assert content is not None
    assert content.settings == SETTINGS


def test_another_writer_is_refused_and_spoils_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    first = AnswerJournal(path, SETTINGS)
    first.append(GROUPS[0])
    with pytest.raises(KQAError, match="another predict is writing to it"):
        AnswerJournal(path, SETTINGS)
    first.append(GROUPS[1])
    first.close()
    assert read_journals([path], SETTINGS) == GROUPS[:2]
    AnswerJournal(path, SETTINGS).close()


@pytest.mark.parametrize("content", [b"notes\n", b"[]\n", b'{"settings": 1}\n', b"\x00\n"])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(content)
    with pytest.raises(KQAError, match="is no journal of predict; remove it"):
        read_journal(path)
    with pytest.raises(KQAError, match="is no journal"):
        AnswerJournal(path, SETTINGS)
    assert path.read_bytes() == content


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full to write to")
def test_a_full_disk_is_one_line_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = AnswerJournal(path, SETTINGS)
    journal.append(GROUPS[0])
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, journal._file)
    with pytest.raises(KQAError, match=r"cannot be written \(No space left on device\); make room or name another"):
        journal.append(GROUPS[1])
    journal.close()
    os.close(full)
    assert read_journals([path], SETTINGS) == GROUPS[:1]


def test_a_place_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KQAError, match=r"file/journal cannot be written \(.*--prediction_writer.path"):
        AnswerJournal(tmp_path / "file" / "journal", SETTINGS)

"""A predict that is stopped, wherever: the same command answers what is missing, and the files are the same."""

import random
import signal
import time
from pathlib import Path

import pytest
import torch
from forked import fork_ranks
from journals import FILES, GROUPS, JOURNAL, STOP, files, put
from small_runs import ARTICLES, SmallRuns, contents, read_rows, write_rows
from stopping import Killed

from kqa_lightning.answer_journal import AnswerJournal, Group, read_journal
from kqa_lightning.model.module import KQAModule

SLOWLY = STOP.format("seconds: 0.05")
CUTS = 6  # and the edges; the processes below are killed at twenty random points


# --- wherever it is cut ----------------------------------------------------------------------------------------------


def test_a_journal_cut_anywhere_is_completed(
    runs: SmallRuns,
    options: tuple[str, ...],
    undisturbed: dict[str, bytes],
    journal: bytes,
    answered: list[list[int]],
    tmp_path: Path,
) -> None:
    header = journal.index(b"\n") + 1
    groups = journal.count(b"\n") - 1
    assert groups == 6
    cuts = random.Random(0).sample(range(header, len(journal)), CUTS)
    for cut in [*cuts, 0, header // 2, header - 1, header, len(journal) - 1, len(journal)]:
        folder = put(tmp_path / str(cut), journal[:cut])
        answered.clear()
        assert runs("predict", str(folder), *options) == 0
        assert files(folder) == undisturbed, cut
        assert len(answered) == groups - max(journal[:cut].count(b"\n") - 1, 0), cut


@pytest.mark.parametrize("end", [b'{"answers": {"TRAIN', b"\x00" * 300 + b"\n", b"\xff\xfe", b'{"answers": 1}\n[]\n'])
def test_a_torn_or_damaged_end_is_answered_again(
    runs: SmallRuns, options: tuple[str, ...], undisturbed: dict[str, bytes], journal: bytes, end: bytes, tmp_path: Path
) -> None:
    whole = b"".join(journal.splitlines(keepends=True)[:3])
    assert runs("predict", str(put(tmp_path / "torn", whole + end)), *options) == 0
    assert files(tmp_path / "torn") == undisturbed


def test_a_group_that_is_not_one_of_the_plan_is_answered_whole(
    runs: SmallRuns,
    options: tuple[str, ...],
    undisturbed: dict[str, bytes],
    journal: bytes,
    answered: list[list[int]],
    tmp_path: Path,
) -> None:
    folder = put(tmp_path / "joined", journal)
    content = read_journal(folder / JOURNAL)
    assert content is not None
    (folder / JOURNAL).unlink()
    other = AnswerJournal(folder / JOURNAL, content.settings)
    first, second, *_ = content.groups
    other.append(Group({**first.answers, **second.answers}, second.budget))
    other.close()
    left = folder / ".predictions.csv.4711.tmp"  # by a predict that was killed while it wrote its files
    left.touch()
    assert runs("predict", str(folder), *options) == 0
    assert files(folder) == undisturbed
    assert len(answered) == 6  # by id alone, four groups would have been left to answer
    assert not left.exists()


def test_what_did_not_fit_the_memory_is_replayed_in_the_same_parts(
    runs: SmallRuns, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other parts of a group have other last digits; a run that goes on knows what the one before it had room for."""
    load, refused = KQAModule.configure_model, []

    def with_little_memory(module: KQAModule) -> None:
        first = module.model is None
        load(module)
        if first:
            assert module.model is not None
            module.model.get_input_embeddings().register_forward_hook(check)

    def check(module: object, args: tuple[torch.Tensor], output: object) -> None:
        if len(args[0]) > 6:
            refused.append(len(args[0]))
            raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(KQAModule, "configure_model", with_little_memory)
    options = ("--data.predict_path", str(table), "--data.evaluation_tokens_per_batch", "1200")
    options = (*options, "--model.max_new_tokens", "6")
    assert runs("predict", "little", *options) == 0
    assert refused
    with pytest.raises(Killed):
        runs("predict", "little-again", *options, STOP.format("group: 1"))
    refused.clear()
    assert runs("predict", "little-again", *options) == 0
    assert not refused, "the first group's lesson is not learned again"
    assert files(runs.folder / "little-again") == files(runs.folder / "little")


# --- real processes --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finely(runs: SmallRuns, table: Path) -> tuple[tuple[str, ...], dict[str, bytes]]:
    """Options that make a group of every article, of some questions each, and what a run with them writes."""
    of_article: dict[str, list[dict[str, str]]] = {}
    for row in read_rows(table):
        of_article.setdefault(row["context"], []).append(row)
    rows = [
        row | {"id": f"{row['id']}-{copy}", "context": f"{copy}. {row['context']}"}
        for copy in range(4)
        for asked in of_article.values()
        for row in asked[:2]
    ]
    assert len(rows) == 4 * ARTICLES["train"] * 2
    finely = write_rows(runs.folder / "finely.csv", rows)
    options = ("--data.predict_path", str(finely), "--data.evaluation_tokens_per_batch", "1")
    assert runs("predict", "finely", *options) == 0
    return options, files(runs.folder / "finely")


@pytest.mark.parametrize(
    ("run", "status"), [("kill-1", -9), ("kill-2", -9), ("term-1", 143), ("term-2", 143)], ids=lambda name: str(name)
)
def test_killed_five_times_on_the_way(
    runs: SmallRuns, finely: tuple[tuple[str, ...], dict[str, bytes]], run: str, status: int
) -> None:
    options, expected = finely
    journal, generator = runs.folder / run / JOURNAL, random.Random(run)
    for _ in range(5):
        before = size(journal)
        process = runs.fork("predict", run, *options, SLOWLY)
        while process.poll() is None and size(journal) <= before:
            time.sleep(0.001)
        time.sleep(generator.random() / 8)
        process.send_signal(signal.SIGKILL if status == -signal.SIGKILL else signal.SIGTERM)
        assert process.wait() == status
        assert not (runs.folder / run / FILES[0]).exists()
        if status == 143:  # after the group that it was in
            assert journal.read_bytes().endswith(b"}\n")
    assert runs("predict", run, *options) == 0
    assert files(runs.folder / run) == expected


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def test_a_full_disk_loses_nothing(
    runs: SmallRuns, table: Path, answered: list[list[int]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row | {"id": row["id"] + "-" * 2000} for row in read_rows(table)]  # a journal larger than predict.yaml
    wide = (*GROUPS, "--data.predict_path", str(write_rows(tmp_path / "wide.csv", rows)))
    assert runs("predict", "wide", *wide) == 0
    asked, limit = len(answered), 20_000
    process = runs.fork("predict", "full", *wide, file_limit=limit)
    _, errors = process.communicate()
    assert process.returncode == 2, errors
    refused = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert len(refused) == 1
    assert f"{runs.folder / 'full' / JOURNAL} cannot be written" in refused[0]
    assert "make room" in refused[0]
    answered.clear()
    assert runs("predict", "full", *wide) == 0
    assert 0 < len(answered) < asked
    assert files(runs.folder / "full") == files(runs.folder / "wide")


def test_no_room_for_the_files_leaves_the_journal(
    runs: SmallRuns,
    options: tuple[str, ...],
    undisturbed: dict[str, bytes],
    journal: bytes,
    answered: list[list[int]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = put(tmp_path / "full", journal)

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("callbacks.prediction_writer.write_candidates", full)
        assert runs("predict", str(folder), *options) == 2
    assert "predictions.jsonl cannot be written (No space left on device); make room" in capsys.readouterr().err
    assert (folder / JOURNAL).read_bytes() == journal
    assert runs("predict", str(folder), *options) == 0
    assert files(folder) == undisturbed
    assert not answered


@pytest.mark.parametrize("harm", ["flipped", "removed", "moved"])
def test_answers_that_left_the_journal_meanwhile_are_missed(
    runs: SmallRuns,
    options: tuple[str, ...],
    undisturbed: dict[str, bytes],
    harm: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No table is written that lacks them, or in place of one from before, and the journals stay."""
    folder, journal, write = tmp_path / "run", tmp_path / "run" / JOURNAL, AnswerJournal.append

    def harmed(self: AnswerJournal, *args: object) -> None:
        write(self, *args)
        if (lines := journal.read_bytes().splitlines(keepends=True) if journal.exists() else [])[3:4]:
            if harm == "removed":
                journal.unlink()
            elif harm == "moved":
                journal.rename(tmp_path / JOURNAL)
            elif len(lines) == 4:
                journal.write_bytes(b"".join([lines[0], lines[1].replace(b"0", b"1", 1), *lines[2:]]))

    folder.mkdir()
    (folder / FILES[0]).write_text("id,answer\n1,kept\n", encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(AnswerJournal, "append", harmed)
        assert runs("predict", str(folder), *options) == 2
    (message,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert f"{journal}: of 24 answers 24 are not there any more" in message
    assert (folder / FILES[0]).read_text(encoding="utf-8") == "id,answer\n1,kept\n"
    assert set(contents(folder)) == {"predict.yaml", FILES[0], *([JOURNAL] if harm == "flipped" else [])}
    assert runs("predict", str(folder), *options) == 0
    assert files(folder) == undisturbed


def test_a_fit_in_the_folder_of_a_predict_leaves_its_journal(
    runs: SmallRuns,
    options: tuple[str, ...],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, write, statuses = tmp_path / "both", AnswerJournal.append, []

    def fit_meanwhile(self: AnswerJournal, *args: object) -> None:
        write(self, *args)
        if not statuses:
            statuses.append(runs("fit", str(folder), "--trainer.max_steps", "1"))

    monkeypatch.setattr("kqa_lightning.locks.PATIENCE", 0.0)
    monkeypatch.setattr(AnswerJournal, "append", fit_meanwhile)
    assert runs("predict", str(folder), *options) == 0
    assert statuses == [2]
    errors = capsys.readouterr().err
    assert f"error: {folder / JOURNAL}: a predict is writing its answers to it" in errors
    assert "--ckpt_path last goes on" not in errors
    assert files(folder) == undisturbed
    assert set(contents(folder)) == {"predict.yaml", *FILES}


def test_two_processes_write_the_same_files(
    runs: SmallRuns, options: tuple[str, ...], undisturbed: dict[str, bytes], journal: bytes, answered: list[list[int]]
) -> None:
    header, *groups = journal.splitlines(keepends=True)
    other = "predictions.rank1.journal"
    folder = put(runs.folder / "one-after-two", header + b"".join(groups[::2]))
    (folder / other).write_bytes(header + b"".join(groups[1::2]))
    assert runs("predict", "one-after-two", *options) == 0
    assert files(folder) == undisturbed
    assert not answered
    folder = put(runs.folder / "two-after-one", header + b"".join(groups[1:3]))
    two = ("--trainer.devices", "2", "--trainer.strategy", "ddp")
    for process in fork_ranks(2, runs.arguments("predict", "two-after-one", *options, *two)):
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert files(folder) == undisturbed

"""Files and folders that appear whole or not at all."""

import os
from pathlib import Path

import pytest

from kqa_lightning.files import folder_written_whole, remove_leftovers, written_whole


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_replaces_the_one_before(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file.txt"
    for content in ("first", "second"):
        with written_whole(target) as scratch:
            scratch.write_text(content, encoding="utf-8")
        assert target.read_text(encoding="utf-8") == content
    assert names(target.parent) == {"file.txt"}


def test_a_file_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("good", encoding="utf-8")
    with pytest.raises(RuntimeError), written_whole(target) as scratch:
        scratch.write_text("half", encoding="utf-8")
        raise RuntimeError
    assert target.read_text(encoding="utf-8") == "good"
    assert names(tmp_path) == {"file.txt"}


@pytest.mark.parametrize("name", ["x" * 255, "가" * 85, "x" * 201])
def test_the_longest_names_there_are(name: str, tmp_path: Path) -> None:
    with written_whole(tmp_path / name) as scratch:
        scratch.write_text("content", encoding="utf-8")
    assert names(tmp_path) == {name}
    scratch.touch()
    remove_leftovers(tmp_path, name)
    assert names(tmp_path) == {name}


def test_content_is_on_the_disk_before_its_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And its name before the writing is over: a machine that stops in between has the one or the other whole."""
    target, flushed, fsync = tmp_path / "file.txt", [], os.fsync

    def note(descriptor: int) -> None:
        flushed.append((Path(f"/proc/self/fd/{descriptor}").readlink(), target.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    with written_whole(target) as scratch:
        scratch.write_text("content", encoding="utf-8")
    assert flushed == [(scratch, False), (tmp_path, True)]


def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    with pytest.raises(OSError, match="No space left") as full, written_whole(target):
        Path("/dev/full").write_text("more", encoding="utf-8")
    assert full.value.filename == str(target)
    assert not names(tmp_path)


def test_a_folder_replaces_the_one_before(tmp_path: Path) -> None:
    target = tmp_path / "adapter"
    for content in ("first", "second"):
        with folder_written_whole(target) as scratch:
            scratch.mkdir()
            (scratch / content).write_text(content, encoding="utf-8")
        assert names(target) == {content}
    assert names(tmp_path) == {"adapter"}


def test_a_folder_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    target = tmp_path / "adapter"
    target.mkdir()
    (target / "good").touch()
    with pytest.raises(RuntimeError), folder_written_whole(target) as scratch:
        scratch.mkdir()
        (scratch / "half").touch()
        raise RuntimeError
    assert names(target) == {"good"}
    assert names(tmp_path) == {"adapter"}


def test_what_killed_writers_left_is_removed(tmp_path: Path) -> None:
    """By the names of what they wrote; an earlier folder only where there is one in its place."""
    for folder in ("adapter", ".adapter.earlier", ".adapter.7.tmp", ".other.earlier"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "weights").touch()
    for file in (".[x].csv.4711.tmp", ".x.csv.4711.tmp", ".[x].csv.tmp", "[x].csv.4711.tmp"):
        (tmp_path / file).touch()
    remove_leftovers(tmp_path, "adapter", "other", "[x].csv")
    assert names(tmp_path) == {"adapter", ".other.earlier", ".x.csv.4711.tmp", ".[x].csv.tmp", "[x].csv.4711.tmp"}
    remove_leftovers(tmp_path)
    assert names(tmp_path) == {"adapter", ".other.earlier", ".[x].csv.tmp", "[x].csv.4711.tmp"}
    remove_leftovers(tmp_path / "none")

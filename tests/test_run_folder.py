"""Which file a checkpoint's name means, and what of an earlier run is set aside."""

from pathlib import Path

import pytest
import torch
from small_runs import contents

from kqa_lightning.answer_journal import AnswerJournal
from kqa_lightning.errors import KQAError
from kqa_lightning.run_folder import OF_A_STOP, RunFolder

PARTS = ("optimizer_states", "lr_schedulers", "loops", "callbacks", "global_step", "train_loader", "random_state")
CHECKPOINT = dict.fromkeys(PARTS) | {"state_dict": {}}


def test_names_mean_the_files_of_the_folder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.holds(tmp_path / "checkpoints" / "last.ckpt")
    assert folder.holds(str(tmp_path / "checkpoints" / "other.ckpt"))
    assert not folder.holds(tmp_path / "elsewhere" / "last.ckpt")
    assert not folder.holds(None)
    assert folder.resolve("last", may_be_missing=True) is None
    for name in ("last", "best", str(tmp_path / "none.ckpt")):
        with pytest.raises(KQAError, match="ckpt"):
            folder.resolve(name)
    with pytest.raises(KQAError, match="best"):
        folder.resolve("best", may_be_missing=True)


def test_only_what_was_there_before_is_set_aside(tmp_path: Path) -> None:
    earlier = (
        *("adapter/weights", "checkpoints/last.ckpt", "events.out.tfevents.1", "fit.yaml"),
        *("predict.yaml", "predictions.csv", "predictions.jsonl", "predictions.rank0.journal"),
    )
    others = ("notes.txt",)
    for name in (*earlier, *others):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
    folder = RunFolder(tmp_path)
    (tmp_path / "events.out.tfevents.2").touch()  # of the run that begins
    assert folder.set_aside() == tmp_path / "earlier" / "1"
    for name in earlier:
        assert (tmp_path / "earlier" / "1" / name).read_text(encoding="utf-8") == name
        assert not (tmp_path / name).exists()
    for name in (*others, "events.out.tfevents.2"):
        assert (tmp_path / name).exists()
    assert RunFolder(tmp_path / "new").set_aside() is None
    assert not (tmp_path / "new").exists()


def test_what_a_predict_is_writing_to_is_not_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kqa_lightning.locks.PATIENCE", 0.3)
    (tmp_path / "predictions.csv").touch()
    stopped, writing = (AnswerJournal(tmp_path / f"predictions.rank{rank}.journal", {}) for rank in (0, 1))
    stopped.close()
    before = contents(tmp_path)
    with pytest.raises(KQAError, match=r"rank1.journal: a predict is writing.*--trainer\.default_root_dir"):
        RunFolder(tmp_path).set_aside()
    assert contents(tmp_path) == before
    writing.close()
    assert RunFolder(tmp_path).set_aside() == tmp_path / "earlier/1"
    assert contents(tmp_path / "earlier/1") == before


def test_a_best_checkpoint_is_lost_where_it_is_damaged_or_only_its_score_is_left(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.checkpoints.mkdir()
    assert (folder.best_is_lost(), folder.best_score(None)) == (False, None)
    torch.save(CHECKPOINT | {"best_score": None}, folder.last)  # nothing was validated
    assert not folder.best_is_lost()
    torch.save(CHECKPOINT | {"best_score": 0.5}, folder.last)
    assert (folder.best_is_lost(), folder.best_score(0.5)) == (True, 0.5)
    torch.save(CHECKPOINT | {"best_score": 0.7}, folder.best)
    assert (folder.best_is_lost(), folder.best_score(0.5)) == (False, 0.7)
    folder.best.write_bytes(folder.best.read_bytes()[:100])
    assert (folder.best_is_lost(), folder.best_score(0.5)) == (True, 0.5)


def test_the_best_of_the_run_is_there_while_it_or_what_was_kept_of_it_can_be_read(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.checkpoints.mkdir()
    assert not folder.has_best()
    torch.save(CHECKPOINT | {"best_score": 0.7, OF_A_STOP: True}, folder.best)
    assert not folder.has_best()  # a run that nobody stopped has had none
    torch.save(CHECKPOINT | {"best_score": 0.5}, folder.best_before_stop)
    assert folder.has_best()
    folder.best.unlink()
    assert folder.has_best()
    folder.best_before_stop.write_bytes(b"x")
    assert not folder.has_best()
    torch.save(CHECKPOINT | {"best_score": 0.5}, folder.best)
    assert folder.has_best()


def test_curves_of_a_run_that_never_began_are_discarded(tmp_path: Path) -> None:
    (tmp_path / "events.out.tfevents.1").touch()
    folder = RunFolder(tmp_path)
    (tmp_path / "events.out.tfevents.2").touch()
    folder.discard_new_curves()
    assert [path.name for path in tmp_path.iterdir()] == ["events.out.tfevents.1"]
    fresh = RunFolder(tmp_path / "new")
    fresh.root.mkdir()
    (fresh.root / "events.out.tfevents.1").touch()
    fresh.discard_new_curves()
    assert not fresh.root.exists()


def test_a_folder_that_is_taken_is_another_s_until_it_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kqa_lightning.locks.PATIENCE", 0.3)
    first, second = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "run")
    left = ("checkpoints/.last.ckpt.4711.tmp", ".adapter.4711.tmp/weights", "oof/.plan.json.1.tmp", ".fit.yaml.1.tmp")
    kept = ("adapter/weights", ".predict.yaml.4711.tmp", "checkpoints/last.ckpt", ".notes.tmp")
    for name in (*left, *kept):
        (tmp_path / "run" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "run" / name).touch()
    first.take()
    assert set(contents(first.root)) == set(kept)  # of those, predict may be writing the second now
    (first.checkpoints / ".best.ckpt.4711.tmp").touch()  # which the first is writing
    with pytest.raises(KQAError, match=r"another run is writing to this folder.*--trainer\.default_root_dir"):
        second.take()
    assert (first.checkpoints / ".best.ckpt.4711.tmp").exists()
    RunFolder(tmp_path / "other").take()
    first.let_go()
    second.take()
    assert set(contents(first.root)) == set(kept)
    second.let_go()
    second.let_go()


def test_all_of_an_earlier_cross_fitting_is_set_aside(tmp_path: Path) -> None:
    earlier = ("oof/plan.json", "final/adapter/weights", "crossfit.yaml")
    for name in (*earlier, "fit.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert RunFolder(tmp_path).set_aside_folds() == tmp_path / "earlier/1"
    assert set(contents(tmp_path)) == {"fit.yaml", *(f"earlier/1/{name}" for name in earlier)}


@pytest.mark.parametrize(
    ("best", "kept", "score", "left"),
    [
        ({"best_score": 0.9, "of_a_stop": True}, 0.5, 0.5, 0.5),
        ({"best_score": 0.9, "of_a_stop": True}, None, None, None),
        ({"best_score": 0.9}, None, 0.9, 0.9),
        ({"best_score": 0.9}, 0.5, 0.9, 0.9),  # killed before the kept one was removed
        (None, 0.5, None, 0.5),
        ("damaged", 0.5, None, 0.5),
        (None, None, None, None),
    ],
)
def test_the_best_of_a_stop_goes_and_the_one_before_comes_back(
    tmp_path: Path, best: dict | str | None, kept: float | None, score: float | None, left: float | None
) -> None:
    folder = RunFolder(tmp_path)
    folder.checkpoints.mkdir()
    if isinstance(best, dict):
        torch.save(CHECKPOINT | best, folder.best)
    elif best is not None:
        folder.best.write_text(best, encoding="utf-8")
    if kept is not None:
        torch.save(CHECKPOINT | {"best_score": kept}, folder.best_before_stop)
    assert folder.best_score(None) == score
    folder.undo_stop()
    assert not folder.best_before_stop.exists()
    assert (torch.load(folder.best, weights_only=True)["best_score"] if folder.best.exists() else None) == left

"""The folder of a run: where its checkpoints, adapter and curves are, and what an earlier run left there."""

import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from kqa_lightning.answer_journal import find_journals, held
from kqa_lightning.checkpoints import PREVIOUS, read_checkpoint
from kqa_lightning.errors import KQAError
from kqa_lightning.files import remove_leftovers, written_whole
from kqa_lightning.locks import lock_soon
from kqa_lightning.messages import say
from kqa_lightning.prediction_files import LINES, TABLE

LAST = "last"
BEST = "best"
OF_A_STOP = "of_a_stop"  # whether a checkpoint is of a validation that only a signal brought about
# What commands write into the folder beside checkpoints, adapter and curves.
PRODUCTS = (
    *("fit.yaml", "validate.yaml", "test.yaml", "predict.yaml"),
    *(TABLE, LINES),
)


class RunFolder:
    """What ``fit`` writes under ``--trainer.default_root_dir``.

    Args:
        root: The folder, which need not exist. The curves found in it now count as those of earlier runs.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.checkpoints = self.root / "checkpoints"
        self.last = self.checkpoints / "last.ckpt"
        self.previous = self.checkpoints / PREVIOUS
        self.best = self.checkpoints / "best.ckpt"
        self.best_before_stop = self.checkpoints / "best-before-stop.ckpt"
        self.adapter = self.root / "adapter"
        self.out_of_fold = self.root / "oof"
        self.final = self.root / "final"
        self._was_there = self.root.exists()
        self._earlier_curves = self._curves()
        self._taken: int | None = None  # descriptor

    def check_writable(self) -> None:
        """Raise a KQAError where the folder could not be made or written to."""
        folder = next(path for path in (self.root.absolute(), *self.root.absolute().parents) if path.exists())
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            raise KQAError(f"--trainer.default_root_dir {self.root}: {folder} is no folder that can be written to")
        if not self.root.exists():
            try:  # permissions do not say it all: in /proc, for one, nobody makes a folder
                tempfile.TemporaryDirectory(prefix=".", dir=folder).cleanup()
            except OSError as error:
                raise KQAError(
                    f"--trainer.default_root_dir {self.root}: no folder can be made in {folder} ({error.strerror})"
                ) from error

    def take(self) -> None:
        """Make the folder, and keep other runs from writing to it until this one lets it go or ends.

        What those left unfinished in it that were killed is removed.

        Raises:
            KQAError: another run has it. One that was killed may hold it for some seconds, by a loader's process.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        try:
            self._taken = os.open(self.root, os.O_RDONLY)
        except PermissionError:  # Windows opens no folders
            return
        if not lock_soon(self._taken):
            self.let_go()
            raise KQAError(
                f"{self.root}: another run is writing to this folder; wait for it, or end it, or name another"
                " place: --trainer.default_root_dir"
            )
        # validate, test and predict may be writing files of their own here.
        remove_leftovers(self.root, self.adapter.name, "fit.yaml", "crossfit.yaml")
        for folder in (self.checkpoints, self.out_of_fold):
            remove_leftovers(folder)

    def let_go(self) -> None:
        """Let other runs have the folder; nothing where it was not taken."""
        if self._taken is not None:
            os.close(self._taken)
        self._taken = None

    def resolve(self, ckpt_path: str, *, may_be_missing: bool = False) -> Path | None:
        """The readable checkpoint that ``--ckpt_path`` means: ``last``, ``best`` or a file.

        Where last.ckpt is damaged or gone, the one before it is used, which is said.

        Args:
            ckpt_path: What was given.
            may_be_missing: Return None where ``last`` is asked for and there is none yet.

        Raises:
            KQAError: there is no such checkpoint, or it is damaged or of another program.
        """
        named = {LAST: self.last, BEST: self.best}.get(ckpt_path)
        if named is self.last and (earlier := self._before_damaged_last()) is not None:
            return earlier
        if named is not None and not named.is_file():
            if may_be_missing and named is self.last:
                return None
            raise KQAError(f"--ckpt_path {ckpt_path}: there is no {named}; `fit` with this root dir writes it")
        path = named or Path(ckpt_path)
        try:
            read_checkpoint(path, mmap=True)
        except KQAError as error:
            if named is self.best:
                raise KQAError(f"{error}; --ckpt_path last takes the end of the run instead") from error
            raise
        return path

    def _before_damaged_last(self) -> Path | None:
        """previous.ckpt where it is good and last.ckpt is not."""
        if not self.previous.is_file():
            return None
        try:
            read_checkpoint(self.last, mmap=True)
            return None
        except KQAError:
            pass
        try:
            read_checkpoint(self.previous, mmap=True)
        except KQAError:
            return None
        say(f"{self.last} is {'damaged' if self.last.exists() else 'gone'}: using the one before it, {self.previous}")
        return self.previous

    def holds(self, checkpoint: str | Path | None) -> bool:
        """Whether ``checkpoint`` is one of this run, so that going on from it goes on with this run."""
        return checkpoint is not None and Path(checkpoint).resolve().parent == self.checkpoints.resolve()

    def set_aside(self) -> Path | None:
        """Move what an earlier run left to ``earlier/<n>/``; None where there was nothing.

        Raises:
            KQAError: a predict is still writing its journal here, which stays where it is, and all else with it.
        """
        products = (self.root / name for name in PRODUCTS)
        journals = find_journals(self.root / TABLE)  # of a predict that was stopped: the answers of earlier adapters
        with ExitStack() as stack:
            for journal in journals:
                stack.enter_context(held(journal))
            return self._move((self.checkpoints, self.adapter, *products, *journals, *self._earlier_curves))

    def set_aside_folds(self) -> Path | None:
        """The same with what an earlier cross-fitting left."""
        return self._move((self.out_of_fold, self.final, self.root / "crossfit.yaml"))

    def _move(self, files: Iterable[Path]) -> Path | None:
        left = [path for path in files if path.exists()]
        if not left:
            return None
        numbers = [int(path.name) for path in self.root.glob("earlier/*") if path.name.isdecimal()]
        target = self.root / "earlier" / str(max(numbers, default=0) + 1)
        target.mkdir(parents=True)
        for path in left:
            path.rename(target / path.name)
        return target

    def discard_new_curves(self) -> None:
        """Remove the empty curves of a run that failed before its first step, and a new folder that holds no more."""
        for path in self._curves():
            if path not in self._earlier_curves:
                path.unlink()
        if not self._was_there and self.root.is_dir() and not any(self.root.iterdir()):
            self.root.rmdir()

    def best_score(self, otherwise: float | None) -> float | None:
        """The score that best.ckpt was written at; None where there was none yet.

        Args:
            otherwise: The one to beat where best.ckpt is damaged or gone: adapter/ still holds the weights that had it.
                Or where it is of a validation that only a signal brought about: that the run knows nothing of.
        """
        if otherwise is None and not self.best.is_file():
            return None
        try:
            best = read_checkpoint(self.best, mmap=True)
            if not best.get(OF_A_STOP):
                return best["best_score"]
            if not self.best_before_stop.is_file():
                return otherwise
            return read_checkpoint(self.best_before_stop, mmap=True)["best_score"]
        except KQAError:
            say(f"{self.best} cannot be read: a validation with the highest score so far writes a new one")
            return otherwise

    def keep_best(self) -> None:
        """Keep the best checkpoint, for the run that goes on, from one that is about to take its place for a while."""
        if self.best.is_file() and not self._best_is_of_a_stop():
            with written_whole(self.best_before_stop) as scratch:
                shutil.copyfile(self.best, scratch)

    def undo_stop(self) -> None:
        """Have the best checkpoint of the run that nobody stopped, once that has ended."""
        if not self._best_is_of_a_stop():
            self.best_before_stop.unlink(missing_ok=True)
        elif self.best_before_stop.is_file():
            self.best_before_stop.replace(self.best)
        else:
            self.best.unlink()

    def _best_is_of_a_stop(self) -> bool:
        try:
            return bool(read_checkpoint(self.best, mmap=True).get(OF_A_STOP))
        except KQAError:  # damaged, or there is none: what was kept is whole
            return self.best_before_stop.is_file()

    def has_best(self) -> bool:
        """Whether the best checkpoint of the run that nobody stopped can be read: it or what was kept of it."""
        kept = _is_readable(self.best_before_stop)
        return kept or (_is_readable(self.best) and not self._best_is_of_a_stop())

    def best_is_lost(self) -> bool:
        """Whether there is a best.ckpt that cannot be read, or last.ckpt has the score of one that is gone."""
        try:
            read_checkpoint(self.best, mmap=True)
            return False
        except KQAError:
            if self.best.exists():
                return True
        try:
            return read_checkpoint(self.last, mmap=True)["best_score"] is not None
        except KQAError:
            return False

    def nothing_to_go_on_with(self) -> bool:
        """Whether last.ckpt or the one before it is there, and neither can be read."""
        there = [path for path in (self.last, self.previous) if path.exists()]
        return bool(there) and not any(map(_is_readable, there))

    def _curves(self) -> list[Path]:
        return sorted(self.root.glob("events.out.tfevents.*"))


def _is_readable(checkpoint: Path) -> bool:
    try:
        read_checkpoint(checkpoint, mmap=True)
    except KQAError:
        return False
    return True

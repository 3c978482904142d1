"""Kill, go on, kill, go on …: what comes out is what an undisturbed run writes."""

from collections.abc import Callable, Sequence
from pathlib import Path

from fault_table import Tally
from killed_commands import TRACEBACK, WAYS, Command, Setup, Undisturbed, stop
from small_runs import SmallRuns

Products = Callable[[Path], dict[str, object]]
START = ("--ckpt_path", "last")


class Chains:
    """Chains of stops of one command, compared with a run that nothing stopped.

    Args:
        runs: Small tables.
        words: The command and its options.
        products: What is compared: of a run folder its results by name.
        go_on: Options with which the command goes on.
    """

    def __init__(
        self, runs: SmallRuns, words: Sequence[str], products: Products, name: str, go_on: Sequence[str] = ()
    ) -> None:
        self.runs, self.words, self.products, self.name, self.go_on = runs, words, products, name, go_on
        folder = runs.folder / f"{name}-undisturbed"
        command = self.start(folder)
        assert command.end() == 0, command.output()
        self.whole = Undisturbed(command.cpu, command.operations())
        self.expected = products(folder)

    def arguments(self, folder: Path) -> list[str]:
        command, *options = self.words
        return self.runs.arguments(command, str(folder), *options, *self.go_on)

    def log(self, folder: Path, point: int = 0) -> Path:
        """Beside the tables, and so never on a disk that is full."""
        return self.runs.folder / f"{self.name}.{'-'.join(folder.parts[-3:])}.{point}.log"

    def start(self, folder: Path, point: int = 0, file_limit: int | None = None) -> Command:
        folder.parent.mkdir(parents=True, exist_ok=True)
        return Command(self.arguments(folder), Setup(self.log(folder, point), folder, 0, file_limit))

    def stopped(self, seed: int, points: int, tally: Tally) -> None:
        """Stop and go on so many times, then let it come to its end; where it was faster, begin anew."""
        place, delivered, attempt = 0, 0, 0
        folder = self.runs.folder / f"{self.name}-{seed}-{place}"
        while delivered < points:
            attempt += 1
            label = f"{self.name}-{seed}-{attempt}"
            way = WAYS[(seed + delivered) % len(WAYS)]
            tally.runs += 1
            try:
                command = stop(self.arguments(folder), self.log(folder, attempt), folder, self.whole, label, way)
            except AssertionError as error:
                tally.lost += 1
                tally.tracebacks += TRACEBACK in str(error)
                raise
            if command is None:
                self.compare(folder, tally, label)
                place += 1
                folder = self.runs.folder / f"{self.name}-{seed}-{place}"
                continue
            delivered += 1
            tally.points += 1
            self.no_traceback(command, tally, label)
        self.finish(folder, tally, f"{self.name}-{seed}")

    def finish(self, folder: Path, tally: Tally, label: str) -> None:
        """The same command once more, to its end."""
        command = self.start(folder)
        tally.runs += 1
        status = command.end()
        self.no_traceback(command, tally, label)
        tally.lost += status != 0
        assert status == 0, f"{label}: {command.output()}"
        self.compare(folder, tally, label)

    def full(self, folder: Path, point: int, tally: Tally, file_limit: int | None = None) -> bool:
        """Run where there is no room; whether it was stopped by that, and said so in one line."""
        command = self.start(folder, point, file_limit)
        status = command.end()
        tally.runs += 1
        self.no_traceback(command, tally, f"{folder} {point}")
        if status == 0:
            return False
        tally.points += 1
        errors = [line for line in command.output().splitlines() if line.startswith("error: ")]
        assert (status, len(errors)) == (2, 1), command.output()
        tally.refused += 1
        return True

    def no_traceback(self, command: Command, tally: Tally, label: str) -> None:
        shown = TRACEBACK in command.output()
        tally.tracebacks += shown
        assert not shown, f"{label}:\n{command.output()}"

    def compare(self, folder: Path, tally: Tally, label: str) -> None:
        found = self.products(folder)
        equal = found == self.expected
        tally.went_on += 1
        tally.equal += equal
        tally.lost += not equal
        assert equal, (
            f"{label}: other results in {folder}: {[n for n in self.expected if found.get(n) != self.expected[n]]}"
        )

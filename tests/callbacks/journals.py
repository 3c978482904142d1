"""What the tests of a predict that was stopped have in common."""

from pathlib import Path

FILES = ("predictions.csv", "predictions.jsonl")
JOURNAL = "predictions.rank0.journal"
# One article a group, so that there is something between the groups.
GROUPS = ("--data.evaluation_tokens_per_batch", "500")
STOP = "--trainer.callbacks+={{class_path: stopping.StopAnswering, init_args: {{{}}}}}"


def files(folder: Path) -> dict[str, bytes]:
    """What a predict that finished left: its two files, and no journal."""
    assert not list(folder.glob("*.journal"))
    return {name: (folder / name).read_bytes() for name in FILES}


def put(folder: Path, journal: bytes) -> Path:
    """A folder with a journal in it."""
    folder.mkdir(exist_ok=True)
    (folder / JOURNAL).write_bytes(journal)
    return folder

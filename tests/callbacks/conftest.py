"""A predict of which all answers are known, to stop it anywhere."""

from pathlib import Path

import pytest
from journals import GROUPS, JOURNAL, STOP, files
from small_runs import SmallRuns, contents, read_rows, write_rows
from stopping import Killed

from kqa_lightning.model.module import KQAModule


@pytest.fixture(scope="session")
def table(runs: SmallRuns) -> Path:
    """A table in which the questions of an article do not stand together."""
    rows = read_rows(runs.tables["train"])
    return write_rows(runs.folder / "torn.csv", [rows[i] for i in sorted(range(len(rows)), key=lambda i: i % 3)])


@pytest.fixture(scope="session")
def options(table: Path) -> tuple[str, ...]:
    return (*GROUPS, "--data.predict_path", str(table))


@pytest.fixture(scope="session")
def undisturbed(runs: SmallRuns, options: tuple[str, ...]) -> dict[str, bytes]:
    assert runs("predict", "undisturbed", *options) == 0
    return files(runs.folder / "undisturbed")


@pytest.fixture(scope="session")
def journal(runs: SmallRuns, options: tuple[str, ...]) -> bytes:
    """All answers, of a run that was killed before it wrote its files."""
    with pytest.raises(Killed):
        runs("predict", "all-answered", *options, STOP.format("group: null"))
    assert set(contents(runs.folder / "all-answered")) == {JOURNAL, "predict.yaml"}
    return (runs.folder / "all-answered" / JOURNAL).read_bytes()


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The rows of each group that the model is asked for, in this process."""
    groups: list[list[int]] = []
    answer = KQAModule.answer

    def noting(self: KQAModule, batch: object) -> list:
        outputs = answer(self, batch)
        groups.append([question.row for question in outputs])
        return outputs

    monkeypatch.setattr(KQAModule, "answer", noting)
    return groups

"""Fixtures of the callbacks' tests: small tables, and one finished run."""

from pathlib import Path

import pytest
import small_runs
from small_runs import SmallRuns


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> SmallRuns:
    return small_runs.small_runs(tmp_path_factory)


@pytest.fixture(scope="session")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_runs.fitted(tmp_path_factory)

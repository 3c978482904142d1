"""The tier that damages and kills: one tally a test, and the table of all of them at the end."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_table import Tally, format_table, write_table

HERE = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults-table", type=Path, help="the document whose table is to be written anew")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.faults)


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Iterator[Tally]:
    """What this test counts; it reaches the table from whichever process ran the test."""
    found = Tally(request.module.KIND)
    yield found
    request.node.user_properties.append(("faults", vars(found)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reports = [report for kind in ("", "passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    last = {report.nodeid: dict(report.user_properties) for report in reports if report.when == "teardown"}
    tallies = [Tally(**found["faults"]) for found in last.values() if "faults" in found]
    if not tallies:
        return
    table = format_table(tallies)
    terminalreporter.write_line(table)
    if target := config.getoption("--faults-table", default=None):
        write_table(target, table)

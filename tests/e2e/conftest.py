"""One running system for all tests that leave it as they found it; the others start their own."""

from collections.abc import Generator, Iterator

import pytest
from system import FAST, System


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with System(tmp_path_factory.mktemp("system"), FAST) as running:
        yield running


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with System(tmp_path_factory.mktemp("fragile"), FAST) as running:
        # So that several calls are on their way whenever something ends.
        running.platform("POST", "settings", {"latencyMs": 200})
        yield running


@pytest.fixture(autouse=True)
def faultless(request: pytest.FixtureRequest) -> Iterator[None]:
    """The platform fails only in the test that asked for it."""
    if "system" not in request.fixturenames:
        yield
        return
    system: System = request.getfixturevalue("system")
    yield
    system.platform("DELETE", "faults")
    system.platform("POST", "webhooks", {"duplicate": 0, "shuffleSeconds": 0, "drop": 0})


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for value in item.funcargs.values():
            if isinstance(value, System):
                report.sections.append(("last lines of the processes", value.tails()))
    return report

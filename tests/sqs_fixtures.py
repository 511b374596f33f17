"""Fixtures: `pytest_plugins = ["sqs_fixtures"]`."""

from collections.abc import Iterator

import pytest
from faults import FaultProxy
from sqs import Sqs

from infra.local.services import LocalServices


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sqs]:
    with LocalServices(tmp_path_factory.mktemp("sqs")) as services:
        yield Sqs(services.aws(visibility_timeout_seconds=1))


@pytest.fixture
def sqs(emulator: Sqs) -> Sqs:
    """The emulator with empty queues, a visibility of one second, and no requests counted."""
    emulator.set_visibility(1)
    emulator.purge()
    emulator.forget_requests()
    return emulator


@pytest.fixture
def proxy(sqs: Sqs) -> Iterator[FaultProxy]:
    with FaultProxy(sqs.port) as proxy:
        yield proxy

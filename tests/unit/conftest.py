"""Fakes on one clock that stands still."""

import pytest

from tests.fakes.bus import FakeBus
from tests.fakes.unit_of_work import FakeDatabase
from tests.fakes.waiting_room import FakeWaitingRoom


@pytest.fixture
def bus() -> FakeBus:
    return FakeBus()


@pytest.fixture
def data(bus: FakeBus) -> FakeDatabase:
    return FakeDatabase(bus)


@pytest.fixture
def room(data: FakeDatabase) -> FakeWaitingRoom:
    return FakeWaitingRoom(lambda: data.now().timestamp() * 1000)

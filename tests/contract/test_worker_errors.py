"""Errors of workers by minute, on a real Redis and on the fake."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from redis import Redis

from domain.ports import WorkerErrors
from infra.redis.worker_errors import RedisWorkerErrors
from tests.fakes.worker_errors import FakeWorkerErrors

MINUTE = timedelta(minutes=1)
START = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


class Clock:
    """It goes when told to."""

    def __init__(self) -> None:
        self.at = START + MINUTE / 2

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(redis_endpoint: str) -> Iterator[Redis]:
    host, port = redis_endpoint.split(":")
    client = Redis(host=host, port=int(port), decode_responses=True)
    yield client
    client.close()


@pytest.fixture(params=["redis", "fake"])
def errors(request: pytest.FixtureRequest, clock: Callable[[], datetime]) -> WorkerErrors:
    if request.param == "fake":
        return FakeWorkerErrors(clock)
    return RedisWorkerErrors(request.getfixturevalue("client"), f"errors-{uuid4().hex}:", now=clock)


def test_each_minute_has_its_own(errors: WorkerErrors, clock: Clock) -> None:
    for _ in range(11):
        errors.note()
    clock.at += MINUTE
    errors.note()
    assert errors.by_minute(START, START + 3 * MINUTE) == {
        START: 11,
        START + MINUTE: 1,
        START + 2 * MINUTE: 0,
    }


def test_half_a_minute_is_none(errors: WorkerErrors) -> None:
    errors.note()
    second = timedelta(seconds=1)
    assert errors.by_minute(START + second, START + MINUTE + second) == {START + MINUTE: 0}
    assert errors.by_minute(START + second, START + MINUTE) == {}
    assert errors.by_minute(START + MINUTE, START) == {}


def test_nobody_is_told_of_more_than_an_hour(errors: WorkerErrors) -> None:
    assert len(errors.by_minute(START, START + 90 * MINUTE) or ()) == 60


def test_the_last_minute_is_the_worse_of_two(errors: WorkerErrors, clock: Clock) -> None:
    assert errors.last_minute() == 0
    for _ in range(3):
        errors.note()
    assert errors.last_minute() == 3
    clock.at += MINUTE
    errors.note()
    assert errors.last_minute() == 3
    clock.at += MINUTE
    assert errors.last_minute() == 1
    clock.at += MINUTE
    assert errors.last_minute() == 0


def test_while_redis_is_away_nothing_is_known_and_nothing_raised() -> None:
    errors = RedisWorkerErrors(Redis(port=1, socket_connect_timeout=0.2))
    errors.note()
    now = datetime.now(UTC)
    assert errors.last_minute() is None
    assert errors.by_minute(now - 2 * MINUTE, now) is None

"""Errors of workers on a real Redis."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from redis import Redis

from infra.redis.worker_errors import RedisWorkerErrors

MINUTE = timedelta(minutes=1)


@pytest.fixture
def client(redis_endpoint: str) -> Iterator[Redis]:
    host, port = redis_endpoint.split(":")
    client = Redis(host=host, port=int(port), decode_responses=True)
    yield client
    client.close()


def test_each_minute_has_its_own(client: Redis) -> None:
    at = [datetime(2026, 1, 2, 3, 4, 30, tzinfo=UTC)]
    errors = RedisWorkerErrors(client, "minutes:", now=lambda: at[0])
    for _ in range(11):
        errors.note()
    at[0] += MINUTE
    errors.note()
    start = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    assert errors.by_minute(start, start + 3 * MINUTE) == {
        start: 11,
        start + MINUTE: 1,
        start + 2 * MINUTE: 0,
    }
    # Half a minute is none.
    later = start + timedelta(seconds=1)
    assert list(errors.by_minute(later, start + MINUTE + timedelta(seconds=1)) or ()) == [
        start + MINUTE
    ]


def test_while_redis_is_away_nothing_is_known_and_nothing_raised() -> None:
    errors = RedisWorkerErrors(Redis(port=1, socket_connect_timeout=0.2))
    errors.note()
    now = datetime.now(UTC)
    assert errors.by_minute(now - 2 * MINUTE, now) is None

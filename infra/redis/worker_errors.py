"""The WorkerErrors port on Redis: a counter a minute, so that every process sees all of them."""

import contextlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

KEPT = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


class RedisWorkerErrors:
    """Give it a client with a timeout of its own: a task that failed should not wait for it."""

    def __init__(
        self,
        client: Redis,
        prefix: str = "worker-errors:",
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._now = now

    def note(self) -> None:
        key = self._key(self._now())
        with contextlib.suppress(RedisError):
            pipeline = self._client.pipeline()
            pipeline.incr(key)
            pipeline.expire(key, KEPT)
            pipeline.execute()

    def last_minute(self) -> int | None:
        this = self._now().replace(second=0, microsecond=0)
        found = self.by_minute(this - MINUTE, this + MINUTE)
        return None if found is None else max(found.values())

    def by_minute(self, start: datetime, end: datetime) -> Mapping[datetime, int] | None:
        first = start.replace(second=0, microsecond=0)
        first += MINUTE if first < start else timedelta()
        count = max(0, -((first - end) // MINUTE))
        minutes = [first + number * MINUTE for number in range(min(count, KEPT // MINUTE))]
        if not minutes:
            return {}
        try:
            counted: Any = self._client.mget([self._key(one) for one in minutes])
        except RedisError:
            return None
        return {at: int(one or 0) for at, one in zip(minutes, counted, strict=True)}

    def _key(self, instant: datetime) -> str:
        return f"{self._prefix}{instant.astimezone(UTC):%Y%m%dT%H%M}"

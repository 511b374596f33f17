"""The RequestQuota port on Redis: one script a request, timed by Redis, nothing retried."""

import contextlib
import secrets
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import ReadOnlyError, RedisError

from domain.ports import QuotaUnavailable, Taken

# After a failure nobody asks for so long: an outage of Redis must not slow every request down.
REST_SECONDS = 2.0


class RedisRequestQuota:
    """Give it a client with a short timeout of its own, a request is waiting. `now_ms` replaces
    Redis TIME in tests."""

    def __init__(
        self,
        client: Redis,
        prefix: str = "quota:",
        *,
        now_ms: Callable[[], float] = lambda: 0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client: Any = client  # the driver's types mix its asyncio half into every answer
        self._prefix = prefix
        self._now_ms = now_ms
        self._monotonic = monotonic
        self._rest_until = 0.0
        folder = Path(__file__).parent
        script = f"{(folder / 'clock.lua').read_text()}\n{(folder / 'take.lua').read_text()}"
        self._take = client.register_script(script)

    def take(self, subject: str, limit: int, window: timedelta) -> Taken:
        if self._monotonic() < self._rest_until:
            raise QuotaUnavailable("Redis did not answer a moment ago")
        mark = secrets.token_hex(6)
        window_ms = window.total_seconds() * 1000
        arguments: list[str | int] = [repr(self._now_ms()), 2 * limit, repr(window_ms), mark]
        try:
            allowed, halves, ms = self._take([self._prefix + subject], arguments)
        except RedisError as problem:
            self._rest(problem)
            raise QuotaUnavailable(type(problem).__name__) from problem
        return Taken(
            subject=subject,
            mark=mark,
            allowed=allowed == 1,
            limit=limit,
            remaining=max(0, (2 * limit - halves) // 2),
            # A clock of Redis that was set back must not lock anybody out for longer.
            reset_after=timedelta(milliseconds=min(float(ms), window_ms)),
        )

    def give_back(self, taken: Taken, *, half: bool = False) -> None:
        if not taken.allowed or self._monotonic() < self._rest_until:
            return
        members = [taken.mark + "b"] if half else [taken.mark + "a", taken.mark + "b"]
        with contextlib.suppress(RedisError):
            self._client.zrem(self._prefix + taken.subject, *members)

    def _rest(self, problem: RedisError) -> None:
        self._rest_until = self._monotonic() + REST_SECONDS
        if isinstance(problem, ReadOnlyError):
            # A failover made this server a replica: new connections will find the new primary.
            self._client.connection_pool.disconnect()

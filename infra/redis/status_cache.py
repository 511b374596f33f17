"""A short memory for the status page. Redis being away only means that it forgets."""

import contextlib
from datetime import timedelta

from redis import Redis
from redis.exceptions import RedisError


class RedisStatusCache:
    """The StatusCache port; give it a client with a timeout of its own, a page is waiting."""

    def __init__(self, client: Redis, prefix: str = "status:") -> None:
        self._client = client
        self._prefix = prefix

    def get(self, key: str) -> str | None:
        with contextlib.suppress(RedisError):
            value = self._client.get(self._prefix + key)
            return None if value is None else str(value)
        return None

    def put(self, key: str, value: str, keep: timedelta) -> None:
        with contextlib.suppress(RedisError):
            self._client.set(self._prefix + key, value, px=keep)

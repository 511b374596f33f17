"""How many tasks of all workers ended with an error, minute by minute."""

import contextlib
import time
from collections.abc import Callable

from redis import Redis
from redis.exceptions import RedisError

MINUTE = 60
KEPT_SECONDS = 5 * MINUTE


class RedisWorkerErrors:
    """The WorkerErrors port."""

    def __init__(
        self,
        client: Redis,
        prefix: str = "worker-errors:",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._clock = clock

    def note(self) -> None:
        key = self._key(0)
        with contextlib.suppress(RedisError):
            pipe = self._client.pipeline(transaction=False)
            pipe.incr(key)
            pipe.expire(key, KEPT_SECONDS)
            pipe.execute()

    def last_minute(self) -> int | None:
        """The worse of this minute and the one before: an alarm at its first second is no quieter
        than at its last."""
        with contextlib.suppress(RedisError):
            found = self._client.mget(self._key(0), self._key(1))
            return max(int(one or 0) for one in found)
        return None

    def _key(self, minutes_ago: int) -> str:
        return f"{self._prefix}{int(self._clock()) // MINUTE - minutes_ago}"

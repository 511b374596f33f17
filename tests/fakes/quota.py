"""The RequestQuota port in memory: what the Redis adapter does, without Redis."""

from collections.abc import Callable
from datetime import timedelta
from itertools import count
from threading import Lock

from domain.ports import QuotaUnavailable, Taken


class FakeRequestQuota:
    """Thread-safe, on an injected clock in seconds. `unavailable = True` makes `take` raise."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self.unavailable = False
        self._seconds = seconds
        self._lock = Lock()
        self._marks = count(1)
        self._logs: dict[str, list[tuple[float, str]]] = {}

    def take(self, subject: str, limit: int, window: timedelta) -> Taken:
        if self.unavailable:
            raise QuotaUnavailable("told so")
        now, mark = self._seconds(), str(next(self._marks))
        with self._lock:
            log = self._logs.setdefault(subject, [])
            log[:] = [one for one in log if one[0] > now - window.total_seconds()]
            allowed = len(log) + 2 <= 2 * limit
            last_to_leave = 0 if allowed else len(log) - 2 * limit + 1
            if allowed:
                log += [(now, mark + "a"), (now, mark + "b")]
            return Taken(
                subject=subject,
                mark=mark,
                allowed=allowed,
                limit=limit,
                remaining=max(0, (2 * limit - len(log)) // 2),
                reset_after=timedelta(seconds=log[last_to_leave][0] - now) + window,
            )

    def give_back(self, taken: Taken, *, half: bool = False) -> None:
        gone = {taken.mark + "b"} if half else {taken.mark + "a", taken.mark + "b"}
        with self._lock:
            log = self._logs.get(taken.subject, [])
            log[:] = [one for one in log if one[1] not in gone]

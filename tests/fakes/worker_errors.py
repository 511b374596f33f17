"""Errors of workers, counted in memory."""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

MINUTE = timedelta(minutes=1)


class FakeWorkerErrors:
    """The WorkerErrors port."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._counted: Counter[datetime] = Counter()

    def note(self) -> None:
        self._counted[_minute(self._now())] += 1

    def last_minute(self) -> int | None:
        this = _minute(self._now())
        return max(self._counted[this], self._counted[this - MINUTE])

    def by_minute(self, start: datetime, end: datetime) -> Mapping[datetime, int] | None:
        minute = _minute(start)
        if minute < start:
            minute += MINUTE
        found = {}
        while minute < end and len(found) < 60:
            found[minute] = self._counted[minute]
            minute += MINUTE
        return found


def _minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)

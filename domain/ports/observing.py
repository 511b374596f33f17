"""What the domain needs to tell how it is, and to be quick about it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Protocol

from domain.telemetry import Standing, Tally, Window


class StatusCache(Protocol):
    """A short memory; never raises, and forgets when Redis is away."""

    def get(self, key: str) -> str | None: ...

    def put(self, key: str, value: str, keep: timedelta) -> None: ...


class Journal(Protocol):
    """What operators see: one structured line, and the counters that belong to it."""

    def note(self, action: str, **facts: object) -> None:
        """`action` is a static name such as `message_sent`; never pass text, names or secrets."""
        ...

    def alert(self, action: str, **facts: object) -> None:
        """Like note, for what an engineer must look at."""
        ...


class MetricsUnavailable(Exception):
    """Nobody took them; they are told again, with what happens meanwhile."""


class Metrics(Protocol):
    """Where the numbers go that operators watch."""

    def tell(
        self,
        window: Window,
        tally: Tally,
        standing: Standing,
        queues: Mapping[str, tuple[int, int]] | None,
        errors: Mapping[datetime, int] | None,
    ) -> None:
        """What happened in a window and how things stand; `queues` has what waits in each and its
        dead letters, `errors` those of workers by minute; None: it cannot be told. Raises
        MetricsUnavailable, and then nothing was counted."""
        ...


class WorkerErrors(Protocol):
    """Tasks that failed, counted by minute for an hour. Never raises: while Redis is away none is
    counted."""

    def note(self) -> None: ...

    def last_minute(self) -> int | None:
        """The worse of this minute and the one before: an alarm at a minute's first second is no
        quieter than at its last. None while Redis is away."""
        ...

    def by_minute(self, start: datetime, end: datetime) -> Mapping[datetime, int] | None:
        """How many in each minute that begins from `start` until before `end`; None while Redis is
        away."""
        ...

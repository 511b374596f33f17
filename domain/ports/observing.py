"""What the domain needs to tell how it is, and to be quick about it."""

from datetime import timedelta
from typing import Protocol


class StatusCache(Protocol):
    """A short memory; never raises, and forgets when Redis is away."""

    def get(self, key: str) -> str | None: ...

    def put(self, key: str, value: str, keep: timedelta) -> None: ...


class WorkerErrors(Protocol):
    """Counts tasks that ended with an error; never raises."""

    def note(self) -> None: ...

    def last_minute(self) -> int | None:
        """None when it cannot be told."""
        ...


class Journal(Protocol):
    """What operators see: one structured line, and the counters that belong to it."""

    def note(self, action: str, **facts: object) -> None:
        """`action` is a static name such as `message_sent`; never pass text, names or secrets."""
        ...

    def alert(self, action: str, **facts: object) -> None:
        """Like note, for what an engineer must look at."""
        ...

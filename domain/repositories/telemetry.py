"""What is measured of all owners together."""

from datetime import timedelta
from typing import Protocol

from domain.telemetry import Standing, Tally, Window


class TelemetryRepository(Protocol):
    """Counts over rows, and up to when they were told. It runs on the database's clock."""

    def take(self, every: timedelta, lag: timedelta) -> Window | None:
        """The window that was not told yet, locked until the transaction ends: from where the last
        one ended until `lag` ago. None while it is shorter than `every`, or somebody is at it."""
        ...

    def tally(self, window: Window) -> Tally: ...

    def standing(self) -> Standing: ...

    def told(self, window: Window) -> None:
        """The next window begins where this one ends."""
        ...

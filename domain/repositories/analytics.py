"""Numbers about an owner's fans, money and messages."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from domain.analytics import (
    AnalyticsFilter,
    FanCounts,
    MessageCounts,
    Quarter,
    RevenueDay,
    TopFan,
)
from domain.users import OwnerId


class AnalyticsRepository(Protocol):
    """Exact sums over an owner's rows. Somebody else's connection finds nothing.

    A filter of platform or connections asks for the account that money or a message came through;
    money without one is its fan's. A filter of tags asks for the tags that the fan has now."""

    def fans(self, owner_id: OwnerId, which: AnalyticsFilter, now: datetime) -> FanCounts:
        """Of live fans, whatever the period."""
        ...

    def days(self, owner_id: OwnerId, which: AnalyticsFilter) -> Sequence[RevenueDay]:
        """Every day of the period, in order."""
        ...

    def messages(self, owner_id: OwnerId, which: AnalyticsFilter) -> MessageCounts: ...

    def top_fans(self, owner_id: OwnerId, which: AnalyticsFilter, limit: int) -> Sequence[TopFan]:
        """The live fans of the highest value, of equals the newest first."""
        ...

    def quarters(self, owner_id: OwnerId, which: AnalyticsFilter) -> Sequence[Quarter]:
        """The quarters of an hour of the period in which a message left or money was paid; one
        may be named twice."""
        ...

"""Which fan of ours is which user of the platform."""

from typing import Protocol

from domain.connections import ConnectionId
from domain.fans import FanId


class LinkRepository(Protocol):
    """Links of fans that are not deleted."""

    def holder(self, connection_id: ConnectionId, platform_user_id: str) -> FanId | None:
        """The fan that is linked to this user of the platform."""
        ...

    def waiting(self, fan_id: FanId) -> int:
        """How many messages to the fan are queued, sending or unknown."""
        ...

"""Which fan of ours is which user of the platform."""

from typing import Protocol

from domain.connections import ConnectionId
from domain.fans import Fan, FanId
from domain.users import Caller


class LinkRepository(Protocol):
    """Links of fans that are not deleted."""

    def lock(self, fan: Fan) -> Fan | None:
        """The fan as it is now; it stays so until the transaction ends."""
        ...

    def holder(self, connection_id: ConnectionId, platform_user_id: str) -> FanId | None:
        """The fan that is linked to this user of the platform."""
        ...

    def waiting(self, fan_id: FanId) -> int:
        """How many messages to the fan are queued, sending or unknown."""
        ...

    def put(
        self,
        caller: Caller,
        fan: Fan,
        connection_id: ConnectionId | None,
        platform_user_id: str | None,
    ) -> None:
        """Link the fan, or unlink it; the change is kept in its history. Raises Conflict
        `already_linked` when another fan got the link meanwhile."""
        ...

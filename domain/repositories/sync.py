"""When each connection is synchronised, by whom, and how far it got."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from domain.connections import Connection, ConnectionId
from domain.ports import Account


@dataclass(frozen=True)
class SyncLease:
    """The right to synchronise a connection, until it runs out; `marks` say how far it got."""

    connection: Connection
    account: Account
    marks: Mapping[str, Any]
    token: str


class SyncRepository(Protocol):
    """Syncs run on the database's clock. A connection that may not be read (its session or the
    gateway's credits are gone, or it is disconnected) is never due."""

    def due(self, limit: int) -> Sequence[ConnectionId]:
        """Connections whose sync is due and not running; each is put off for a minute, so that no
        second process announces it."""
        ...

    def begin(self, connection_id: ConnectionId, lease: timedelta) -> SyncLease | None:
        """Take the lease of a connection that is due; None: it is not, or another has the lease."""
        ...

    def save(self, lease: SyncLease, marks: Mapping[str, Any]) -> bool:
        """Keep these marks; False when the lease was lost, and nothing is kept."""
        ...

    def finish(self, lease: SyncLease, again_in: timedelta, error: str | None) -> None:
        """Give the lease back. Without an error the connection counts as synchronised now. It is
        due again in `again_in`, or at once if somebody asked meanwhile."""
        ...

    def ask(self, connection_id: ConnectionId) -> None:
        """Make a sync due now, the list of fans included."""
        ...

    def read_elsewhere(
        self, connection_id: ConnectionId, platform_user_id: str, until: datetime, unread: int
    ) -> None:
        """The platform shows only the newest `unread` of the fan's messages up to an instant as
        not read: mark the others read. What is read here stays so."""
        ...

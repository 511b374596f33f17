"""Connected accounts: listing them with their pace, pausing and resuming them.

The row is changed first; the waiting room is told afterwards and may miss it: the claim refuses
whatever the row does not allow.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from domain.connections import Connection, ConnectionId, ConnectionState
from domain.errors import Conflict, NotFound
from domain.pacing import BucketView
from domain.ports import RoomUnavailable, WaitingRoom
from domain.repositories import OpenUnitOfWork
from domain.services.rules import SendingRules
from domain.users import Caller, Permission


@dataclass(frozen=True)
class ConnectionPace:
    """A connection with its bucket; `bucket` is None while Redis is away."""

    connection: Connection
    bucket: BucketView | None


class ConnectionService:
    """The use cases of connections."""

    def __init__(
        self, open_unit_of_work: OpenUnitOfWork, room: WaitingRoom, rules: SendingRules
    ) -> None:
        self._open = open_unit_of_work
        self._room = room
        self._rules = rules

    def list_paces(self, caller: Caller) -> Sequence[ConnectionPace]:
        """Every connection of the caller with its next free slot, interval, and who waits."""
        caller.require(Permission.READ)
        with self._open() as work:
            connections = work.connections.list_of(caller.owner_id)
        buckets: Sequence[BucketView | None] = [None] * len(connections)
        with contextlib.suppress(RoomUnavailable):
            buckets = self._room.view([connection.id for connection in connections])
        return [
            ConnectionPace(connection, bucket)
            for connection, bucket in zip(connections, buckets, strict=True)
        ]

    def pause(self, caller: Caller, connection_id: ConnectionId) -> Connection:
        """Stop sending on a connection; what waits stays. Raises NotFound, Conflict."""
        return self._set(caller, connection_id, ConnectionState.PAUSED, "paused by hand")

    def resume(self, caller: Caller, connection_id: ConnectionId) -> Connection:
        """Send again on a paused connection, also after reconnecting or topping up credits; every
        waiting message goes, paced. Raises NotFound, Conflict when it is disconnected."""
        return self._set(caller, connection_id, ConnectionState.ACTIVE, None)

    def _set(
        self,
        caller: Caller,
        connection_id: ConnectionId,
        state: ConnectionState,
        reason: str | None,
    ) -> Connection:
        caller.require(Permission.MANAGE)
        with self._open() as work:
            connection = work.connections.get(caller.owner_id, connection_id)
            if connection is None:
                raise NotFound(f"no connection {connection_id}")
            if connection.state is ConnectionState.DISCONNECTED:
                raise Conflict("it is disconnected: connect it again", code="disconnected")
            work.connections.lock(connection_id)
            if work.connections.set_state(connection_id, state, reason):
                active = state is ConnectionState.ACTIVE
                action = "connection.resumed" if active else "connection.paused"
                work.audit.add(caller, action, "connection", connection_id)
            work.commit()
            changed = work.connections.by_id(connection_id)
        assert changed is not None
        with contextlib.suppress(RoomUnavailable):
            self._room.admit(self._rules.pace(changed), [])
        return changed

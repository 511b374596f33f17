"""Who waits, in memory."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from domain.connections import Connection, ConnectionId, ConnectionState
from domain.messages import (
    Delay,
    Message,
    MessageId,
    State,
)
from domain.pacing import Waiting
from domain.repositories import Unsettled
from tests.fakes.message_rows import CALLED, TOLERANCE, WORKING, Rows
from tests.fakes.tables import claim_of, waiting_of


class FakeQueueRepository(Rows):
    """QueueRepository in memory."""

    def _queued(self, connection_id: ConnectionId) -> list[Message]:
        return [
            one
            for one in self._all
            if one.connection_id == connection_id and one.state is State.QUEUED and not one.hold
        ]

    def unfinished(self, connection_id: ConnectionId) -> int:
        unfinished = {State.QUEUED, State.SENDING}
        return sum(
            one.connection_id == connection_id and one.state in unfinished for one in self._all
        )

    def ahead(
        self,
        connection_id: ConnectionId,
        begun: frozenset[MessageId],
        before: tuple[int, MessageId] | None = None,
    ) -> Mapping[int, int]:
        return Counter(
            one.priority
            for one in self._all
            if one.connection_id == connection_id
            and one.state in {State.QUEUED, State.SENDING}
            and not one.hold
            and one.id not in begun
            and not (before and one.priority == before[0] and one.id >= before[1])
        )

    def admissible(
        self, connection_id: ConnectionId, up_to: MessageId, limit: int
    ) -> Sequence[Waiting]:
        return [
            waiting_of(one)
            for one in self._queued(connection_id)
            if one.admitted_at is None and one.campaign_id is None and one.id <= up_to
        ][:limit]

    def overtaken(self, connection_id: ConnectionId, priority: int, older_than: MessageId) -> None:
        self._session.write()
        for one in self._queued(connection_id):
            if one.priority > priority and one.id < older_than and one.promised_at:
                self._change(one, delay=one.delay or Delay.OVERTAKEN)

    def admitted(
        self,
        send_at: Mapping[MessageId, datetime | None],
        slack: timedelta,
        late: Delay = Delay.OVERTAKEN,
    ) -> None:
        now, rows = self._session.now, self._session.write()
        for message_id, moment in send_at.items():
            one = rows.messages[message_id]
            if one.state is not State.QUEUED:
                continue
            is_late = moment and one.promised_at and moment > one.promised_at + TOLERANCE
            self._change(
                one,
                admitted_at=one.admitted_at or now,
                estimated_send_at=moment or one.estimated_send_at,
                delay=one.delay or (late if is_late else None),
                wake_after=max(moment or now, now) + slack,
            )

    def recovering(self) -> None:
        self._session.write()
        for one in self._all:
            if one.state is State.QUEUED and not one.hold and one.promised_at:
                self._change(one, delay=one.delay or Delay.RECOVERY)

    def waiting(self) -> Iterable[tuple[Connection, Sequence[Waiting]]]:
        for connection in list(self._session.rows.connections.values()):
            rows = self._queued(connection.id)
            if rows and connection.state is not ConnectionState.DISCONNECTED:
                yield connection, [waiting_of(one) for one in rows]

    def expire_leases(self, limit: int, grace: timedelta) -> int:
        self._session.write()
        expired = [
            one
            for one in self._all
            if one.state is State.SENDING
            and one.lease_until
            and one.lease_until < self._session.now
        ][:limit]
        for one in expired:
            self._change(one, state=State.UNKNOWN, lease_until=None, wake_after=self._due(grace))
        return len(expired)

    def overdue(self, limit: int) -> Sequence[Message]:
        return self._take_due(State.QUEUED, limit)

    def unsettled(self, limit: int) -> Sequence[Unsettled]:
        rows = self._session.write()
        return [
            Unsettled(
                message=one,
                claim=claim_of(rows, one, one.attempt_no),
                attempts=rows.attempts.get(one.id, ()),
            )
            for one in self._take_due(State.UNKNOWN, limit)
        ]

    def _take_due(self, state: State, limit: int) -> list[Message]:
        rows, now = self._session.write(), self._session.now
        due = [
            one
            for one in self._all
            if one.state is state
            and one.wake_after
            and one.wake_after <= now
            and (state is State.UNKNOWN or not one.hold)
            and rows.connections[one.connection_id].state is ConnectionState.ACTIVE
        ]
        taken = sorted(due, key=lambda one: one.wake_after or now)[:limit]
        for one in taken:
            self._change(one, wake_after=now + WORKING)
        return taken

    def twins(self, message: Message) -> int:
        look = message.connection_id, message.fan_id, message.text, message.price_cents or 0
        return sum(
            (one.state in CALLED or (one.state is State.QUEUED and one.attempt_no > 0))
            and (one.connection_id, one.fan_id, one.text, one.price_cents or 0) == look
            for one in self._all
        )

    def put_off(self, message_id: MessageId, wake_in: timedelta | None) -> None:
        rows = self._session.write()
        self._change(rows.messages[message_id], wake_after=self._due(wake_in))

    def refused(self, message_ids: Sequence[MessageId], wake_in: timedelta) -> None:
        for one in self._still_queued(message_ids):
            self._change(one, wake_tries=one.wake_tries + 1, wake_after=self._due(wake_in))

    def wake(self, message_ids: Sequence[MessageId], wake_in: timedelta) -> None:
        for one in self._still_queued(message_ids):
            self._change(one, wake_after=self._due(wake_in))

    def _still_queued(self, message_ids: Sequence[MessageId]) -> list[Message]:
        rows = self._session.write().messages
        found = [rows[one] for one in message_ids if one in rows]
        return [one for one in found if one.state is State.QUEUED]

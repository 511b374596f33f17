"""When a message will leave: the promise, computed before there is anything to measure.

The estimate is the bucket's next free slot plus one interval for each row that goes before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from domain.connections import Connection, ConnectionId, ConnectionState
from domain.messages import Message, MessageId
from domain.pacing import Admission, BucketView, Waiting, at_pace, sends_before, slot_after
from domain.ports import RoomUnavailable, WaitingRoom
from domain.repositories import UnitOfWork
from domain.services.rules import SendingRules


@dataclass
class Forecast:
    """The instants at which further messages of one connection would leave; `ahead` counts, by
    priority, the rows that go before a new one."""

    bucket: BucketView | None
    next_free_at: datetime
    interval: timedelta
    ahead: dict[int, int]

    def promise(self, priority: int) -> datetime:
        """When one more message of this priority leaves; it is counted as ahead from then on."""
        passed_over = self.bucket.passed_over if self.bucket else 0
        before = sends_before(priority, self.ahead, passed_over)
        self.ahead[priority] = self.ahead.get(priority, 0) + 1
        if self.bucket is None:
            return self.next_free_at + before * self.interval
        return instant(slot_after(self.bucket, before))


class Promises:
    """The promises of one transaction, all made at `now`. A connection's row must be locked before
    it is asked for, so that nobody is promised the same slot twice."""

    def __init__(
        self, work: UnitOfWork, room: WaitingRoom, rules: SendingRules, now: datetime
    ) -> None:
        self.now = now
        self._work = work
        self._room = room
        self._rules = rules
        self._forecasts: dict[ConnectionId, Forecast] = {}

    def next(self, connection: Connection, priority: int) -> datetime | None:
        """When one more message leaves; None while sending or the connection is off."""
        if not self._goes(connection):
            return None
        if connection.id not in self._forecasts:
            self._forecasts[connection.id] = self._forecast(connection)
        return self._forecasts[connection.id].promise(priority)

    def late(self, connection: Connection, message: Message) -> datetime | None:
        """When a message leaves that was numbered before others and joins the queue only now: it
        goes before the younger ones of its priority."""
        if not self._goes(connection):
            return None
        return self._forecast(connection, (message.priority, message.id)).promise(message.priority)

    def _goes(self, connection: Connection) -> bool:
        return self._rules.enabled and connection.state is ConnectionState.ACTIVE

    def _forecast(
        self, connection: Connection, before: tuple[int, MessageId] | None = None
    ) -> Forecast:
        """With Redis away, the ledger's last slot stands in for the bucket."""
        interval = timedelta(milliseconds=self._rules.pace(connection).interval_ms)
        queue = self._work.queue
        try:
            [seen] = self._room.view([connection.id])
            bucket = at_pace(seen, self._rules.pace(connection))
        except RoomUnavailable:
            last = self._work.connections.last_slot(connection.id)
            free = max(self.now, last + interval) if last else self.now
            return Forecast(
                None, free, interval, dict(queue.ahead(connection.id, frozenset(), before))
            )
        ahead = queue.ahead(connection.id, bucket.begun, before)
        return Forecast(bucket, self.now, interval, dict(ahead))


def estimates(admission: Admission, rows: Sequence[Waiting]) -> Mapping[MessageId, datetime | None]:
    """When each of these rows leaves, as the waiting room sees it; None where it does not say."""
    known = admission.send_at_ms
    return {
        one.message_id: instant(known[one.message_id]) if one.message_id in known else None
        for one in rows
    }


def instant(milliseconds: float) -> datetime:
    """An instant of the waiting room's clock."""
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)

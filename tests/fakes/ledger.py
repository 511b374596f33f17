"""What an audit reads, from memory."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from domain.connections import ConnectionState
from domain.messages import Delay, Message, PublicId, State
from domain.repositories import LedgerCall, SentMessage
from tests.fakes.tables import Session, claim_of

SENT = {State.SENT, State.DELIVERED, State.UNSENT}


class FakeLedgerRepository:
    """LedgerRepository in memory."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def calls(self, since: datetime) -> Iterable[LedgerCall]:
        rows = self._session.rows
        found = [
            LedgerCall(connection.id, connection.burst, one.started_at, one.interval_ms)
            for message_id, attempts in rows.attempts.items()
            for connection in [rows.connections[rows.messages[message_id].connection_id]]
            for one in attempts
            if one.started_at and one.started_at >= since and one.interval_ms is not None
        ]
        return sorted(found, key=lambda call: (call.connection_id, call.started_at))

    def stuck(self, since: datetime, overdue: timedelta) -> Sequence[PublicId]:
        rows = self._session.rows.messages.values()
        limit = self._session.now - overdue
        return [one.public_id for one in rows if one.queued_at >= since and self._stuck(one, limit)]

    def _stuck(self, message: Message, limit: datetime) -> bool:
        rows = self._session.rows
        if message.state is State.QUEUED:
            connection = rows.connections[message.connection_id]
            late = message.wake_after is None or message.wake_after < limit
            return not message.hold and connection.state is ConnectionState.ACTIVE and late
        if message.state is State.SENDING:
            return message.lease_until is not None and message.lease_until < limit
        proved = message.platform_message_id or rows.attempts.get(message.id)
        return message.state is State.SENT and not proved

    def doubles(self, since: datetime) -> Sequence[PublicId]:
        rows = self._session.rows
        return [
            one.public_id
            for one in rows.messages.values()
            if one.queued_at >= since
            and len(
                {
                    attempt.platform_message_id
                    for attempt in rows.attempts.get(one.id, ())
                    if attempt.platform_message_id
                }
            )
            > 1
        ]

    def promises(self, since: datetime) -> Iterable[tuple[datetime, datetime]]:
        return [
            (one.promised_at, one.sent_at)
            for one in self._sent(since)
            if one.promised_at and one.sent_at and one.delay is None
        ]

    def delayed(self, since: datetime) -> Mapping[Delay, int]:
        return Counter(one.delay for one in self._sent(since) if one.delay)

    def sent(self, since: datetime) -> Iterable[SentMessage]:
        found = [one for one in self._sent(since) if one.state in SENT and one.sent_at]
        return [
            SentMessage(
                one.public_id,
                claim_of(self._session.rows, one, one.attempt_no),
                one.platform_message_id,
                one.queued_at,
            )
            for one in sorted(found, key=lambda one: (one.connection_id, one.fan_id, one.id))
        ]

    def _sent(self, since: datetime) -> list[Message]:
        rows = self._session.rows.messages.values()
        return [one for one in rows if one.sent_at and one.sent_at >= since]

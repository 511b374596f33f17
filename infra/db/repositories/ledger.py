"""What an audit reads from the ledger."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import distinct, func, select
from sqlalchemy import text as sql
from sqlalchemy.orm import Session

from domain.connections import ConnectionId
from domain.messages import Delay, PublicId
from domain.repositories import LedgerCall, SentMessage
from infra.cipher import Cipher
from infra.db.repositories.rows import claim_of
from infra.db.tables import AttemptRow, ConnectionRow, FanRow, MessageRow

SENT = ("sent", "delivered", "unsent")


class SqlLedgerRepository:
    """LedgerRepository on PostgreSQL; long lists are streamed."""

    def __init__(self, session: Session, cipher: Cipher) -> None:
        self._session = session
        self._cipher = cipher

    def calls(self, since: datetime) -> Iterable[LedgerCall]:
        rows = self._session.execute(
            select(
                AttemptRow.connection_id,
                ConnectionRow.burst,
                AttemptRow.started_at,
                AttemptRow.interval_ms,
            )
            .join(ConnectionRow, ConnectionRow.id == AttemptRow.connection_id)
            .where(AttemptRow.started_at >= since, AttemptRow.interval_ms.is_not(None))
            .order_by(AttemptRow.connection_id, AttemptRow.started_at)
            .execution_options(yield_per=5000)
        )
        for connection_id, burst, started_at, interval in rows:
            assert started_at is not None
            assert interval is not None
            yield LedgerCall(ConnectionId(connection_id), burst, started_at, interval)

    def stuck(self, since: datetime, overdue: timedelta) -> Sequence[PublicId]:
        rows = self._session.execute(
            sql(
                """
                SELECT m.public_id FROM messages m
                JOIN platform_connections c ON c.id = m.connection_id
                WHERE m.direction = 'out' AND m.queued_at >= :since AND (
                  (m.state = 'queued' AND m.hold IS NULL AND c.state = 'active'
                    AND (m.wake_after IS NULL OR m.wake_after < now() - :overdue))
                  OR (m.state = 'sending' AND m.lease_until < now() - :overdue)
                  OR (m.state = 'sent' AND m.platform_message_id IS NULL AND NOT EXISTS (
                        SELECT 1 FROM message_attempts a
                        WHERE a.message_id = m.id)))
                ORDER BY m.id
                """
            ),
            {"since": since, "overdue": overdue},
        )
        return [PublicId(row.public_id) for row in rows]

    def doubles(self, since: datetime) -> Sequence[PublicId]:
        ids = self._session.scalars(
            select(MessageRow.public_id)
            .join(AttemptRow, AttemptRow.message_id == MessageRow.id)
            .where(MessageRow.queued_at >= since, AttemptRow.platform_message_id.is_not(None))
            .group_by(MessageRow.public_id)
            .having(func.count(distinct(AttemptRow.platform_message_id)) > 1)
        )
        return [PublicId(one) for one in ids]

    def promises(self, since: datetime) -> Iterable[tuple[datetime, datetime]]:
        rows = self._session.execute(
            select(MessageRow.promised_at, MessageRow.sent_at)
            .where(
                MessageRow.sent_at >= since,
                MessageRow.promised_at.is_not(None),
                MessageRow.delay.is_(None),
            )
            .execution_options(yield_per=5000)
        )
        for promised_at, sent_at in rows:
            assert promised_at is not None
            assert sent_at is not None
            yield promised_at, sent_at

    def delayed(self, since: datetime) -> Mapping[Delay, int]:
        rows = self._session.execute(
            select(MessageRow.delay, func.count())
            .where(MessageRow.sent_at >= since, MessageRow.delay.is_not(None))
            .group_by(MessageRow.delay)
        )
        return {Delay(delay): count for delay, count in rows if delay is not None}

    def sent(self, since: datetime) -> Iterable[SentMessage]:
        rows = self._session.execute(
            select(MessageRow, ConnectionRow, FanRow)
            .join(ConnectionRow, ConnectionRow.id == MessageRow.connection_id)
            .join(FanRow, FanRow.id == MessageRow.fan_id)
            .where(MessageRow.sent_at >= since, MessageRow.state.in_(SENT))
            .order_by(MessageRow.connection_id, MessageRow.fan_id, MessageRow.id)
            .execution_options(yield_per=1000)
        )
        for message, connection, fan in rows:
            assert message.queued_at is not None
            yield SentMessage(
                public_id=PublicId(message.public_id),
                claim=claim_of(message, connection, fan, self._cipher),
                platform_message_id=message.platform_message_id,
                queued_at=message.queued_at,
            )

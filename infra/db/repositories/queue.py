"""Who waits, and what must be looked after, as rows.

Leases and wake-ups are computed by PostgreSQL's clock, the only one all processes share."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, text, update
from sqlalchemy.orm import Session

from domain.connections import Connection, ConnectionId
from domain.messages import (
    Delay,
    Message,
    MessageId,
)
from domain.pacing import Waiting
from domain.repositories import Unsettled
from infra.cipher import Cipher
from infra.db.repositories.people import connection_of
from infra.db.repositories.raising import message_stands
from infra.db.repositories.rows import (
    QUEUED,
    SENDING,
    UNKNOWN,
    attempts_of,
    changed,
    claim_of,
    message_of,
    queued_in_order,
    waiting_of,
)
from infra.db.tables import (
    CampaignRow,
    ConnectionRow,
    FanRow,
    MessageRow,
)

# Puts a row off while one process works on it; far above any pass of the healing timer.
WORKING = timedelta(seconds=60)
REBUILD_BATCH = 1000
WAITS = (
    MessageRow.state == QUEUED,
    MessageRow.hold.is_(None),
)
CAMPAIGN_GOES = and_(
    CampaignRow.status == "active",
    or_(CampaignRow.hours.is_(None), CampaignRow.open_until > func.now()),
    or_(ConnectionRow.bulk_held_until.is_(None), ConnectionRow.bulk_held_until <= func.now()),
)
# A message of a campaign waits for its campaign first, and for the limits of its account: let go,
# it is found overdue.
GOES = or_(
    MessageRow.campaign_id.is_(None),
    select(CampaignRow.id)
    .join(ConnectionRow, ConnectionRow.id == MessageRow.connection_id)
    .where(CampaignRow.id == MessageRow.campaign_id, CAMPAIGN_GOES)
    .correlate(MessageRow)
    .exists(),
)


def _sending_campaigns(connection_id: ConnectionId) -> Select[int]:
    """The campaigns that send from this account now; asked once, whatever waits."""
    return (
        select(CampaignRow.id)
        .join(ConnectionRow, ConnectionRow.user_id == CampaignRow.user_id)
        .where(ConnectionRow.id == connection_id, CAMPAIGN_GOES)
    )


class SqlQueueRepository:
    """QueueRepository on PostgreSQL."""

    def __init__(self, session: Session, cipher: Cipher) -> None:
        self._session = session
        self._cipher = cipher

    def unfinished(self, connection_id: ConnectionId) -> int:
        count = self._session.scalar(
            select(func.count()).where(
                MessageRow.connection_id == connection_id,
                MessageRow.state.in_([QUEUED, SENDING]),
            )
        )
        return count or 0

    def ahead(
        self,
        connection_id: ConnectionId,
        begun: frozenset[MessageId],
        before: tuple[int, MessageId] | None = None,
    ) -> Mapping[int, int]:
        after: tuple[ColumnElement[bool], ...] = ()
        if before is not None:
            priority, message_id = before
            after = (or_(MessageRow.priority != priority, MessageRow.id < message_id),)
        counted = self._session.execute(
            select(MessageRow.priority, func.count())
            .where(
                MessageRow.connection_id == connection_id,
                MessageRow.state.in_([QUEUED, SENDING]),
                MessageRow.hold.is_(None),
                MessageRow.id.not_in(begun),
                or_(
                    MessageRow.state == SENDING,
                    MessageRow.campaign_id.is_(None),
                    MessageRow.campaign_id.in_(_sending_campaigns(connection_id)),
                ),
                *after,
            )
            .group_by(MessageRow.priority)
        )
        return dict(counted.all())

    def admissible(
        self, connection_id: ConnectionId, up_to: MessageId, limit: int
    ) -> Sequence[Waiting]:
        rows = self._session.scalars(
            select(MessageRow)
            .where(
                MessageRow.connection_id == connection_id,
                MessageRow.state == QUEUED,
                MessageRow.admitted_at.is_(None),
                MessageRow.hold.is_(None),
                MessageRow.campaign_id.is_(None),
                MessageRow.id <= up_to,
            )
            .order_by(MessageRow.id)
            .limit(limit)
        )
        return [waiting_of(row) for row in rows]

    def admitted(
        self,
        send_at: Mapping[MessageId, datetime | None],
        slack: timedelta,
        late: Delay = Delay.OVERTAKEN,
    ) -> None:
        if not send_at:
            return
        self._session.execute(
            text(
                """
                WITH a AS (
                  SELECT m.id, given.send_at FROM messages m
                  JOIN unnest(cast(:ids AS bigint[]), cast(:times AS timestamptz[]))
                    AS given(id, send_at) USING (id)
                  WHERE m.state = 'queued' ORDER BY m.id FOR NO KEY UPDATE OF m
                )
                UPDATE messages m SET
                  admitted_at = coalesce(m.admitted_at, now()),
                  estimated_send_at = coalesce(a.send_at, m.estimated_send_at),
                  delay = CASE WHEN m.delay IS NULL AND a.send_at > m.promised_at + :tolerance
                               THEN :late ELSE m.delay END,
                  wake_after = greatest(coalesce(a.send_at, now()), now()) + :slack
                FROM a WHERE m.id = a.id
                """
            ),
            {
                "ids": list(send_at),
                "times": list(send_at.values()),
                "slack": slack,
                "tolerance": timedelta(seconds=2),
                "late": late.value,
            },
        )

    def recovering(self) -> None:
        changed(
            self._session,
            update(MessageRow)
            .where(*WAITS, MessageRow.delay.is_(None), MessageRow.promised_at.is_not(None))
            .values(delay=Delay.RECOVERY),
        )

    def waiting(self) -> Iterable[tuple[Connection, Sequence[Waiting]]]:
        connections = self._session.scalars(
            select(ConnectionRow)
            .where(
                ConnectionRow.state != "disconnected",
                select(MessageRow.id)
                .where(MessageRow.connection_id == ConnectionRow.id, *WAITS)
                .exists(),
            )
            .order_by(ConnectionRow.id)
        ).all()
        for row in connections:
            connection, last = connection_of(row), 0
            while True:
                batch = self._session.scalars(
                    select(MessageRow)
                    .where(MessageRow.connection_id == row.id, MessageRow.id > last, *WAITS, GOES)
                    .order_by(MessageRow.id)
                    .limit(REBUILD_BATCH)
                ).all()
                if batch:
                    yield connection, [waiting_of(one) for one in batch]
                    last = batch[-1].id
                    self._session.expunge_all()
                if len(batch) < REBUILD_BATCH:
                    break

    def overtaken(self, connection_id: ConnectionId, priority: int, older_than: MessageId) -> None:
        changed(
            self._session,
            update(MessageRow)
            .where(
                MessageRow.id.in_(
                    select(MessageRow.id)
                    .where(
                        MessageRow.connection_id == connection_id,
                        MessageRow.state == QUEUED,
                        MessageRow.priority > priority,
                        MessageRow.id < older_than,
                        MessageRow.delay.is_(None),
                        MessageRow.promised_at.is_not(None),
                    )
                    .order_by(MessageRow.id)
                    .with_for_update(key_share=True, skip_locked=True)
                )
            )
            .values(delay=Delay.OVERTAKEN),
        )

    def expire_leases(self, limit: int, grace: timedelta) -> int:
        expired = (
            select(MessageRow.id)
            .where(MessageRow.state == SENDING, MessageRow.lease_until < func.now())
            .order_by(MessageRow.lease_until)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return changed(
            self._session,
            update(MessageRow)
            .where(MessageRow.id.in_(expired))
            .values(state=UNKNOWN, lease_until=None, wake_after=func.now() + grace),
        )

    def overdue(self, limit: int) -> Sequence[Message]:
        rows = self._session.scalars(
            self._due(QUEUED, limit).where(MessageRow.hold.is_(None), GOES)
        ).all()
        found = [message_of(row) for row in rows]
        self._work_on(found)
        return found

    def unsettled(self, limit: int) -> Sequence[Unsettled]:
        rows = self._session.scalars(self._due(UNKNOWN, limit)).all()
        found = [self._unsettled(row) for row in rows]
        self._work_on([one.message for one in found])
        return found

    def _due(self, state: str, limit: int) -> Any:
        return (
            select(MessageRow)
            .join(ConnectionRow, ConnectionRow.id == MessageRow.connection_id)
            .where(
                MessageRow.state == state,
                MessageRow.wake_after <= func.now(),
                ConnectionRow.state == "active",
            )
            .order_by(MessageRow.wake_after)
            .limit(limit)
            .with_for_update(of=MessageRow, skip_locked=True, key_share=True)
        )

    def _work_on(self, messages: Sequence[Message]) -> None:
        if messages:
            changed(
                self._session,
                update(MessageRow)
                .where(MessageRow.id.in_([message.id for message in messages]))
                .values(wake_after=func.now() + WORKING),
            )

    def _unsettled(self, row: MessageRow) -> Unsettled:
        connection = self._session.get_one(ConnectionRow, row.connection_id)
        fan = self._session.get_one(FanRow, row.fan_id)
        return Unsettled(
            message=message_of(row),
            claim=claim_of(row, connection, fan, self._cipher),
            attempts=attempts_of(self._session, MessageId(row.id)),
        )

    def twins(self, message: Message) -> int:
        called_before = and_(MessageRow.state == QUEUED, MessageRow.attempt_no > 0)
        count = self._session.scalar(
            select(func.count()).where(
                MessageRow.connection_id == message.connection_id,
                MessageRow.fan_id == message.fan_id,
                or_(MessageRow.state.in_([SENDING, UNKNOWN]), called_before),
                MessageRow.text == message.text,
                func.coalesce(MessageRow.price_cents, 0) == (message.price_cents or 0),
            )
        )
        return count or 0

    def put_off(self, message_id: MessageId, wake_in: timedelta | None) -> None:
        if wake_in is None:
            message_stands(self._session, message_id)
        changed(
            self._session,
            update(MessageRow)
            .where(MessageRow.id == message_id)
            .values(wake_after=None if wake_in is None else func.now() + wake_in),
        )

    def refused(self, message_ids: Sequence[MessageId], wake_in: timedelta) -> None:
        changed(
            self._session,
            update(MessageRow)
            .where(MessageRow.id.in_(queued_in_order(message_ids)))
            .values(wake_tries=MessageRow.wake_tries + 1, wake_after=func.now() + wake_in),
        )

    def wake(self, message_ids: Sequence[int], wake_in: timedelta) -> None:
        """Look at queued rows in `wake_in`, without counting a try."""
        changed(
            self._session,
            update(MessageRow)
            .where(MessageRow.id.in_(queued_in_order(message_ids)))
            .values(wake_after=func.now() + wake_in),
        )

    def holds_platform_id(
        self, connection_id: ConnectionId, platform_ids: Sequence[str]
    ) -> frozenset[str]:
        held = self._session.scalars(
            select(MessageRow.platform_message_id).where(
                MessageRow.connection_id == connection_id,
                MessageRow.platform_message_id.in_(platform_ids),
                MessageRow.origin == "huntaze",
            )
        )
        return frozenset(one for one in held if one is not None)

"""The limits on campaigns as rows: what was called and got lately, and what is held."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import DateTime, case, func, null, select, update
from sqlalchemy import text as sql
from sqlalchemy.orm import Session

from domain.bulk_limits import DAY, BulkLimits, Held
from domain.campaigns import CampaignId
from domain.connections import ConnectionId
from domain.fans import FanId
from domain.messages import Delay, Hold, MessageId
from domain.repositories.bulk_limits import Lanes, Limited
from domain.users import OwnerId
from infra.db.repositories.rows import QUEUED, SENDING, changed
from infra.db.tables import AttemptRow, ConnectionRow, MessageRow

# Less than this is no delay, as for every promise.
TOLERANCE = timedelta(seconds=2)
CLOCK = func.clock_timestamp(type_=DateTime(timezone=True))
LIMITED = sql(
    """
    SELECT m.connection_id, m.fan_id FROM messages m
    JOIN platform_connections c ON c.id = m.connection_id AND c.state = 'active'
    JOIN campaigns k ON k.id = m.campaign_id AND k.status = 'active'
    WHERE m.id = :id AND m.state = 'queued' AND m.hold IS NULL AND c.bulk_limits IS NOT NULL
    """
)
# By the campaigns of late, each of which has a fan once: a fan's own messages may be thousands.
GOT = sql(
    """
    SELECT m.fan_id, coalesce(m.sent_at, now()) AS got_at
    FROM campaigns k JOIN messages m ON m.campaign_id = k.id AND m.fan_id = ANY(:fans)
    WHERE k.user_id = :owner AND k.started_at IS NOT NULL
      AND (k.completed_at IS NULL OR k.completed_at > now() - interval '1 day')
      AND (m.sent_at > now() - interval '1 day' OR m.state IN ('sending', 'unknown'))
    ORDER BY 2
    """
)
LATE = sql(
    """
    WITH waiting AS (
      SELECT id, promised_at FROM messages
      WHERE connection_id = :connection AND state = 'queued' AND campaign_id IS NOT NULL
        AND hold IS NULL AND delay IS NULL
      ORDER BY id FOR NO KEY UPDATE
    )
    UPDATE messages m SET delay = :delay FROM waiting
    WHERE m.id = waiting.id AND (SELECT min(promised_at) FROM waiting) < :until - :tolerance
    """
)
CAMPAIGNS = sql(
    """
    SELECT k.id FROM campaigns k
    WHERE k.id IN (SELECT campaign_id FROM messages
        WHERE connection_id = :connection AND state IN ('queued', 'sending'))
      AND (NOT :going OR (k.status = 'active' AND (k.hours IS NULL OR k.open_until > now())))
    ORDER BY k.id
    """
)
FREE = sql(
    """
    WITH over AS (
      SELECT id FROM messages
      WHERE state = 'queued' AND hold = 'fan_limit' AND wake_after <= now()
      ORDER BY wake_after LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE messages m SET hold = NULL FROM over WHERE m.id = over.id
    RETURNING m.id, m.connection_id, m.campaign_id
    """
)
PASSED = sql(
    """
    WITH behind AS (
      SELECT id FROM messages
      WHERE connection_id = :connection AND state = 'queued' AND campaign_id = :campaign
        AND id > :id AND hold IS NULL AND delay IS NULL AND promised_at IS NOT NULL
      ORDER BY id FOR NO KEY UPDATE
    )
    UPDATE messages m SET delay = :delay FROM behind WHERE m.id = behind.id
    """
)


class SqlBulkLimitRepository:
    """BulkLimitRepository on PostgreSQL."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def limited(self, message_id: MessageId) -> Limited | None:
        row = self._session.execute(LIMITED, {"id": message_id}).one_or_none()
        return Limited(ConnectionId(row.connection_id), FanId(row.fan_id)) if row else None

    def clock(self) -> datetime:
        return self._session.scalars(select(CLOCK)).one()

    def calls(self, connection_id: ConnectionId, most: int) -> Sequence[datetime]:
        called = self._session.scalars(
            select(AttemptRow.slot_at)
            .where(
                AttemptRow.connection_id == connection_id,
                AttemptRow.slot_at > func.now() - DAY,
                AttemptRow.started_at.is_not(None),
            )
            .order_by(AttemptRow.slot_at.desc())
            .limit(most)
        ).all()
        going_on = self._session.scalar(
            select(func.count()).where(
                MessageRow.connection_id == connection_id, MessageRow.state == SENDING
            )
        )
        now = self.clock()
        return [*(one for one in reversed(called) if one), *[now] * (going_on or 0)]

    def got(
        self, owner_id: OwnerId, fan_ids: Sequence[FanId]
    ) -> Mapping[FanId, Sequence[datetime]]:
        found: dict[FanId, list[datetime]] = defaultdict(list)
        for row in self._session.execute(GOT, {"owner": owner_id, "fans": list(fan_ids)}):
            found[FanId(row.fan_id)].append(row.got_at)
        return found

    def hold(self, connection_id: ConnectionId, until: datetime, why: Held) -> Lanes:
        changed(
            self._session,
            update(ConnectionRow)
            .where(ConnectionRow.id == connection_id)
            .values(bulk_held_until=until, bulk_held_why=why),
        )
        self._session.execute(
            LATE,
            {
                "connection": connection_id,
                "until": until,
                "tolerance": TOLERANCE,
                "delay": Delay.LIMITED,
            },
        )
        return self._lanes(connection_id, going=False)

    def _lanes(self, connection_id: ConnectionId, *, going: bool) -> Lanes:
        found = self._session.scalars(CAMPAIGNS, {"connection": connection_id, "going": going})
        return Lanes(connection_id, [CampaignId(one) for one in found])

    def hold_message(self, message_id: MessageId, until: datetime) -> None:
        changed(
            self._session,
            update(MessageRow)
            .where(MessageRow.id == message_id, MessageRow.state == QUEUED)
            .values(
                hold=Hold.FAN_LIMIT,
                wake_after=until,
                estimated_send_at=until,
                delay=func.coalesce(MessageRow.delay, Delay.LIMITED),
            ),
        )

    def change(self, connection_id: ConnectionId, limits: BulkLimits | None) -> None:
        is_held = ConnectionRow.bulk_held_until.is_not(None)
        changed(
            self._session,
            update(ConnectionRow)
            .where(ConnectionRow.id == connection_id)
            .values(
                bulk_limits=limits.record() if limits else null(),  # None would be JSON's null
                bulk_held_until=case((is_held, func.now())),
            ),
        )

    def held(self, connection_ids: Sequence[ConnectionId]) -> frozenset[ConnectionId]:
        found = self._session.scalars(
            select(ConnectionRow.id).where(
                ConnectionRow.id.in_(connection_ids), ConnectionRow.bulk_held_until > func.now()
            )
        )
        return frozenset(map(ConnectionId, found))

    def end_holds(self, limit: int) -> Sequence[Lanes]:
        over = (
            select(ConnectionRow.id)
            .where(ConnectionRow.bulk_held_until <= func.now())
            .order_by(ConnectionRow.id)
            .limit(limit)
            .with_for_update(key_share=True, skip_locked=True)
        )
        ended = self._session.scalars(
            update(ConnectionRow)
            .where(ConnectionRow.id.in_(over))
            .values(bulk_held_until=None, bulk_held_why=None)
            .returning(ConnectionRow.id)
        ).all()
        return [self._lanes(ConnectionId(one), going=True) for one in sorted(ended)]

    def end_message_holds(self, limit: int) -> int:
        ended = self._session.execute(FREE, {"limit": limit}).all()
        first: dict[tuple[int, int], int] = {}
        for row in sorted(ended, key=lambda row: row.id):
            first.setdefault((row.connection_id, row.campaign_id), row.id)
        for (connection, campaign), message_id in first.items():
            behind = {"connection": connection, "campaign": campaign, "id": message_id}
            self._session.execute(PASSED, behind | {"delay": Delay.OVERTAKEN})
        return len(ended)

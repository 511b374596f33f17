"""Campaigns as rows. Their messages are written, cancelled and counted as a whole, never one by
one; what is left to do is told by recipients without a message, never by a cursor."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Row,
    ScalarSelect,
    any_,
    bindparam,
    case,
    func,
    insert,
    null,
    or_,
    select,
    update,
)
from sqlalchemy import text as sql
from sqlalchemy.orm import Session

from domain.bulk_limits import read_hours
from domain.campaigns import (
    Campaign,
    CampaignId,
    CampaignStatus,
    Candidate,
    Progress,
    Recipient,
    Standing,
    Unwritten,
)
from domain.campaigns import CampaignStatus as C  # as the domain calls it
from domain.connections import ConnectionId
from domain.fans import FanId
from domain.messages import Attachment, MessageId, State
from domain.pacing import Waiting
from domain.paging import TOTAL_MAX, Page
from domain.repositories.campaigns import Delivery, NewCampaign, Part, WaitingOn, Written
from domain.users import Caller, OwnerId, UserId
from infra.db.repositories.cursors import read_cursor, whole, write_cursor
from infra.db.repositories.raising import subject_changed
from infra.db.repositories.rows import attachment_json, changed
from infra.db.tables import (
    CampaignRecipientRow,
    CampaignRow,
    ConnectionRow,
    FanRow,
    MessageRow,
)

# A cancel or a retry of a hundred thousand messages is one statement.
WHOLE_MS = 60_000
# Between an event and the worker that takes it.
ANNOUNCED = timedelta(seconds=30)
# Late deliveries and purchases are counted for so long.
COUNTED_FOR = timedelta(days=31)
PAGE = """
    SELECT r.position, r.fan_id, r.connection_id, r.text, r.promised_at,
      CASE WHEN r.held_until > now() THEN r.held_until END AS held_until
    FROM campaign_recipients r
    JOIN fans f ON f.id = r.fan_id AND f.deleted_at IS NULL AND f.platform_user_id IS NOT NULL
      AND f.connection_id = r.connection_id
    WHERE r.campaign_id = :id AND r.position = ANY(:positions)"""
# Whoever pauses or cancels waits for a page, and then finds all of it.
OPEN = sql(
    "SELECT status FROM campaigns WHERE id = :id AND status IN ('active', 'paused') FOR SHARE"
)
STATUS = sql("SELECT status FROM campaigns WHERE id = :id FOR SHARE")
NEXT = sql(
    """
    SELECT r.position, r.connection_id FROM campaign_recipients r
    WHERE r.campaign_id = :id AND r.position > :after AND r.connection_id = ANY(:ready)
      AND NOT EXISTS (SELECT FROM messages m WHERE m.campaign_id = :id AND m.fan_id = r.fan_id)
    ORDER BY r.position LIMIT :limit
    """
)
# The connection's row first, as everybody does: who deletes or unlinks a fan waits here.
LOCK_CONNECTIONS = sql(
    "SELECT id FROM platform_connections WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE"
)
TALKS = sql(
    f"""
    WITH page AS ({PAGE}), made AS (
      INSERT INTO conversations (user_id, fan_id, connection_id, platform)
      SELECT :owner, fan_id, connection_id, 'onlyfans' FROM page ORDER BY fan_id
      ON CONFLICT (fan_id, connection_id) DO NOTHING
    ), known AS (
      SELECT c.id FROM conversations c JOIN page p USING (fan_id, connection_id)
      ORDER BY c.id FOR NO KEY UPDATE OF c
    )
    UPDATE conversations c SET
      last_direction = CASE WHEN last_message_at > now() THEN last_direction ELSE 'out' END,
      last_message_at = greatest(last_message_at, now())
    FROM known WHERE c.id = known.id
    """  # noqa: S608  # a constant of ours
)
WRITE = sql(
    f"""
    WITH page AS ({PAGE})
    INSERT INTO messages (public_id, user_id, connection_id, conversation_id, fan_id, campaign_id,
      direction, text, price_cents, attachments, metadata, priority, state, queued_at, created_at,
      promised_at, estimated_send_at, hold, wake_after)
    SELECT gen_random_uuid(), k.user_id, p.connection_id, c.id, p.fan_id, k.id,
      'out', p.text, k.price_cents,
      coalesce(cast(:attachments AS jsonb) -> p.connection_id::text, '[]'),
      k.metadata, k.priority, 'queued', now(), now(),
      p.promised_at, p.promised_at, CASE WHEN p.held_until IS NOT NULL THEN 'fan_limit' END,
      coalesce(p.held_until, now() + :wake_in)
    FROM page p JOIN conversations c USING (fan_id, connection_id)
    JOIN campaigns k ON k.id = :id
    ORDER BY p.position
    ON CONFLICT (campaign_id, fan_id) DO NOTHING
    RETURNING id, connection_id, priority, hold
    """  # noqa: S608  # a constant of ours
)
CANCEL = sql(
    """
    WITH waiting AS (
      SELECT id FROM messages WHERE campaign_id = :id AND state = 'queued'
      ORDER BY id FOR NO KEY UPDATE
    )
    UPDATE messages m SET state = 'cancelled', wake_after = NULL, lease_until = NULL
    FROM waiting WHERE m.id = waiting.id
    """
)
# Of fans that are there, or were merged into one that is.
REQUEUE = sql(
    """
    WITH RECURSIVE way AS (
      SELECT m.id AS message_id, f.merged_into, f.deleted_at, 0 AS steps
      FROM messages m JOIN fans f ON f.id = m.fan_id AND f.platform_user_id IS NOT NULL
      WHERE m.campaign_id = :id AND m.state = 'failed'
      UNION ALL
      SELECT way.message_id, f.merged_into, f.deleted_at, steps + 1
      FROM way JOIN fans f ON f.id = way.merged_into WHERE steps < 20
    ), failed AS (
      SELECT m.id FROM messages m
      WHERE m.state = 'failed' AND m.id IN (
        SELECT message_id FROM way WHERE merged_into IS NULL AND deleted_at IS NULL)
      ORDER BY m.id FOR NO KEY UPDATE
    )
    UPDATE messages m SET state = 'queued', failed_at = NULL, failures = 0, error_code = NULL,
      error_detail = NULL, delay = 'retry', admitted_at = NULL, wake_tries = 0,
      dead_lettered_at = NULL, wake_after = now() + :wake_in
    FROM failed WHERE m.id = failed.id
    RETURNING m.id, m.connection_id, m.priority
    """
)
WAITING_ON = sql(
    """
    SELECT connection_id, max(priority) AS priority,
      max(wake_after) FILTER (WHERE is_held) AS until,
      max(id) FILTER (WHERE NOT is_held) AS id, count(*) FILTER (WHERE NOT is_held) AS going
    FROM (SELECT *, hold IS NOT NULL AS is_held FROM messages
      WHERE campaign_id = :id AND state = 'queued') AS waiting
    GROUP BY connection_id ORDER BY connection_id
    """
)
CHANGED = sql(
    """
    SELECT k.id FROM campaigns k
    WHERE (k.status IN ('active', 'paused') OR k.completed_at > now() - :kept)
      AND coalesce(k.counted_at, '-infinity') < now() - :since
      AND (k.counted_at IS NULL OR EXISTS (
        SELECT FROM messages m WHERE m.campaign_id = k.id AND m.changed >= k.counted_to))
    ORDER BY k.counted_at NULLS FIRST LIMIT :limit
    """
)
# The oldest transaction that still runs: what it changes is counted next time.
MARK = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
COUNTS = """
    SELECT
      count(*) FILTER (WHERE m.state IN ('sent', 'delivered')) AS sent,
      count(*) FILTER (WHERE m.state = 'delivered') AS delivered,
      count(*) FILTER (WHERE m.state = 'queued') AS queued,
      count(*) FILTER (WHERE m.state = 'sending') AS sending,
      count(*) FILTER (WHERE m.state = 'failed') AS failed,
      count(*) FILTER (WHERE m.state = 'unknown') AS unknown,
      count(*) FILTER (WHERE m.state = 'unknown' AND m.wake_after IS NULL) AS unproven,
      count(*) FILTER (WHERE m.state IN ('cancelled', 'unsent')) AS cancelled,
      count(*) FILTER (WHERE m.purchased_at IS NOT NULL) AS purchased,
      count(*) AS written
    FROM messages m WHERE m.campaign_id = :id"""
MONEY = """
    SELECT coalesce(sum(t.gross_cents), 0)::bigint AS gross_cents,
      coalesce(sum(t.net_cents), 0)::bigint AS net_cents
    FROM transactions t JOIN messages m ON m.id = t.message_id
    WHERE m.campaign_id = :id AND t.reversed_at IS NULL"""
# Those of which something changed since they were counted.
STALE = sql(
    """
    SELECT k.id FROM campaigns k
    WHERE k.id = ANY(:ids) AND (k.counted_at IS NULL OR k.counts IS NULL OR EXISTS (
      SELECT FROM messages m WHERE m.campaign_id = k.id AND m.changed >= k.counted_to))
    """
)
PROGRESS = sql(f"SELECT * FROM ({COUNTS}) AS counts CROSS JOIN ({MONEY}) AS money")  # noqa: S608  # constants of ours


class SqlCampaignRepository:
    """CampaignRepository on PostgreSQL."""

    def __init__(self, session: Session) -> None:
        self._session = session

    # Starting

    def candidates(self, owner_id: OwnerId, fan_ids: Sequence[FanId]) -> Sequence[Candidate]:
        rows = self._session.execute(
            select(
                FanRow.id,
                FanRow.name,
                FanRow.handle,
                FanRow.connection_id,
                FanRow.platform_user_id,
                FanRow.deleted_at,
                ConnectionRow.state,
            )
            .outerjoin(ConnectionRow, ConnectionRow.id == FanRow.connection_id)
            .where(
                FanRow.user_id == owner_id,
                # One value, however many: a statement takes 65,535 of them.
                FanRow.id == any_(bindparam("fan_ids", list(fan_ids), type_=ARRAY(BigInteger))),
                FanRow.erased_at.is_(None),
            )
            .order_by(FanRow.id)
        )
        return [
            Candidate(
                fan_id=FanId(row.id),
                name=row.name,
                handle=row.handle,
                connection_id=None
                if row.connection_id is None
                else ConnectionId(row.connection_id),
                is_linked=row.connection_id is not None and row.platform_user_id is not None,
                is_deleted=row.deleted_at is not None,
                is_disconnected=row.state == "disconnected",
            )
            for row in rows
        ]

    def add(self, caller: Caller, new: NewCampaign, wake_in: timedelta) -> Campaign:
        is_scheduled = new.scheduled_at is not None
        row = CampaignRow(
            user_id=caller.owner_id,
            actor_id=caller.user_id,
            name=new.name,
            status=(C.SCHEDULED if is_scheduled else C.ACTIVE).value,
            template={"content": new.content, "mediaUrls": list(new.media_urls)},
            target_audience=dict(new.audience),
            metrics=metrics_of(Progress()),
            price_cents=new.price_cents,
            priority=new.priority,
            metadata_=dict(new.metadata),
            total=new.total,
            promised_at=new.promised_at,
            scheduled_at=new.scheduled_at,
            failure_percent=new.failure_percent,
            hours=new.hours.record() if new.hours else null(),  # None would be JSON's null
            started_at=None if is_scheduled else func.now(),
            wake_after=new.scheduled_at if is_scheduled else func.now() + wake_in,
        )
        self._session.add(row)
        self._session.flush()
        self._freeze(CampaignId(row.id), new.recipients)
        self._session.refresh(row)
        return self._campaign_of(row)

    def _freeze(self, campaign_id: CampaignId, recipients: Sequence[Recipient]) -> None:
        if not recipients:
            return
        rows = [
            {
                "campaign_id": campaign_id,
                "position": position,
                "fan_id": one.fan_id,
                "connection_id": one.connection_id,
                "text": one.text,
                "promised_at": one.promised_at,
                "held_until": one.held_until,
            }
            for position, one in enumerate(recipients, start=1)
        ]
        self._session.execute(insert(CampaignRecipientRow), rows)

    def begin(
        self,
        campaign_id: CampaignId,
        audience: Mapping[str, Any],
        recipients: Sequence[Recipient],
        promised_at: datetime | None,
    ) -> None:
        self._freeze(campaign_id, recipients)
        self._set(
            campaign_id,
            status=C.ACTIVE.value,
            target_audience=dict(audience),
            total=len(recipients),
            promised_at=promised_at,
            started_at=func.now(),
            version=CampaignRow.version + 1,
        )

    # Reading

    def get(self, owner_id: OwnerId, public_id: UUID, *, lock: bool = False) -> Campaign | None:
        row = self._row(
            CampaignRow.public_id == public_id, CampaignRow.user_id == owner_id, lock=lock
        )
        return self._campaign_of(row) if row else None

    def by_id(self, campaign_id: CampaignId) -> Campaign | None:
        row = self._row(CampaignRow.id == campaign_id)
        return self._campaign_of(row) if row else None

    def lock(self, campaign_id: CampaignId) -> Campaign | None:
        row = self._row(CampaignRow.id == campaign_id, lock=True)
        return self._campaign_of(row) if row else None

    def lock_due(self, campaign_id: CampaignId) -> Campaign | None:
        is_due = CampaignRow.scheduled_at <= func.now()
        is_scheduled = CampaignRow.status == C.SCHEDULED.value
        row = self._row(CampaignRow.id == campaign_id, is_scheduled, is_due, lock=True)
        return _uncounted(row) if row else None

    def _row(self, *where: ColumnElement[bool], lock: bool = False) -> CampaignRow | None:
        found = select(CampaignRow).where(*where).execution_options(populate_existing=True)
        return self._session.scalar(found.with_for_update(key_share=True) if lock else found)

    def reopen(self, campaign_id: CampaignId) -> CampaignStatus:
        found = (CampaignRow.id == campaign_id, CampaignRow.status == C.COMPLETED.value)
        while True:
            # Shared otherwise, so that no claim and no page waits for it.
            if self._session.scalar(select(CampaignRow.id).where(*found).with_for_update()):
                self.set_status(campaign_id, C.ACTIVE)
                return C.ACTIVE
            status = self._session.scalars(STATUS, {"id": campaign_id}).one()
            if status != C.COMPLETED:
                return CampaignStatus(status)

    def standing(self, campaign_id: CampaignId) -> Standing:
        row = self._session.execute(
            select(CampaignRow.status, CampaignRow.reason, CampaignRow.held_until).where(
                CampaignRow.id == campaign_id
            )
        ).one()
        return Standing(CampaignStatus(row.status), row.reason, row.held_until)

    def page(
        self,
        owner_id: OwnerId,
        limit: int,
        cursor: str | None,
        status: CampaignStatus | None = None,
    ) -> Page[Campaign]:
        found = select(CampaignRow).where(CampaignRow.user_id == owner_id)
        if status is not None:
            found = found.where(CampaignRow.status == status.value)
        total = self._count(found)
        if cursor is not None:
            [last] = read_cursor(cursor, "campaigns", whole)
            found = found.where(CampaignRow.id < last)
        rows = self._session.scalars(found.order_by(CampaignRow.id.desc()).limit(limit + 1)).all()
        more = write_cursor("campaigns", rows[limit - 1].id) if len(rows) > limit else None
        stale = set(self._session.scalars(STALE, {"ids": [row.id for row in rows[:limit]]}))
        campaigns = [
            self._campaign_of(row) if row.id in stale else _campaign_of(row, row.counts or {})
            for row in rows[:limit]
        ]
        return Page(campaigns, min(total, TOTAL_MAX), total > TOTAL_MAX, more)

    def of_fans(self, owner_id: OwnerId, fan_ids: Sequence[FanId], limit: int) -> Sequence[Part]:
        rows = self._session.execute(
            select(
                CampaignRow.public_id,
                CampaignRow.name,
                MessageRow.state,
                CampaignRecipientRow.promised_at,
                MessageRow.sent_at,
            )
            .join(CampaignRow, CampaignRow.id == CampaignRecipientRow.campaign_id)
            .outerjoin(
                MessageRow,
                (MessageRow.campaign_id == CampaignRecipientRow.campaign_id)
                & (MessageRow.fan_id == CampaignRecipientRow.fan_id),
            )
            .where(CampaignRecipientRow.fan_id.in_(fan_ids), CampaignRow.user_id == owner_id)
            .order_by(CampaignRow.id.desc())
            .limit(limit)
        )
        return [
            Part(
                row.public_id,
                row.name,
                None if row.state is None else State(row.state),
                row.promised_at,
                row.sent_at,
            )
            for row in rows
        ]

    def recipients(
        self,
        owner_id: OwnerId,
        campaign_id: CampaignId,
        limit: int,
        cursor: str | None,
        state: State | Unwritten | None = None,
    ) -> Page[Delivery]:
        status = case(
            (MessageRow.id.is_not(None), MessageRow.state),
            (CampaignRow.fanned_out_at.is_not(None), Unwritten.GONE.value),
            (CampaignRow.status.in_([C.ACTIVE, C.PAUSED]), Unwritten.WAITING.value),
            else_=State.CANCELLED.value,
        )
        found = (
            select(
                CampaignRecipientRow, FanRow.name, FanRow.handle, MessageRow, status.label("status")
            )
            .join(CampaignRow, CampaignRow.id == CampaignRecipientRow.campaign_id)
            .join(FanRow, FanRow.id == CampaignRecipientRow.fan_id)
            .outerjoin(
                MessageRow,
                (MessageRow.campaign_id == CampaignRecipientRow.campaign_id)
                & (MessageRow.fan_id == CampaignRecipientRow.fan_id),
            )
            .where(CampaignRecipientRow.campaign_id == campaign_id, CampaignRow.user_id == owner_id)
        )
        if state is not None:
            found = found.where(status == state.value)
        total = self._count(found)
        if cursor is not None:
            [last] = read_cursor(cursor, "recipients", whole)
            found = found.where(CampaignRecipientRow.position > last)
        rows = self._session.execute(
            found.order_by(CampaignRecipientRow.position).limit(limit + 1)
        ).all()
        items = [_delivery_of(row) for row in rows[:limit]]
        more = write_cursor("recipients", items[-1].position) if len(rows) > limit else None
        return Page(items, min(total, TOTAL_MAX), total > TOTAL_MAX, more)

    def _count(self, found: Any) -> int:
        counted = select(func.count()).select_from(found.limit(TOTAL_MAX + 1).subquery())
        return self._session.scalar(counted) or 0

    def connections(self, campaign_id: CampaignId) -> Sequence[ConnectionId]:
        found = self._session.scalars(
            select(CampaignRecipientRow.connection_id)
            .where(CampaignRecipientRow.campaign_id == campaign_id)
            .distinct()
            .order_by(CampaignRecipientRow.connection_id)
        )
        return [ConnectionId(one) for one in found]

    # Messages as a whole

    def write_page(
        self,
        campaign_id: CampaignId,
        ready: Mapping[ConnectionId, Sequence[Attachment]],
        after: int,
        limit: int,
        wake_in: timedelta,
    ) -> Written:
        status = self._session.execute(OPEN, {"id": campaign_id}).one_or_none()
        if status is None:
            return Written({}, None)
        place = {"id": campaign_id, "after": after, "limit": limit, "ready": list(ready)}
        following = self._session.execute(NEXT, place).all()
        if not following:
            return Written({}, None)
        connections = sorted({row.connection_id for row in following})
        self._session.execute(LOCK_CONNECTIONS, {"ids": connections})
        campaign = self._session.get_one(CampaignRow, campaign_id)
        page = {"id": campaign_id, "positions": [row.position for row in following]}
        self._session.execute(TALKS, {**page, "owner": campaign.user_id})
        # In another statement, which sees the conversations that the first one made.
        attachments = json.dumps(
            {connection: list(map(attachment_json, files)) for connection, files in ready.items()}
        )
        asked = {**page, "wake_in": wake_in, "attachments": attachments}
        written = self._session.execute(WRITE, asked).all()
        going = [row for row in written if row.hold is None]
        return Written(_waiting(going, campaign_id), following[-1].position)

    def wait(self, campaign_id: CampaignId, wake_in: timedelta, reason: str) -> None:
        is_active = CampaignRow.status == C.ACTIVE.value
        self._set(
            campaign_id,
            wake_after=func.now() + wake_in,
            reason=case((is_active, reason), else_=CampaignRow.reason),
        )

    def tried(self, campaign_id: CampaignId, wake_in: timedelta, reason: str) -> None:
        self.wait(campaign_id, wake_in, reason)
        self._set(campaign_id, wake_tries=CampaignRow.wake_tries + 1)

    def fanned_out(self, campaign_id: CampaignId) -> None:
        # One that paused itself says why until somebody resumes it.
        is_active = CampaignRow.status == C.ACTIVE.value
        changed(
            self._session,
            update(CampaignRow)
            .where(
                CampaignRow.id == campaign_id,
                CampaignRow.status.in_([C.ACTIVE.value, C.PAUSED.value]),
            )
            .values(
                fanned_out_at=func.now(),
                wake_after=None,
                wake_tries=0,
                counted_at=None,  # Nothing of it may be left that would have it counted.
                reason=case((is_active, None), else_=CampaignRow.reason),
            ),
        )

    def set_status(
        self, campaign_id: CampaignId, status: CampaignStatus, reason: str | None = None
    ) -> None:
        values: dict[str, Any] = {"status": status.value, "reason": reason}
        values["version"] = CampaignRow.version + 1
        if status in {C.COMPLETED, C.CANCELLED, C.FAILED}:
            values |= {"completed_at": func.now(), "wake_after": None}
        if status is C.ACTIVE:
            values |= {"completed_at": None, "counted_at": None}
        self._set(campaign_id, **values)
        subject_changed(self._session, "campaign_id", campaign_id)

    def turning(self, limit: int) -> Sequence[Campaign]:
        over = CampaignRow.open_until <= func.now()
        rows = self._session.scalars(
            select(CampaignRow)
            .where(
                CampaignRow.status == C.ACTIVE.value,
                CampaignRow.hours.is_not(None),
                or_(CampaignRow.open_until.is_(None), over),
                or_(CampaignRow.held_until.is_(None), CampaignRow.held_until <= func.now()),
            )
            .order_by(CampaignRow.id)
            .limit(limit)
            .with_for_update(key_share=True, skip_locked=True)
        ).all()
        return [_uncounted(row) for row in rows]

    def turn(self, campaign_id: CampaignId, until: datetime, *, is_open: bool) -> None:
        self._set(
            campaign_id,
            open_until=until if is_open else None,
            held_until=None if is_open else until,
        )

    def forgive(self, campaign_id: CampaignId) -> None:
        self._set(campaign_id, forgiven=_failed(campaign_id))

    def cancel_queued(self, campaign_id: CampaignId) -> int:
        self._session.execute(sql(f"SET LOCAL statement_timeout = {WHOLE_MS}"))
        return changed(self._session, CANCEL.bindparams(id=campaign_id))

    def requeue_failed(self, campaign_id: CampaignId, wake_in: timedelta) -> Written:
        self._session.execute(sql(f"SET LOCAL statement_timeout = {WHOLE_MS}"))
        rows = self._session.execute(REQUEUE, {"id": campaign_id, "wake_in": wake_in}).all()
        # What fails again counts again.
        self._set(campaign_id, forgiven=func.least(CampaignRow.forgiven, _failed(campaign_id)))
        return Written(_waiting(rows, campaign_id), None)

    def waiting_on(self, campaign_id: CampaignId) -> Sequence[WaitingOn]:
        return [
            WaitingOn(
                connection_id=ConnectionId(row.connection_id),
                last=row.id and Waiting(MessageId(row.id), row.priority, campaign_id),
                going=row.going,
                held_until=row.until,
            )
            for row in self._session.execute(WAITING_ON, {"id": campaign_id})
        ]

    def delays(self, campaign_id: CampaignId) -> Mapping[str, int]:
        rows = self._session.execute(
            select(MessageRow.delay, func.count().label("n"))
            .where(
                MessageRow.campaign_id == campaign_id,
                MessageRow.state == State.QUEUED.value,
                MessageRow.delay.is_not(None),
            )
            .group_by(MessageRow.delay)
            .order_by(func.count().desc(), MessageRow.delay)
        )
        return {str(row.delay): row.n for row in rows}

    # The timer's and the counter's

    def overdue(self, limit: int) -> Sequence[Campaign]:
        due = (
            select(CampaignRow.id)
            .where(
                CampaignRow.wake_after <= func.now(),
                CampaignRow.status.in_([C.ACTIVE.value, C.SCHEDULED.value]),
                CampaignRow.fanned_out_at.is_(None),
            )
            .order_by(CampaignRow.wake_after)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        rows = self._session.scalars(
            update(CampaignRow)
            .where(CampaignRow.id.in_(due))
            .values(wake_after=func.now() + ANNOUNCED)
            .returning(CampaignRow)
        ).all()
        return [_uncounted(row) for row in rows]

    def changed(self, limit: int, since: timedelta) -> Sequence[CampaignId]:
        asked = {"limit": limit, "since": since, "kept": COUNTED_FOR}
        return [CampaignId(one) for one in self._session.scalars(CHANGED, asked)]

    def count(self, campaign_id: CampaignId) -> Campaign | None:
        mark = self._session.scalar(sql(f"SELECT {MARK}"))  # a constant of ours
        row = self._row(CampaignRow.id == campaign_id)
        if row is None:
            return None
        counts = self._counts(campaign_id)
        campaign = _campaign_of(row, counts)
        self._set(
            campaign_id,
            metrics=metrics_of(campaign.progress),
            counts=counts,
            counted_to=mark,
            counted_at=func.now(),
        )
        return campaign

    def _set(self, campaign_id: CampaignId, **values: Any) -> None:
        changed(
            self._session, update(CampaignRow).where(CampaignRow.id == campaign_id).values(**values)
        )

    def _counts(self, campaign_id: int) -> dict[str, int]:
        counts = self._session.execute(PROGRESS, {"id": campaign_id}).one()
        return dict(counts._mapping)  # noqa: SLF001  # SQLAlchemy's public name for it

    def _campaign_of(self, row: CampaignRow) -> Campaign:
        return _campaign_of(row, self._counts(row.id))


def _failed(campaign_id: CampaignId) -> ScalarSelect[int]:
    return (
        select(func.count())
        .where(MessageRow.campaign_id == campaign_id, MessageRow.state == State.FAILED.value)
        .scalar_subquery()
    )


def _progress(row: CampaignRow, counts: Mapping[str, int]) -> Progress:
    """Counted messages, and what the recipients are who have none."""
    named = dict(counts)
    missing = row.total - named.pop("written")
    if row.fanned_out_at is not None:
        named["gone"] = missing
    elif row.status in {"scheduled", "active", "paused"}:
        named["unwritten"] = missing
    else:  # It ended before they were written.
        named["cancelled"] += missing
    return Progress(total=row.total, **named)


def _campaign_of(row: CampaignRow, counts: Mapping[str, int]) -> Campaign:
    return replace(_uncounted(row), progress=_progress(row, counts))


def _uncounted(row: CampaignRow) -> Campaign:
    """Without its progress, for who does not look at it."""
    template = row.template
    return Campaign(
        id=CampaignId(row.id),
        public_id=row.public_id,
        owner_id=OwnerId(row.user_id),
        actor_id=None if row.actor_id is None else UserId(row.actor_id),
        name=row.name,
        status=CampaignStatus(row.status),
        content=template.get("content", ""),
        media_urls=tuple(template.get("mediaUrls", ())),
        price_cents=row.price_cents,
        priority=row.priority,
        metadata=row.metadata_,
        audience=row.target_audience,
        metrics=row.metrics,
        total=row.total,
        created_at=row.created_at,
        promised_at=row.promised_at,
        started_at=row.started_at,
        completed_at=row.completed_at,
        fanned_out_at=row.fanned_out_at,
        reason=row.reason,
        version=row.version,
        wake_tries=row.wake_tries,
        scheduled_at=row.scheduled_at,
        failure_percent=row.failure_percent,
        forgiven=row.forgiven,
        hours=read_hours(row.hours) if row.hours else None,
        held_until=row.held_until,
    )


def metrics_of(progress: Progress) -> dict[str, int]:
    """The four numbers of the contract."""
    return {
        "sent": progress.sent,
        "delivered": progress.delivered,
        "failed": progress.failed,
        "revenue_cents": progress.net_cents,
    }


def _waiting(
    rows: Sequence[Row[Any]], campaign_id: CampaignId
) -> Mapping[ConnectionId, Sequence[Waiting]]:
    found: dict[ConnectionId, list[Waiting]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.id):
        waiting = Waiting(MessageId(row.id), row.priority, campaign_id)
        found[ConnectionId(row.connection_id)].append(waiting)
    return found


def _delivery_of(row: Any) -> Delivery:
    recipient, message = row.CampaignRecipientRow, row.MessageRow
    return Delivery(
        position=recipient.position,
        fan_id=FanId(recipient.fan_id),
        name=row.name,
        handle=row.handle,
        text=recipient.text,
        message_id=message and message.public_id,
        status=Unwritten(row.status) if row.status in set(Unwritten) else State(row.status),
        promised_at=message.promised_at if message else recipient.promised_at,
        estimated_send_at=message and message.estimated_send_at,
        delay=message and message.delay,
        sent_at=message and message.sent_at,
        error_code=message and message.error_code,
        purchased_at=message and message.purchased_at,
    )

"""Webhooks as rows. Wake-ups run on PostgreSQL's clock, the only one all processes share."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from domain.connections import Connection, ConnectionId
from domain.fans import FanId
from domain.paging import TOTAL_MAX, Page
from domain.repositories import NewPlatformEvent, PlatformEvent
from domain.users import OwnerId
from infra.db.repositories.cursors import read_cursor, whole, write_cursor
from infra.db.repositories.people import connection_of
from infra.db.repositories.rows import changed
from infra.db.tables import ConnectionRow, PlatformEventRow

# Each connection's newest events by its own index, then the newest of those. Of a body, up to a
# megabyte long, only whether there is one.
PAGE = text(
    """
    SELECT e.* FROM platform_connections c
    CROSS JOIN LATERAL (
      SELECT id, account_id, event, received_at, connection_id, handled_at, outcome, wake_tries,
        redelivery_of, left(body, 1) AS body
      FROM platform_events
      WHERE connection_id = c.id AND id < :before ORDER BY id DESC LIMIT :limit
    ) e
    WHERE c.user_id = :owner AND (cast(:connection AS bigint) IS NULL OR c.id = :connection)
    ORDER BY e.id DESC LIMIT :limit
    """
)
COUNT = text(
    """
    SELECT count(*) FROM (
      SELECT 1 FROM platform_connections c
      JOIN platform_events e ON e.connection_id = c.id
      WHERE c.user_id = :owner AND (cast(:connection AS bigint) IS NULL OR c.id = :connection)
      LIMIT :most
    ) counted
    """
)


def event_of(row: Any) -> PlatformEvent:
    return PlatformEvent(
        id=row.id,
        account_id=row.account_id,
        event=row.event,
        body=row.body,
        received_at=row.received_at,
        connection_id=None if row.connection_id is None else ConnectionId(row.connection_id),
        handled_at=row.handled_at,
        outcome=row.outcome,
        wake_tries=row.wake_tries,
        redelivery_of=row.redelivery_of,
    )


class SqlPlatformEventRepository:
    """PlatformEventRepository on PostgreSQL."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, new: NewPlatformEvent, wake_in: timedelta) -> int | None:
        return self._session.scalar(
            insert(PlatformEventRow)
            .values(**vars(new), wake_after=func.now() + wake_in)
            .on_conflict_do_nothing(index_elements=["key"])
            .returning(PlatformEventRow.id)
        )

    def connection(self, account_id: str) -> Connection | None:
        row = self._session.scalar(
            select(ConnectionRow).where(
                ConnectionRow.platform == "onlyfans",
                ConnectionRow.account_id == account_id,
                ConnectionRow.state != "disconnected",
            )
        )
        return connection_of(row) if row else None

    def account_of(self, event_id: int) -> str | None:
        return self._session.scalar(
            select(PlatformEventRow.account_id).where(
                PlatformEventRow.id == event_id, PlatformEventRow.handled_at.is_(None)
            )
        )

    def take(self, event_id: int) -> PlatformEvent | None:
        row = self._session.scalar(
            select(PlatformEventRow)
            .where(PlatformEventRow.id == event_id, PlatformEventRow.handled_at.is_(None))
            .with_for_update(skip_locked=True)
        )
        return event_of(row) if row else None

    def told_at(self, event: PlatformEvent) -> datetime:
        if event.redelivery_of is None:
            return event.received_at
        original = self._session.scalar(
            select(PlatformEventRow.received_at).where(PlatformEventRow.key == event.redelivery_of)
        )
        return original or event.received_at

    def wait(self, event_id: int, fan_id: FanId | None, wake_in: timedelta) -> None:
        self._change(
            event_id,
            fan_id=func.coalesce(fan_id, PlatformEventRow.fan_id),
            wake_tries=PlatformEventRow.wake_tries + 1,
            wake_after=func.now() + wake_in,
        )

    def finish(
        self,
        event_id: int,
        outcome: str,
        connection_id: ConnectionId | None = None,
        fan_id: FanId | None = None,
    ) -> None:
        self._change(
            event_id,
            handled_at=func.now(),
            outcome=outcome,
            wake_after=None,
            connection_id=func.coalesce(connection_id, PlatformEventRow.connection_id),
            fan_id=func.coalesce(fan_id, PlatformEventRow.fan_id),
        )

    def _change(self, event_id: int, **values: Any) -> None:
        changed(
            self._session,
            update(PlatformEventRow).where(PlatformEventRow.id == event_id).values(**values),
        )

    def waiting(self, fan_id: FanId) -> Sequence[PlatformEvent]:
        rows = self._session.scalars(
            select(PlatformEventRow)
            .where(PlatformEventRow.fan_id == fan_id, PlatformEventRow.handled_at.is_(None))
            .order_by(PlatformEventRow.id)
        )
        return [event_of(row) for row in rows]

    def due(self, limit: int, wake_in: timedelta) -> Sequence[tuple[int, ConnectionId | None]]:
        due = (
            select(PlatformEventRow.id)
            .where(PlatformEventRow.handled_at.is_(None), PlatformEventRow.wake_after <= func.now())
            .order_by(PlatformEventRow.wake_after)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        rows = self._session.execute(
            update(PlatformEventRow)
            .where(PlatformEventRow.id.in_(due))
            .values(wake_after=func.now() + wake_in)
            .returning(PlatformEventRow.id, PlatformEventRow.connection_id),
            execution_options={"synchronize_session": False},
        )
        return sorted((row.id, row.connection_id) for row in rows)

    def forget(self, older_than: timedelta, limit: int) -> int:
        old = (
            select(PlatformEventRow.id)
            .where(
                PlatformEventRow.body != "",
                PlatformEventRow.received_at < func.now() - older_than,
                PlatformEventRow.handled_at < func.now() - older_than,
            )
            .order_by(PlatformEventRow.received_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return changed(
            self._session,
            update(PlatformEventRow).where(PlatformEventRow.id.in_(old)).values(body=""),
        )

    def page(
        self, owner_id: OwnerId, connection_id: ConnectionId | None, limit: int, cursor: str | None
    ) -> Page[PlatformEvent]:
        before = 2**63 - 1 if cursor is None else read_cursor(cursor, "events", whole)[0]
        asked = {"owner": owner_id, "connection": connection_id}
        total = self._session.scalar(COUNT, {**asked, "most": TOTAL_MAX + 1}) or 0
        rows = self._session.execute(PAGE, {**asked, "before": before, "limit": limit + 1}).all()
        page = [event_of(row) for row in rows[:limit]]
        more = len(rows) > limit
        return Page(
            page,
            min(total, TOTAL_MAX),
            is_capped=total > TOTAL_MAX,
            next_cursor=write_cursor("events", page[-1].id) if more else None,
        )

    def lock(self, owner_id: OwnerId, event_id: int) -> PlatformEvent | None:
        row = self._session.scalar(
            select(PlatformEventRow)
            .join(ConnectionRow, ConnectionRow.id == PlatformEventRow.connection_id)
            .where(PlatformEventRow.id == event_id, ConnectionRow.user_id == owner_id)
            .with_for_update(of=PlatformEventRow)
            .execution_options(populate_existing=True)
        )
        return event_of(row) if row else None

    def reopen(self, event_id: int, wake_in: timedelta) -> None:
        self._change(
            event_id,
            handled_at=None,
            outcome=None,
            wake_tries=0,
            wake_after=func.now() + wake_in,
        )

    def account_told(self, connection_id: ConnectionId, at: datetime) -> None:
        changed(
            self._session,
            update(ConnectionRow).where(ConnectionRow.id == connection_id).values(state_at=at),
        )

    def state_at(self, connection_id: ConnectionId) -> datetime:
        return self._session.scalars(
            select(ConnectionRow.state_at).where(ConnectionRow.id == connection_id)
        ).one()

"""Notifications as rows. Whether one of messages is still open is asked of the messages."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from domain.messages import State
from domain.notifications import (
    COUNT_MAX,
    OF_MESSAGES,
    UNSEEN_MAX,
    FailedMessage,
    Kind,
    Named,
    Notification,
    NotificationId,
    Unseen,
)
from domain.paging import TOTAL_MAX, Page
from domain.users import Caller, OwnerId
from infra.db.repositories.cursors import read_cursor, whole, write_cursor
from infra.db.repositories.raising import STANDS
from infra.db.repositories.rows import changed
from infra.db.tables import MessageRow, NotificationMarkRow, NotificationRow

STANDING = f"SELECT FROM messages m WHERE m.notification_id = n.id AND {STANDS}"
OPEN = f"""(n.resolved_at IS NULL
    AND (n.kind NOT IN ({", ".join(f"'{kind}'" for kind in sorted(OF_MESSAGES))})
      OR EXISTS ({STANDING})))"""
PAGE = """
    SELECT n.*, told.n AS told_count, stood.n AS open_count,
      m.public_id, m.conversation_id, m.fan_id, m.error_detail,
      c.name AS connection_name, k.public_id AS campaign_public_id, k.name AS campaign_name,
      i.file_name
    FROM ({found} ORDER BY n.id DESC LIMIT :limit) n
    CROSS JOIN LATERAL (SELECT count(*) AS n FROM (
      SELECT FROM messages m WHERE m.notification_id = n.id LIMIT :count_max) x) told
    CROSS JOIN LATERAL (SELECT count(*) AS n FROM ({standing} LIMIT :count_max) x) stood
    LEFT JOIN LATERAL ({newest}) m ON true
    LEFT JOIN platform_connections c ON c.id = n.connection_id
    LEFT JOIN campaigns k ON k.id = n.campaign_id
    LEFT JOIN imports i ON i.id = n.import_id
    ORDER BY n.id DESC
    """
NEWEST = STANDING.replace("SELECT FROM", "SELECT m.* FROM", 1) + " ORDER BY m.id DESC LIMIT 1"
UNSEEN = sql(
    f"""
    WITH mark AS (
      SELECT coalesce((SELECT seen_to FROM notification_marks WHERE user_id = :user), 0) AS seen_to
    )
    SELECT mark.seen_to, (SELECT count(*) FROM (
      SELECT FROM notifications n
      WHERE n.user_id = :owner AND n.id > mark.seen_to AND {OPEN} LIMIT :most) x) AS missed
    FROM mark
    """  # noqa: S608  # constants of ours
)
RESOLVE = sql(
    f"""
    UPDATE notifications SET resolved_at = now() WHERE id = ANY(ARRAY(
      SELECT n.id FROM notifications n
      WHERE n.resolved_at IS NULL AND n.kind = ANY(:kinds) AND NOT EXISTS ({STANDING})
      ORDER BY n.id LIMIT :limit FOR UPDATE OF n SKIP LOCKED))
    """  # noqa: S608  # constants of ours
)


def notification_of(row: Row[Any]) -> Notification:
    message, kind = None, Kind(row.kind)
    if row.public_id is not None:
        message = FailedMessage(row.public_id, row.conversation_id, row.fan_id, row.error_detail)
    connection = row.connection_id and Named(row.connection_id, row.connection_name)
    campaign = row.campaign_id and Named(row.campaign_public_id, row.campaign_name)
    return Notification(
        id=NotificationId(row.id),
        kind=kind,
        code=row.code,
        detail=row.detail,
        created_at=row.created_at,
        resolved_at=row.resolved_at,
        count=row.told_count if kind in OF_MESSAGES else 1,
        open_count=row.open_count if kind in OF_MESSAGES else int(row.resolved_at is None),
        message=message,
        connection=connection,
        campaign=campaign,
        import_=row.import_id and Named(row.import_id, row.file_name),
    )


class SqlNotificationRepository:
    """NotificationRepository on PostgreSQL."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def page(
        self, owner_id: OwnerId, limit: int, cursor: str | None, *, is_open: bool | None
    ) -> Page[Notification]:
        where = "WHERE n.user_id = :owner"
        if is_open is not None:
            where += f" AND {OPEN}" if is_open else f" AND NOT {OPEN}"
        asked: dict[str, Any] = {"owner": owner_id}
        counted = f"SELECT count(*) FROM (SELECT FROM notifications n {where} LIMIT :most) x"  # noqa: S608  # constants of ours
        total = self._session.scalar(sql(counted), asked | {"most": TOTAL_MAX + 1}) or 0
        if cursor is not None:
            [asked["last"]] = read_cursor(cursor, "notifications", whole)
            where += " AND n.id < :last"
        found = f"SELECT n.* FROM notifications n {where}"  # noqa: S608  # constants of ours
        query = PAGE.format(found=found, standing=STANDING, newest=NEWEST)
        rows = self._session.execute(
            sql(query), asked | {"limit": limit + 1, "count_max": COUNT_MAX}
        ).all()
        items = [notification_of(row) for row in rows[:limit]]
        more = write_cursor("notifications", items[-1].id) if len(rows) > limit else None
        return Page(items, min(total, TOTAL_MAX), total > TOTAL_MAX, more)

    def failed(
        self, owner_id: OwnerId, notification_id: NotificationId, limit: int
    ) -> Sequence[UUID] | None:
        ours = select(NotificationRow.id).where(
            NotificationRow.user_id == owner_id, NotificationRow.id == notification_id
        )
        if self._session.scalar(ours) is None:
            return None
        return self._session.scalars(
            select(MessageRow.public_id)
            .where(
                MessageRow.user_id == owner_id,
                MessageRow.notification_id == notification_id,
                MessageRow.state == State.FAILED.value,
                MessageRow.campaign_id.is_(None),
            )
            .order_by(MessageRow.id)
            .limit(limit)
        ).all()

    def unseen(self, caller: Caller) -> Unseen:
        row = self._session.execute(
            UNSEEN,
            {"user": caller.user_id, "owner": caller.owner_id, "most": UNSEEN_MAX + 1},
        ).one()
        return Unseen(
            min(row.missed, UNSEEN_MAX), row.missed > UNSEEN_MAX, NotificationId(row.seen_to)
        )

    def see(self, caller: Caller, up_to: NotificationId) -> None:
        # No further than what there is: what comes later was seen by nobody.
        last = self._session.scalar(
            select(func.max(NotificationRow.id)).where(
                NotificationRow.user_id == caller.owner_id, NotificationRow.id <= up_to
            )
        )
        seen = insert(NotificationMarkRow).values(user_id=caller.user_id, seen_to=last or 0)
        further = func.greatest(NotificationMarkRow.seen_to, seen.excluded.seen_to)
        self._session.execute(
            seen.on_conflict_do_update(
                index_elements=["user_id"], set_={"seen_to": further, "seen_at": func.now()}
            )
        )

    def resolve(self, limit: int) -> int:
        asked = {"kinds": sorted(OF_MESSAGES), "limit": limit}
        return changed(self._session, RESOLVE.bindparams(**asked))

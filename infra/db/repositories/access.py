"""The audit log as rows."""

from collections.abc import Mapping

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from domain.paging import TOTAL_MAX, Page
from domain.repositories import AuditLine
from domain.users import Caller, OwnerId, UserId
from infra.db.repositories.cursors import read_cursor, whole, write_cursor
from infra.db.tables import AuditRow
from infra.logging import correlation_id


def audit_line_of(row: AuditRow) -> AuditLine:
    return AuditLine(
        id=row.id,
        actor_id=None if row.actor_id is None else UserId(row.actor_id),
        action=row.action,
        subject=row.subject,
        subject_id=row.subject_id,
        detail=row.detail,
        request_id=row.request_id,
        at=row.at,
    )


class SqlAuditRepository:
    """AuditRepository on PostgreSQL."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(
        self,
        caller: Caller,
        action: str,
        subject: str,
        subject_id: object = None,
        detail: Mapping[str, object] | None = None,
    ) -> None:
        self._session.add(
            AuditRow(
                user_id=caller.owner_id,
                actor_id=caller.user_id,
                action=action,
                subject=subject,
                subject_id=None if subject_id is None else str(subject_id),
                detail=dict(detail or {}),
                request_id=correlation_id() or None,
            )
        )

    def page(self, owner_id: OwnerId, limit: int, cursor: str | None) -> Page[AuditLine]:
        lines = select(AuditRow).where(AuditRow.user_id == owner_id)
        counted = select(func.count()).select_from(lines.limit(TOTAL_MAX + 1).subquery())
        total = self._session.scalar(counted) or 0
        if cursor is not None:
            [last_id] = read_cursor(cursor, "audit", whole)
            lines = lines.where(AuditRow.id < last_id)
        rows = self._session.scalars(lines.order_by(AuditRow.id.desc()).limit(limit + 1)).all()
        page = [audit_line_of(row) for row in rows[:limit]]
        more = len(rows) > limit
        return Page(
            page,
            min(total, TOTAL_MAX),
            is_capped=total > TOTAL_MAX,
            next_cursor=write_cursor("audit", page[-1].id) if more else None,
        )

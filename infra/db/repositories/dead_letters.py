"""Dead letters as rows."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, or_, select, tuple_, update
from sqlalchemy.orm import Session

from domain.dead_letters import MAY_BE_DEAD, DeadMessage
from domain.messages import MessageId
from domain.paging import TOTAL_MAX, Page
from domain.users import OwnerId
from infra.db.repositories.cursors import instant, read_cursor, whole, write_cursor
from infra.db.repositories.rows import message_of
from infra.db.tables import MessageRow

ORDER = (MessageRow.dead_lettered_at.desc(), MessageRow.id.desc())
DEAD = (
    MessageRow.dead_lettered_at.is_not(None),
    MessageRow.state.in_(sorted(MAY_BE_DEAD)),
)


class SqlDeadLetterRepository:
    """DeadLetterRepository on PostgreSQL."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def page(self, owner_id: OwnerId, limit: int, cursor: str | None) -> Page[DeadMessage]:
        found = _of(owner_id)
        counted = select(func.count()).select_from(
            found.with_only_columns(MessageRow.id).limit(TOTAL_MAX + 1).subquery()
        )
        total = self._session.scalar(counted) or 0
        if cursor is not None:
            at, last = read_cursor(cursor, "dead-letters", instant, whole)
            place = tuple_(MessageRow.dead_lettered_at, MessageRow.id)
            found = found.where(place < tuple_(at, last))
        rows = self._session.scalars(found.order_by(*ORDER).limit(limit + 1)).all()
        more = None
        if len(rows) > limit:
            last_row = rows[limit - 1]
            more = write_cursor("dead-letters", last_row.dead_lettered_at, last_row.id)
        items = [_dead(row) for row in rows[:limit]]
        return Page(items, min(total, TOTAL_MAX), total > TOTAL_MAX, more)

    def get(self, owner_id: OwnerId, public_id: UUID) -> DeadMessage | None:
        row = self._session.scalar(
            _of(owner_id)
            .where(MessageRow.public_id == public_id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
        return _dead(row) if row else None

    def revive(self, rows: Collection[UUID | MessageId]) -> Collection[tuple[OwnerId, UUID]]:
        public = [row for row in rows if isinstance(row, UUID)]
        ids = [row for row in rows if not isinstance(row, UUID)]
        # In one order, as everybody locks many messages.
        named = (
            select(MessageRow.id)
            .where(or_(MessageRow.public_id.in_(public), MessageRow.id.in_(ids)), *DEAD)
            .order_by(MessageRow.id)
            .with_for_update(key_share=True)
        )
        revived = self._session.execute(
            update(MessageRow)
            .where(MessageRow.id.in_(named))
            .values(dead_lettered_at=None, dead_letter_reason=None)
            .returning(MessageRow.user_id, MessageRow.public_id),
            execution_options={"synchronize_session": False},
        )
        return [(OwnerId(row.user_id), row.public_id) for row in revived]


def _of(owner_id: OwnerId) -> Select[Any]:
    return select(MessageRow).where(MessageRow.user_id == owner_id, *DEAD)


def _dead(row: MessageRow) -> DeadMessage:
    return DeadMessage(message_of(row), row.dead_letter_reason)

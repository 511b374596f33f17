"""Fans as rows."""

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from domain.connections import ConnectionId
from domain.conversations import ConversationId
from domain.fans import Fan, FanId
from domain.repositories import FanPage, Recipient
from domain.users import OwnerId
from infra.db.repositories.cursors import read_cursor, whole, write_cursor
from infra.db.repositories.people import connection_of
from infra.db.tables import ConnectionRow, ConversationRow, FanRow


def fan_of(row: FanRow) -> Fan:
    return Fan(
        id=FanId(row.id),
        owner_id=OwnerId(row.user_id),
        name=row.name,
        platform=row.platform,
        handle=row.handle,
        email=row.email,
        avatar=row.avatar,
        tags=tuple(row.tags),
        value_cents=row.value_cents,
        last_seen_at=row.last_seen_at,
        notes=row.notes,
        tier=row.tier,
        connection_id=None if row.connection_id is None else ConnectionId(row.connection_id),
        platform_user_id=row.platform_user_id,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


class SqlFanRepository:
    """FanRepository on PostgreSQL; deleted fans are not seen."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def recipient(self, owner_id: OwnerId, fan_id: FanId) -> Recipient | None:
        found = self._session.execute(
            select(FanRow, ConnectionRow)
            .outerjoin(ConnectionRow, ConnectionRow.id == FanRow.connection_id)
            .where(FanRow.id == fan_id, FanRow.user_id == owner_id, FanRow.deleted_at.is_(None))
        ).one_or_none()
        if found is None:
            return None
        fan, connection = found
        return Recipient(fan_of(fan), connection_of(connection) if connection else None)

    def page(self, owner_id: OwnerId, limit: int, cursor: str | None) -> FanPage:
        live = select(FanRow).where(FanRow.user_id == owner_id, FanRow.deleted_at.is_(None))
        total = self._session.scalar(select(func.count()).select_from(live.subquery())) or 0
        if cursor is not None:
            live = live.where(FanRow.id < read_cursor(cursor, "fans", whole)[0])
        rows = self._session.scalars(live.order_by(FanRow.id.desc()).limit(limit + 1)).all()
        more = len(rows) > limit
        page = [fan_of(row) for row in rows[:limit]]
        return FanPage(page, total, write_cursor("fans", page[-1].id) if more else None)

    def conversation(self, fan: Fan) -> ConversationId:
        found = self._conversation_id(fan)
        if found is None:
            self._session.execute(
                insert(ConversationRow)
                .values(
                    user_id=fan.owner_id,
                    fan_id=fan.id,
                    connection_id=fan.connection_id,
                    platform=fan.platform,
                )
                .on_conflict_do_nothing()
            )
            found = self._conversation_id(fan)
        assert found is not None
        return ConversationId(found)

    def _conversation_id(self, fan: Fan) -> int | None:
        return self._session.scalar(
            select(ConversationRow.id).where(
                ConversationRow.fan_id == fan.id,
                ConversationRow.connection_id == fan.connection_id,
            )
        )

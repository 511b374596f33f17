"""Which fan is which user of the platform, as rows."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from domain.connections import ConnectionId
from domain.fans import FanId
from domain.messages import State
from infra.db.tables import FanRow, MessageRow

OPEN = (State.QUEUED.value, State.SENDING.value, State.UNKNOWN.value)


class SqlLinkRepository:
    """LinkRepository on PostgreSQL."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def holder(self, connection_id: ConnectionId, platform_user_id: str) -> FanId | None:
        found = self._session.scalar(
            select(FanRow.id).where(
                FanRow.connection_id == connection_id,
                FanRow.platform_user_id == platform_user_id,
                FanRow.deleted_at.is_(None),
            )
        )
        return None if found is None else FanId(found)

    def waiting(self, fan_id: FanId) -> int:
        count = select(func.count()).where(MessageRow.fan_id == fan_id, MessageRow.state.in_(OPEN))
        return self._session.scalar(count) or 0

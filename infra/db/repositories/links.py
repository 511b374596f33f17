"""Which fan is which user of the platform, as rows."""

from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from domain.connections import ConnectionId
from domain.errors import Conflict
from domain.fans import Fan, FanId
from domain.messages import State
from domain.users import Caller
from infra.db.repositories.fans import fan_of
from infra.db.tables import FanChangeRow, FanRow, MessageRow

OPEN = (State.QUEUED.value, State.SENDING.value, State.UNKNOWN.value)


class SqlLinkRepository:
    """LinkRepository on PostgreSQL."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def lock(self, fan: Fan) -> Fan | None:
        # NO KEY: storing a message checks its foreign key and must not wait for this.
        row = self._session.scalar(
            select(FanRow)
            .where(FanRow.id == fan.id, FanRow.user_id == fan.owner_id, FanRow.deleted_at.is_(None))
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
        return fan_of(row) if row else None

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

    def put(
        self,
        caller: Caller,
        fan: Fan,
        connection_id: ConnectionId | None,
        platform_user_id: str | None,
    ) -> None:
        try:
            with self._session.begin_nested():
                self._session.execute(
                    update(FanRow)
                    .where(FanRow.id == fan.id)
                    .values(
                        connection_id=connection_id,
                        platform_user_id=platform_user_id,
                        version=FanRow.version + 1,
                        updated_at=func.now(),
                    ),
                    execution_options={"synchronize_session": False},
                )
        except IntegrityError as problem:
            if "uq_fans_platform_user_id" not in str(problem.orig):
                raise
            raise Conflict(
                "another fan is linked to this user of the platform", code="already_linked"
            ) from None
        self._session.expire_all()
        self._session.execute(
            insert(FanChangeRow).values(
                user_id=fan.owner_id,
                fan_id=fan.id,
                actor_id=caller.user_id,
                source="person",
                before=_link(fan.connection_id, fan.platform_user_id),
                after=_link(connection_id, platform_user_id),
            )
        )


def _link(connection_id: ConnectionId | None, platform_user_id: str | None) -> dict[str, object]:
    return {"connectionId": connection_id, "platformUserId": platform_user_id}

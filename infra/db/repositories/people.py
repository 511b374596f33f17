"""Users and connections as rows."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, bindparam, func, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from domain.bulk_limits import Held, read_limits
from domain.connections import Connection, ConnectionId, ConnectionState
from domain.errors import Conflict, NotFound
from domain.messages import Delay
from domain.pacing import Learned
from domain.users import OwnerId, Role, User, UserId
from infra.db.repositories.raising import subject_changed
from infra.db.repositories.rows import changed
from infra.db.tables import AttemptRow, ConnectionRow, MessageRow, UserRow


def user_of(row: UserRow) -> User:
    return User(
        id=UserId(row.id),
        owner_id=OwnerId(row.owner_id),
        email=row.email,
        role=Role(row.role),
        time_zone=row.time_zone,
        created_at=row.created_at,
        tokens_after=row.tokens_after,
    )


def connection_of(row: ConnectionRow) -> Connection:
    return Connection(
        id=ConnectionId(row.id),
        owner_id=OwnerId(row.user_id),
        platform=row.platform,
        name=row.name,
        account_id=row.account_id,
        state=ConnectionState(row.state),
        state_reason=row.state_reason,
        rate_per_minute=row.rate_per_minute,
        burst=row.burst,
        slowdown=row.slowdown,
        failures=row.failures,
        blocked_until=row.blocked_until,
        blocked_reason=row.blocked_reason,
        created_at=row.created_at,
        username=row.username,
        sync_after=row.sync_after,
        synced_at=row.synced_at,
        sync_error=row.sync_error,
        bulk_limits=read_limits(row.bulk_limits),
        bulk_held_until=row.bulk_held_until,
        bulk_held_why=Held(row.bulk_held_why) if row.bulk_held_why else None,
    )


# NO KEY: inserting a message checks its foreign key and must not wait for this.
LOCKED = (
    select(ConnectionRow)
    .where(ConnectionRow.id == bindparam("id"))
    .with_for_update(key_share=True)
    .execution_options(populate_existing=True)
)


class SqlUserRepository:
    """UserRepository on PostgreSQL."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def by_email(self, email: str) -> tuple[User, str] | None:
        row = self._session.scalar(
            select(UserRow).where(
                func.lower(UserRow.email) == email.lower(), UserRow.removed_at.is_(None)
            )
        )
        return (user_of(row), row.password_hash) if row else None

    def get(self, user_id: UserId) -> User | None:
        row = self._session.scalar(
            select(UserRow).where(UserRow.id == user_id, UserRow.removed_at.is_(None))
        )
        return user_of(row) if row else None

    def team(self, owner_id: OwnerId) -> Sequence[User]:
        rows = self._session.scalars(
            select(UserRow)
            .where(UserRow.owner_id == owner_id, UserRow.removed_at.is_(None))
            .order_by(UserRow.id)
        )
        return [user_of(row) for row in rows]

    def emails(self, owner_id: OwnerId) -> Mapping[UserId, str]:
        rows = self._session.execute(
            select(UserRow.id, UserRow.email).where(UserRow.owner_id == owner_id)
        )
        return {UserId(row.id): row.email for row in rows}

    def lock(self, user_id: UserId) -> None:
        # NO KEY: rows that name the user check their foreign key and must not wait for this.
        self._session.execute(
            select(UserRow.id).where(UserRow.id == user_id).with_for_update(key_share=True)
        )

    def change(
        self,
        user_id: UserId,
        *,
        role: Role | None = None,
        time_zone: str | None = None,
        password_hash: str | None = None,
        tokens_after: datetime | None = None,
    ) -> None:
        values: dict[str, Any] = {
            "role": role,
            "time_zone": time_zone,
            "password_hash": password_hash,
            "tokens_after": tokens_after,
        }
        changes = {name: value for name, value in values.items() if value is not None}
        self._session.execute(update(UserRow).where(UserRow.id == user_id).values(changes))

    def remove(self, user_id: UserId) -> bool:
        removing = update(UserRow).where(UserRow.id == user_id, UserRow.removed_at.is_(None))
        return changed(self._session, removing.values(removed_at=func.now())) == 1

    def add(
        self, email: str, password_hash: str, role: Role, owner_id: OwnerId | None, time_zone: str
    ) -> User:
        user_id = self._session.scalar(
            text("SELECT nextval(pg_get_serial_sequence('users', 'id'))")
        )
        row = UserRow(
            id=user_id,
            owner_id=owner_id or user_id,
            email=email,
            password_hash=password_hash,
            role=role,
            time_zone=time_zone,
        )
        try:
            with self._session.begin_nested():
                self._session.add(row)
        except IntegrityError as problem:
            if "uq_users_email" in str(problem.orig):
                raise Conflict(f"{email} already has an account", code="email_taken") from None
            raise
        self._session.refresh(row)
        return user_of(row)


class SqlConnectionRepository:
    """ConnectionRepository on PostgreSQL."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, owner_id: OwnerId, connection_id: ConnectionId) -> Connection | None:
        row = self._session.scalar(
            select(ConnectionRow).where(
                ConnectionRow.id == connection_id, ConnectionRow.user_id == owner_id
            )
        )
        return connection_of(row) if row else None

    def by_id(self, connection_id: ConnectionId) -> Connection | None:
        row = self._session.get(ConnectionRow, connection_id)
        return connection_of(row) if row else None

    def lock(self, connection_id: ConnectionId) -> Connection:
        row = self._session.scalar(LOCKED, {"id": connection_id})
        if row is None:
            raise NotFound(f"connection {connection_id} does not exist")
        return connection_of(row)

    def list_of(self, owner_id: OwnerId) -> Sequence[Connection]:
        rows = self._session.scalars(
            select(ConnectionRow)
            .where(ConnectionRow.user_id == owner_id)
            .order_by(ConnectionRow.id)
        )
        return [connection_of(row) for row in rows]

    def set_state(
        self, connection_id: ConnectionId, state: ConnectionState, reason: str | None
    ) -> bool:
        changed = cast(
            "CursorResult[object]",
            self._session.execute(
                update(ConnectionRow)
                .where(ConnectionRow.id == connection_id, ConnectionRow.state != state)
                .values(state=state, state_reason=reason, state_at=func.now())
            ),
        ).rowcount
        if not changed:
            return False
        subject_changed(self._session, "connection_id", connection_id)
        self._session.execute(
            update(MessageRow)
            .where(
                MessageRow.connection_id == connection_id,
                MessageRow.state == "queued",
                MessageRow.hold.is_(None),
            )
            .values(wake_after=func.now() if state is ConnectionState.ACTIVE else None)
        )
        if state is not ConnectionState.ACTIVE:
            self._delay_queued(connection_id, Delay.PAUSED)
        return True

    def learn(
        self, connection_id: ConnectionId, learned: Learned, reason: str | None, delay: Delay | None
    ) -> None:
        until = learned.blocked_until_ms
        subject_changed(self._session, "connection_id", connection_id)
        self._session.execute(
            update(ConnectionRow)
            .where(ConnectionRow.id == connection_id)
            .values(
                slowdown=learned.slowdown,
                failures=learned.failures,
                blocked_until=func.to_timestamp(until / 1000) if until else None,
                blocked_reason=reason,
            )
        )
        if delay is not None:
            self._delay_queued(connection_id, delay)

    def _delay_queued(self, connection_id: ConnectionId, delay: Delay) -> None:
        self._session.execute(
            update(MessageRow)
            .where(
                MessageRow.connection_id == connection_id,
                MessageRow.state == "queued",
                MessageRow.delay.is_(None),
            )
            .values(delay=delay),
            execution_options={"synchronize_session": False},
        )

    def last_slot(self, connection_id: ConnectionId) -> datetime | None:
        return self._session.scalar(
            select(func.max(AttemptRow.slot_at)).where(AttemptRow.connection_id == connection_id)
        )

"""Messages to be taken back, as rows."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from domain.connections import ConnectionId
from domain.messages import MessageId
from domain.ports import Account
from domain.repositories.unsending import Unsend
from infra.cipher import Cipher
from infra.db.repositories.rows import changed, message_of
from infra.db.tables import ConnectionRow, FanRow, MessageRow

# One of each account a second, the one asked for first: politeness costs nobody more than seconds.
DUE = text(
    """
    WITH due AS (
      SELECT DISTINCT ON (m.connection_id) m.id
      FROM messages m JOIN platform_connections p ON p.id = m.connection_id
      WHERE m.unsend_after <= now() AND p.state = 'active'
      ORDER BY m.connection_id, m.unsend_after, m.id
      LIMIT :limit
    )
    UPDATE messages m SET unsend_after = now() + :put_off
    FROM due WHERE m.id = due.id AND m.unsend_after <= now()
    RETURNING m.id, m.connection_id
    """
)
EXPIRE = text(
    """
    WITH late AS (
      SELECT id FROM messages
      WHERE unsend_after IS NOT NULL AND coalesce(sent_at, created_at) < now() - :window
      ORDER BY id LIMIT :limit
      FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE messages m SET unsend_after = NULL, error_code = 'unsend_failed'
    FROM late WHERE m.id = late.id
    """
)


class SqlUnsendingRepository:
    """UnsendingRepository on PostgreSQL."""

    def __init__(self, session: Session, cipher: Cipher) -> None:
        self._session = session
        self._cipher = cipher

    def ask(self, message_id: MessageId, wake_in: timedelta) -> None:
        changed(
            self._session,
            update(MessageRow)
            .where(MessageRow.id == message_id)
            .values(unsend_after=func.now() + wake_in, unsend_tries=0, error_code=None),
        )

    def others(self, connection_id: ConnectionId) -> bool:
        found = self._session.scalar(
            select(MessageRow.id)
            .where(MessageRow.unsend_after.is_not(None), MessageRow.connection_id == connection_id)
            .limit(1)
        )
        return found is not None

    def get(self, message_id: MessageId) -> Unsend | None:
        found = self._session.execute(
            select(MessageRow, ConnectionRow, FanRow.platform_user_id)
            .join(ConnectionRow, ConnectionRow.id == MessageRow.connection_id)
            .join(FanRow, FanRow.id == MessageRow.fan_id)
            .where(
                MessageRow.id == message_id,
                MessageRow.unsend_after.is_not(None),
                MessageRow.platform_message_id.is_not(None),
                ConnectionRow.state == "active",
                FanRow.platform_user_id.is_not(None),
            )
            .execution_options(populate_existing=True)
        ).one_or_none()
        if found is None:
            return None
        row, connection, platform_user_id = found
        assert platform_user_id is not None
        assert row.platform_message_id is not None
        return Unsend(
            message=message_of(row),
            account=Account(connection.account_id, self._cipher.decrypt(connection.access_key)),
            platform_user_id=platform_user_id,
            platform_message_id=row.platform_message_id,
            tries=row.unsend_tries,
            sent_at=row.sent_at or row.created_at,
            is_purchased=row.purchased_at is not None,
        )

    def forget(self, message_id: MessageId, error_code: str | None, detail: str | None) -> None:
        changed(
            self._session,
            update(MessageRow)
            .where(MessageRow.id == message_id, MessageRow.unsend_after.is_not(None))
            .values(unsend_after=None, error_code=error_code, error_detail=detail),
        )

    def put_off(self, message_id: MessageId, wake_in: timedelta) -> None:
        changed(
            self._session,
            update(MessageRow)
            .where(MessageRow.id == message_id, MessageRow.unsend_after.is_not(None))
            .values(unsend_after=func.now() + wake_in, unsend_tries=MessageRow.unsend_tries + 1),
        )

    def due(self, limit: int, put_off: timedelta) -> Sequence[tuple[MessageId, ConnectionId]]:
        rows = self._session.execute(DUE, {"limit": limit, "put_off": put_off})
        return [(MessageId(row.id), ConnectionId(row.connection_id)) for row in rows]

    def expire(self, limit: int, window: timedelta) -> int:
        values = {"limit": limit, "window": window}
        return changed(self._session, EXPIRE.bindparams(**values))

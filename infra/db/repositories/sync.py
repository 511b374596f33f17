"""When each connection is synchronised, as columns of its row.

`sync_marks` holds the lease and the announcement beside the marks, so one row says it all."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import uuid4

from sqlalchemy import CursorResult, Executable, text
from sqlalchemy.orm import Session

from domain.connections import ConnectionId
from domain.repositories.sync import SyncLease
from infra.cipher import Cipher
from infra.db.repositories.accounts import SqlAccountRepository
from infra.db.repositories.people import SqlConnectionRepository

_READABLE = "state IN ('active', 'paused') AND sync_after <= now()"
_UNTIL = "coalesce((sync_marks #>> '{%s}')::timestamptz, '-infinity') < now()"
_DUE = text(
    f"""
    UPDATE platform_connections
       SET sync_marks = sync_marks || jsonb_build_object('announced', now() + interval '1 minute')
     WHERE id IN (SELECT id FROM platform_connections
                   WHERE {_READABLE} AND {_UNTIL % "announced"} AND {_UNTIL % "lease,until"}
                   ORDER BY sync_after LIMIT :limit FOR UPDATE SKIP LOCKED)
    RETURNING id
    """  # noqa: S608  # parts of our own
)
_BEGIN = text(
    f"""
    UPDATE platform_connections
       SET sync_after = now() + :lease,
           sync_marks = sync_marks || jsonb_build_object(
               'lease', jsonb_build_object('token', CAST(:token AS text), 'until', now() + :lease))
     WHERE id = :id AND {_READABLE} AND {_UNTIL % "lease,until"}
    RETURNING sync_marks
    """  # noqa: S608
)
_SAVE = text(
    """
    UPDATE platform_connections SET sync_marks = sync_marks || CAST(:marks AS jsonb)
     WHERE id = :id AND sync_marks #>> '{lease,token}' = :token
    """
)
# Whoever asked while it ran has set sync_after to an instant that is past.
_FINISH = text(
    """
    UPDATE platform_connections
       SET sync_marks = sync_marks - 'lease' - 'announced',
           sync_after = CASE WHEN sync_after <= now() THEN sync_after ELSE now() + :again_in END,
           sync_error = CAST(:error AS text),
           synced_at = CASE WHEN CAST(:error AS text) IS NULL THEN now() ELSE synced_at END
     WHERE id = :id AND sync_marks #>> '{lease,token}' = :token
    """
)
_ASK = text(
    """
    UPDATE platform_connections
       SET sync_after = now(),
           sync_marks = (sync_marks - 'announced') || jsonb_build_object('asked_at', now())
     WHERE id = :id
    """
)
# Of the fan who is this user of the platform, or of the one that fan was merged into.
_CONVERSATION = text(
    """
    WITH RECURSIVE who AS (
      SELECT id, merged_into, 0 AS steps FROM fans
       WHERE connection_id = :connection AND platform_user_id = :fan AND deleted_at IS NULL
      UNION ALL
      SELECT id, merged_into, 1 FROM fans
       WHERE connection_id = :connection AND platform_user_id = :fan AND merged_into IS NOT NULL
      UNION ALL
      SELECT f.id, f.merged_into, steps + 1 FROM who JOIN fans f ON f.id = who.merged_into
       WHERE steps < 20
    )
    SELECT c.id FROM who JOIN fans f ON f.id = who.id JOIN conversations c ON c.fan_id = f.id
     WHERE f.deleted_at IS NULL AND c.connection_id = :connection
     ORDER BY steps LIMIT 1
       FOR UPDATE OF c
    """
)
_READ = text(
    """
    UPDATE messages SET read = true
     WHERE id IN (SELECT id FROM messages
                   WHERE conversation_id = :conversation AND direction = 'in' AND NOT read
                     AND deleted_at IS NULL AND created_at <= :until
                   ORDER BY created_at DESC, id DESC OFFSET :unread)
    """
)
_COUNT = text(
    """
    UPDATE conversations
       SET unread_count = (SELECT count(*) FROM messages
                            WHERE conversation_id = :conversation AND direction = 'in' AND NOT read
                              AND deleted_at IS NULL)
     WHERE id = :conversation
    """
)


class SqlSyncRepository:
    """SyncRepository on PostgreSQL."""

    def __init__(self, session: Session, cipher: Cipher) -> None:
        self._session = session
        self._accounts = SqlAccountRepository(session, cipher)
        self._connections = SqlConnectionRepository(session)

    def due(self, limit: int) -> Sequence[ConnectionId]:
        found = self._session.scalars(_DUE, {"limit": limit})
        return [ConnectionId(one) for one in sorted(found)]

    def begin(self, connection_id: ConnectionId, lease: timedelta) -> SyncLease | None:
        token = uuid4().hex
        values = {"id": connection_id, "lease": lease, "token": token}
        found = self._session.execute(_BEGIN, values).one_or_none()
        if found is None:
            return None
        connection = self._connections.lock(connection_id)
        return SyncLease(connection, self._accounts.of(connection_id), found.sync_marks, token)

    def save(self, lease: SyncLease, marks: Mapping[str, Any]) -> bool:
        values = {"id": lease.connection.id, "token": lease.token, "marks": json.dumps(marks)}
        return self._changed(_SAVE, values) == 1

    def finish(self, lease: SyncLease, again_in: timedelta, error: str | None) -> None:
        values = {"id": lease.connection.id, "token": lease.token}
        self._changed(_FINISH, {**values, "again_in": again_in, "error": error})

    def ask(self, connection_id: ConnectionId) -> None:
        self._session.execute(_ASK, {"id": connection_id})

    def read_elsewhere(
        self, connection_id: ConnectionId, platform_user_id: str, until: datetime, unread: int
    ) -> None:
        values = {"connection": connection_id, "fan": platform_user_id}
        conversation = self._session.scalar(_CONVERSATION, values)
        if conversation is None:
            return
        changed = self._changed(
            _READ, {"conversation": conversation, "until": until, "unread": unread}
        )
        if changed:
            self._session.execute(_COUNT, {"conversation": conversation})

    def _changed(self, statement: Executable, values: Mapping[str, object]) -> int:
        done = self._session.execute(statement, dict(values))
        return cast("CursorResult[object]", done).rowcount

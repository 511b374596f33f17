"""Conversations as rows."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from domain.connections import ConnectionId
from domain.conversations import (
    PREVIEW_LENGTH,
    Conversation,
    ConversationFilter,
    ConversationId,
    Correspondent,
    Direction,
    FanPanel,
    Preview,
    VaultFile,
)
from domain.fans import FanId
from domain.paging import Page
from domain.ports import Account
from domain.repositories.conversations import ReadMark
from domain.users import OwnerId
from infra.cipher import Cipher
from infra.db.repositories.conversation_search import ConversationSearch
from infra.db.repositories.cursors import instant, read_cursor, whole, write_cursor
from infra.db.repositories.fan_panel import panel_of
from infra.db.repositories.rows import changed
from infra.db.tables import ConnectionRow, ConversationRow, FanRow

PREVIEWS = text(
    """
    SELECT asked.id AS conversation_id, m.id, m.direction, left(m.text, :length) AS text,
      m.created_at, m.state
    FROM unnest(cast(:ids AS bigint[])) AS asked(id)
    CROSS JOIN LATERAL (
      SELECT * FROM messages m WHERE m.conversation_id = asked.id
      ORDER BY m.created_at DESC, m.id DESC LIMIT 1) m
    """
)
# Of the newest messages only: an account has sent millions.
FILES = text(
    """
    SELECT file ->> 'type' AS type, file ->> 'url' AS url, count(DISTINCT m.fan_id) AS fans,
      count(DISTINCT m.fan_id) FILTER (WHERE m.purchased_at IS NOT NULL) AS buyers
    FROM (
      SELECT id, fan_id, attachments, created_at, purchased_at, state FROM messages
      WHERE connection_id = :connection_id AND user_id = :owner_id
      ORDER BY created_at DESC, id DESC LIMIT 1000) m
    CROSS JOIN LATERAL jsonb_array_elements(m.attachments) file
    WHERE m.state IN ('sent', 'delivered')
    GROUP BY file ->> 'type', file ->> 'url'
    ORDER BY max(m.created_at) DESC, max(m.id) DESC LIMIT :limit
    """
)
READ = text(
    """
    WITH seen AS (
      UPDATE messages SET read = true
      WHERE conversation_id = :id AND direction = 'in' AND NOT read
      RETURNING id
    )
    UPDATE conversations SET unread_count = 0, read_at = now(), tell_read_after = now() + :tell_in
    WHERE id = :id AND user_id = :owner_id
      AND (unread_count > 0 OR EXISTS (SELECT FROM seen))
    """
)
UNREAD = text(
    """
    WITH newest AS (
      SELECT id, read FROM messages
      WHERE conversation_id = :id AND direction = 'in' AND deleted_at IS NULL
      ORDER BY created_at DESC, id DESC LIMIT 1
    ), marked AS (
      UPDATE messages m SET read = false FROM newest
      WHERE m.id = newest.id AND newest.read AND NOT EXISTS (
        SELECT FROM messages WHERE conversation_id = :id AND direction = 'in' AND NOT read
          AND deleted_at IS NULL)
      RETURNING m.id
    )
    UPDATE conversations SET
      tell_read_after = NULL,
      unread_count = (SELECT count(*) FROM marked) + (
        SELECT count(*) FROM messages WHERE conversation_id = :id AND direction = 'in' AND NOT read
          AND deleted_at IS NULL)
    WHERE id = :id AND user_id = :owner_id
    """
)
# Put off by as long as it has waited already: ever longer, and without a count of tries.
TO_TELL = text(
    """
    WITH due AS (
      SELECT c.id FROM conversations c JOIN platform_connections p ON p.id = c.connection_id
      WHERE c.tell_read_after <= now() AND (p.state = 'active' OR c.read_at < now() - :give_up)
      ORDER BY c.tell_read_after LIMIT :limit
      FOR NO KEY UPDATE OF c SKIP LOCKED
    )
    UPDATE conversations c SET tell_read_after = CASE WHEN c.read_at >= now() - :give_up
      THEN now() + greatest(:soonest, now() - c.read_at) END
    FROM due WHERE c.id = due.id
    RETURNING c.id, c.connection_id, c.tell_read_after IS NOT NULL AS is_due
    """
)


def _place(cursor: str) -> list[Any]:
    return read_cursor(cursor, "conversations", instant, whole, whole, whole)


class SqlConversationRepository:
    """ConversationRepository on PostgreSQL."""

    def __init__(self, session: Session, cipher: Cipher) -> None:
        self._session = session
        self._cipher = cipher

    # Lists

    def page(
        self,
        owner_id: OwnerId,
        asked: ConversationFilter,
        limit: int,
        cursor: str | None,
        now: datetime,
        *,
        until: str | None = None,
    ) -> Page[Conversation]:
        ends_at = None if until is None else _place(until)[:2]
        search = ConversationSearch(self._session, owner_id, asked, now, ends_at)
        if cursor is None:
            total, most, found = search.first(limit + 1)
        else:
            # The total is told as it was on the first page: counting again would cost as much.
            *last, total, most = _place(cursor)
            found = search.behind(last, limit + 1, are_many=total > most)
        page = self.of(found[:limit])
        more = len(found) > limit
        return Page(
            page,
            min(total, most),
            is_capped=total > most,
            next_cursor=write_cursor(
                "conversations", page[-1].last_message_at, page[-1].id, total, most
            )
            if more
            else None,
        )

    def count(self, owner_id: OwnerId, asked: ConversationFilter, up_to: int, now: datetime) -> int:
        return ConversationSearch(self._session, owner_id, asked, now).count(up_to)

    def of(self, conversation_ids: Sequence[int]) -> Sequence[Conversation]:
        """These conversations, in this order."""
        if not conversation_ids:
            return []
        rows = self._session.execute(
            select(ConversationRow, FanRow)
            .join(FanRow, FanRow.id == ConversationRow.fan_id)
            .where(ConversationRow.id.in_(conversation_ids))
            .execution_options(populate_existing=True)
        )
        previews = self._previews(conversation_ids)
        known = {row.id: conversation_of(row, fan, previews.get(row.id)) for row, fan in rows}
        return [known[one] for one in conversation_ids if one in known]

    def _previews(self, conversation_ids: Sequence[int]) -> Mapping[int, Preview]:
        rows = self._session.execute(
            PREVIEWS, {"ids": list(conversation_ids), "length": PREVIEW_LENGTH}
        )
        return {
            row.conversation_id: Preview(
                row.id, Direction(row.direction), row.text, row.created_at, row.state
            )
            for row in rows
        }

    # One

    def get(self, owner_id: OwnerId, conversation_id: ConversationId) -> Conversation | None:
        if self.addressee(owner_id, conversation_id) is None:
            return None
        [found] = self.of([conversation_id])
        return found

    def addressee(self, owner_id: OwnerId, conversation_id: ConversationId) -> FanId | None:
        found = self._session.scalar(
            select(ConversationRow.fan_id).where(
                ConversationRow.id == conversation_id, ConversationRow.user_id == owner_id
            )
        )
        return None if found is None else FanId(found)

    def files(
        self, owner_id: OwnerId, connection_id: ConnectionId, limit: int
    ) -> Sequence[VaultFile]:
        values = {"owner_id": owner_id, "connection_id": connection_id, "limit": limit}
        return [
            VaultFile(row.type, row.url, row.fans, row.buyers)
            for row in self._session.execute(FILES, values)
        ]

    def of_fan(self, owner_id: OwnerId, fan_id: FanId) -> Sequence[Conversation]:
        ids = self._session.scalars(
            select(ConversationRow.id)
            .where(ConversationRow.fan_id == fan_id, ConversationRow.user_id == owner_id)
            .order_by(ConversationRow.last_message_at.desc().nulls_last(), ConversationRow.id)
        )
        return self.of(ids.all())

    def panel(self, owner_id: OwnerId, fan_id: FanId) -> FanPanel:
        return panel_of(self._session, owner_id, fan_id)

    # Read marks

    def read(self, owner_id: OwnerId, conversation_id: ConversationId, tell_in: timedelta) -> bool:
        values = {"id": conversation_id, "owner_id": owner_id, "tell_in": tell_in}
        return changed(self._session, READ.bindparams(**values)) > 0

    def unread(self, owner_id: OwnerId, conversation_id: ConversationId) -> None:
        self._session.execute(UNREAD, {"id": conversation_id, "owner_id": owner_id})

    def read_mark(self, conversation_id: ConversationId) -> ReadMark | None:
        found = self._session.execute(
            select(ConversationRow, ConnectionRow, FanRow.platform_user_id)
            .join(ConnectionRow, ConnectionRow.id == ConversationRow.connection_id)
            .join(FanRow, FanRow.id == ConversationRow.fan_id)
            .where(
                ConversationRow.id == conversation_id,
                ConversationRow.tell_read_after.is_not(None),
                ConversationRow.read_at.is_not(None),
                ConnectionRow.state == "active",
                FanRow.platform_user_id.is_not(None),
            )
        ).one_or_none()
        if found is None:
            return None
        row, connection, platform_user_id = found
        assert platform_user_id is not None
        assert row.read_at is not None
        account = Account(connection.account_id, self._cipher.decrypt(connection.access_key))
        return ReadMark(ConversationId(row.id), account, platform_user_id, row.read_at)

    def told(self, mark: ReadMark) -> None:
        changed(
            self._session,
            update(ConversationRow)
            .where(
                ConversationRow.id == mark.conversation_id,
                ConversationRow.read_at == mark.read_at,
            )
            .values(tell_read_after=None),
        )

    def to_tell(
        self, limit: int, soonest: timedelta, give_up: timedelta
    ) -> Sequence[tuple[ConversationId, ConnectionId]]:
        rows = self._session.execute(
            TO_TELL, {"limit": limit, "soonest": soonest, "give_up": give_up}
        )
        return [
            (ConversationId(row.id), ConnectionId(row.connection_id)) for row in rows if row.is_due
        ]


def conversation_of(row: ConversationRow, fan: FanRow, preview: Preview | None) -> Conversation:
    return Conversation(
        id=ConversationId(row.id),
        owner_id=OwnerId(row.user_id),
        connection_id=ConnectionId(row.connection_id),
        platform=row.platform,
        last_message_at=row.last_message_at,
        last_direction=Direction(row.last_direction) if row.last_direction else None,
        unread_count=row.unread_count,
        is_direct=row.is_direct,
        fan=Correspondent(
            id=FanId(fan.id),
            name=fan.name,
            handle=fan.handle,
            avatar=fan.avatar,
            tier=fan.tier,
            value_cents=fan.value_cents,
            tags=tuple(fan.tags),
            subscription=fan.subscription,
            last_seen_at=fan.last_seen_at,
        ),
        last_message=preview,
    )

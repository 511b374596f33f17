"""Fans and messages by the platform's ids, as rows. The caller holds the connection's lock, so one
connection's facts never race each other; people and other connections may."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import and_, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from domain.connections import Connection, ConnectionId
from domain.conversations import ConversationId
from domain.fans import FanId
from domain.inbound import MessageSeen
from domain.messages import MessageId, State
from domain.repositories import Doubtful, HeldMessage, KnownFan
from domain.users import OwnerId
from infra.db.repositories.rows import (
    QUEUED,
    SENDING,
    UNKNOWN,
    attempts_of,
    changed,
    message_of,
)
from infra.db.tables import (
    ConversationRow,
    DeletedMessageRow,
    ErasedFanRow,
    FanChangeRow,
    FanRow,
    MessageRow,
)

# Nothing is written where nothing changed: a written row is news to everybody who polls.
TOUCH = text(
    """
    UPDATE conversations c SET
      last_message_at = n.last_message_at, last_direction = n.last_direction,
      unread_count = n.unread_count, is_direct = n.is_direct
    FROM (
      SELECT c.id, greatest(c.last_message_at, newest.created_at) AS last_message_at,
        newest.direction AS last_direction, c.is_direct OR :is_direct AS is_direct,
        (SELECT count(*) FROM messages WHERE conversation_id = c.id AND direction = 'in'
          AND NOT read AND deleted_at IS NULL) AS unread_count
      FROM conversations c CROSS JOIN LATERAL (
        SELECT created_at, direction FROM messages WHERE conversation_id = c.id
        ORDER BY created_at DESC, direction, id DESC LIMIT 1
      ) newest
      WHERE c.id = :id
    ) n
    WHERE c.id = n.id AND (c.last_message_at, c.last_direction, c.unread_count, c.is_direct)
      IS DISTINCT FROM (n.last_message_at, n.last_direction, n.unread_count, n.is_direct)
    """
)


def known_fan(row: FanRow) -> KnownFan:
    return KnownFan(
        id=FanId(row.id),
        owner_id=OwnerId(row.user_id),
        connection_id=None if row.connection_id is None else ConnectionId(row.connection_id),
        platform_user_id=row.platform_user_id,
        name=row.name,
        handle=row.handle,
        avatar=row.avatar,
        last_seen_at=row.last_seen_at,
        subscription=row.subscription,
        subscription_ends_at=row.subscription_ends_at,
        told=row.told,
        deleted_at=row.deleted_at,
        merged_into=None if row.merged_into is None else FanId(row.merged_into),
    )


class SqlInboundRepository:
    """InboundRepository on PostgreSQL."""

    def __init__(self, session: Session) -> None:
        self._session = session

    # Fans

    def fan(self, connection_id: ConnectionId, platform_user_id: str) -> KnownFan | None:
        is_it = (
            FanRow.connection_id == connection_id,
            FanRow.platform_user_id == platform_user_id,
        )
        return (
            self._fan(*is_it, FanRow.deleted_at.is_(None))
            # Before one that a person deleted: it leads to the fan that was kept.
            or self._fan(*is_it, FanRow.merged_into.is_not(None))
            or self._fan(*is_it, FanRow.deleted_at.is_not(None))
        )

    def fan_by_id(self, fan_id: FanId) -> KnownFan | None:
        return self._fan(FanRow.id == fan_id)

    def fan_by_handle(self, owner_id: OwnerId, platform: str, handle: str) -> KnownFan | None:
        return self._fan(
            FanRow.user_id == owner_id,
            FanRow.platform == platform,
            func.lower(FanRow.handle) == func.lower(handle),
            FanRow.deleted_at.is_(None),
        )

    def lock_fans(self, connection_id: ConnectionId, platform_user_ids: Collection[str]) -> None:
        self._session.execute(
            select(FanRow.id)
            .where(
                FanRow.connection_id == connection_id,
                FanRow.platform_user_id.in_(platform_user_ids),
                FanRow.deleted_at.is_(None),
            )
            .order_by(FanRow.id)
            .with_for_update(key_share=True)
        )

    def erased_at(self, connection_id: ConnectionId, platform_user_id: str) -> datetime | None:
        return self._session.scalar(
            select(ErasedFanRow.erased_at).where(
                ErasedFanRow.connection_id == connection_id,
                ErasedFanRow.platform_user_id == platform_user_id,
            )
        )

    def _fan(self, *where: Any) -> KnownFan | None:
        row = self._session.scalar(
            select(FanRow)
            .where(*where)
            .order_by(FanRow.id.desc())
            .limit(1)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
        return known_fan(row) if row else None

    def add_fan(
        self, connection: Connection, platform_user_id: str, values: Mapping[str, object]
    ) -> KnownFan:
        fan_id = self._session.scalar(
            insert(FanRow)
            .values(
                user_id=connection.owner_id,
                platform=connection.platform,
                connection_id=connection.id,
                platform_user_id=platform_user_id,
                **values,
            )
            .returning(FanRow.id)
        )
        assert fan_id is not None
        made = self.fan_by_id(FanId(fan_id))
        assert made is not None
        return made

    def change_fan(self, fan_id: FanId, values: Mapping[str, object], *, seen_change: bool) -> None:
        more: dict[str, Any] = {}
        if seen_change:
            more = {"version": FanRow.version + 1, "updated_at": func.now()}
        changed(
            self._session,
            update(FanRow).where(FanRow.id == fan_id).values(**values, **more),
        )

    def note_change(
        self, fan: KnownFan, before: Mapping[str, object], after: Mapping[str, object]
    ) -> None:
        self._session.execute(
            insert(FanChangeRow).values(
                user_id=fan.owner_id,
                fan_id=fan.id,
                source="platform",
                before=dict(before),
                after=dict(after),
            )
        )

    # Messages

    def conversation(self, fan: KnownFan, connection: Connection) -> ConversationId:
        is_it = (
            ConversationRow.fan_id == fan.id,
            ConversationRow.connection_id == connection.id,
        )
        found = self._session.scalar(select(ConversationRow.id).where(*is_it))
        if found is None:
            self._session.execute(
                insert(ConversationRow)
                .values(
                    user_id=fan.owner_id,
                    fan_id=fan.id,
                    connection_id=connection.id,
                    platform=connection.platform,
                )
                .on_conflict_do_nothing()
            )
            found = self._session.scalar(select(ConversationRow.id).where(*is_it))
        assert found is not None
        return ConversationId(found)

    def message(self, connection_id: ConnectionId, platform_id: str) -> HeldMessage | None:
        row = self._session.execute(
            select(
                MessageRow.id,
                MessageRow.direction,
                MessageRow.state,
                MessageRow.fan_id,
                MessageRow.conversation_id,
                MessageRow.price_cents,
            )
            .where(
                MessageRow.connection_id == connection_id,
                MessageRow.platform_message_id == platform_id,
            )
            .with_for_update(key_share=True)
        ).one_or_none()
        if row is None:
            return None
        return HeldMessage(
            MessageId(row.id),
            row.direction,
            row.state,
            FanId(row.fan_id),
            ConversationId(row.conversation_id),
            row.price_cents,
        )

    def add_message(
        self, fan: KnownFan, connection: Connection, conversation: ConversationId, seen: MessageSeen
    ) -> MessageId:
        gone_at = self._deleted_at(connection.id, seen.platform_message_id)
        state = None
        if seen.from_us:
            state = State.UNSENT.value if gone_at else State.DELIVERED.value
        message_id = self._session.scalar(
            insert(MessageRow)
            .values(
                public_id=uuid4(),
                user_id=fan.owner_id,
                connection_id=connection.id,
                conversation_id=conversation,
                fan_id=fan.id,
                direction="out" if seen.from_us else "in",
                text=seen.text,
                price_cents=seen.price_cents or None,
                attachments=[{"type": one.type, "url": one.url} for one in seen.attachments],
                created_at=seen.created_at,
                state=state,
                origin="platform",
                platform_message_id=seen.platform_message_id,
                opened_at=func.now() if seen.from_us and seen.is_opened else None,
                deleted_at=gone_at,
            )
            .returning(MessageRow.id)
        )
        assert message_id is not None
        return MessageId(message_id)

    def _deleted_at(self, connection_id: ConnectionId, platform_id: str) -> datetime | None:
        return self._session.scalar(
            select(DeletedMessageRow.deleted_at).where(
                DeletedMessageRow.connection_id == connection_id,
                DeletedMessageRow.platform_message_id == platform_id,
            )
        )

    def confirm(self, message_id: MessageId, seen: MessageSeen) -> None:
        self._session.execute(
            text(
                """
                UPDATE messages SET
                  state = CASE WHEN state = 'sent' THEN 'delivered' ELSE state END,
                  opened_at = coalesce(opened_at, CASE WHEN :opened THEN now() END)
                WHERE id = :id AND (state = 'sent' OR (:opened AND opened_at IS NULL))
                """
            ),
            {"id": message_id, "opened": seen.is_opened},
        )
        row = self._session.get_one(MessageRow, message_id, populate_existing=True)
        gone_at = self._deleted_at(ConnectionId(row.connection_id), seen.platform_message_id)
        if gone_at is not None:
            self.delete(message_id, gone_at)

    def delete(self, message_id: MessageId, at: datetime) -> None:
        self._session.execute(
            text(
                """
                UPDATE messages SET
                  deleted_at = :at,
                  state = CASE WHEN state IN ('sent', 'delivered') THEN 'unsent' ELSE state END
                WHERE id = :id AND deleted_at IS NULL
                """
            ),
            {"id": message_id, "at": at},
        )

    def remember_deleted(self, connection_id: ConnectionId, platform_id: str, at: datetime) -> None:
        self._session.execute(
            insert(DeletedMessageRow)
            .values(connection_id=connection_id, platform_message_id=platform_id, deleted_at=at)
            .on_conflict_do_nothing()
        )

    def touch(self, conversation_id: ConversationId, *, is_direct: bool) -> None:
        self._session.execute(TOUCH, {"id": conversation_id, "is_direct": is_direct})

    def in_doubt(self, fan_id: FanId) -> Sequence[Doubtful]:
        rows = self._session.scalars(
            select(MessageRow)
            .where(
                MessageRow.fan_id == fan_id,
                or_(
                    MessageRow.state.in_([SENDING, UNKNOWN]),
                    and_(MessageRow.state == QUEUED, MessageRow.attempt_no > 0),
                ),
                MessageRow.platform_message_id.is_(None),
            )
            .order_by(MessageRow.id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        ).all()
        return [
            Doubtful(message_of(row), attempts_of(self._session, MessageId(row.id))) for row in rows
        ]

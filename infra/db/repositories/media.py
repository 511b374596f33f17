"""Media of a connection, and the messages that wait for them, as rows."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from domain.connections import ConnectionId, ConnectionState
from domain.media import MediaId
from domain.messages import Attachment, Delay, Hold, Message, MessageId
from domain.repositories import Staging, StoredMedia
from infra.cipher import Cipher
from infra.db.repositories.rows import QUEUED, attachment_json, changed, message_of
from infra.db.tables import ConnectionRow, MediaRow, MediaSourceRow, MessageRow

# Puts a row off between its event and the worker that takes it.
ANNOUNCED = timedelta(seconds=60)
HELD = (MessageRow.state == QUEUED, MessageRow.hold == Hold.MEDIA.value)
# Where the gateway takes uploads: elsewhere they would only be refused.
STAGES = (ConnectionState.ACTIVE.value, ConnectionState.PAUSED.value)


class SqlMediaRepository:
    """MediaRepository on PostgreSQL."""

    def __init__(self, session: Session, cipher: Cipher) -> None:
        self._session = session
        self._cipher = cipher

    def overdue(self, limit: int) -> Sequence[Message]:
        rows = self._session.scalars(
            select(MessageRow)
            .join(ConnectionRow, ConnectionRow.id == MessageRow.connection_id)
            .where(*HELD, MessageRow.wake_after <= func.now(), ConnectionRow.state.in_(STAGES))
            .order_by(MessageRow.wake_after)
            .limit(limit)
            .with_for_update(of=MessageRow, skip_locked=True, key_share=True)
        ).all()
        self._put_off([row.id for row in rows], ANNOUNCED)
        return [message_of(row) for row in rows]

    def take(self, message_id: MessageId, lease: timedelta) -> Staging | None:
        row = self._session.execute(
            select(MessageRow, ConnectionRow.account_id, ConnectionRow.access_key)
            .join(ConnectionRow, ConnectionRow.id == MessageRow.connection_id)
            .where(MessageRow.id == message_id, *HELD, ConnectionRow.state.in_(STAGES))
            .with_for_update(of=MessageRow, key_share=True)
        ).one_or_none()
        if row is None:
            return None
        self._put_off([message_id], lease)
        message = message_of(row.MessageRow)
        return Staging(message, row.account_id, self._cipher.decrypt(row.access_key))

    def _put_off(self, message_ids: Sequence[int], by: timedelta) -> None:
        if message_ids:
            changed(
                self._session,
                update(MessageRow)
                .where(MessageRow.id.in_(message_ids))
                .values(wake_after=func.now() + by),
            )

    def known(
        self, connection_id: ConnectionId, url_hash: str, kept: timedelta
    ) -> StoredMedia | None:
        row = self._session.scalar(
            select(MediaRow)
            .join(MediaSourceRow, MediaSourceRow.media_id == MediaRow.id)
            .where(
                MediaSourceRow.connection_id == connection_id,
                MediaSourceRow.url_hash == url_hash,
                MediaSourceRow.fetched_at > func.now() - kept,
                or_(MediaRow.vault_id.is_not(None), MediaRow.lease_until > func.now()),
            )
        )
        return _media_of(row) if row else None

    def claim(
        self,
        connection_id: ConnectionId,
        content_hash: str,
        kind: str,
        size: int,
        lease: timedelta,
    ) -> StoredMedia:
        until = func.now() + lease
        ours = self._session.execute(
            insert(MediaRow)
            .values(
                connection_id=connection_id,
                content_hash=content_hash,
                kind=kind,
                bytes=size,
                lease_until=until,
            )
            .on_conflict_do_update(
                index_elements=[MediaRow.connection_id, MediaRow.content_hash],
                set_={"lease_until": until},
                where=and_(MediaRow.vault_id.is_(None), MediaRow.lease_until <= func.now()),
            )
            .returning(MediaRow.id, MediaRow.lease_until)
        ).one_or_none()
        if ours is not None:
            return StoredMedia(MediaId(ours.id), kind, None, ours.lease_until)
        theirs = self._session.scalars(
            select(MediaRow).where(
                MediaRow.connection_id == connection_id, MediaRow.content_hash == content_hash
            )
        ).one()
        return _media_of(theirs)

    def remember(self, connection_id: ConnectionId, url_hash: str, media_id: MediaId) -> None:
        fresh = {"media_id": media_id, "fetched_at": func.now()}
        self._session.execute(
            insert(MediaSourceRow)
            .values(connection_id=connection_id, url_hash=url_hash, **fresh)
            .on_conflict_do_update(
                index_elements=[MediaSourceRow.connection_id, MediaSourceRow.url_hash], set_=fresh
            )
        )

    def stored(self, media_id: MediaId, vault_id: str) -> None:
        changed(
            self._session,
            update(MediaRow)
            .where(MediaRow.id == media_id, MediaRow.vault_id.is_(None))
            .values(vault_id=vault_id, lease_until=None),
        )

    def give_up(self, media: StoredMedia) -> None:
        changed(
            self._session,
            update(MediaRow)
            .where(
                MediaRow.id == media.id,
                MediaRow.vault_id.is_(None),
                MediaRow.lease_until == media.lease,
            )
            .values(lease_until=func.now()),
        )

    def staged(
        self,
        message: Message,
        attachments: Sequence[Attachment],
        *,
        promised_at: datetime | None,
        delay: Delay | None,
        wake_in: timedelta,
    ) -> bool:
        values: dict[str, Any] = {
            "attachments": [attachment_json(one) for one in attachments],
            "hold": None,
            "promised_at": func.coalesce(MessageRow.promised_at, promised_at),
            "estimated_send_at": promised_at,
            "wake_after": func.now() + wake_in,
            "wake_tries": 0,
        }
        if delay is not None:
            values["delay"] = delay
        freed = changed(
            self._session,
            update(MessageRow).where(MessageRow.id == message.id, *HELD).values(values),
        )
        if freed and promised_at is not None:
            self._overtake(message)
        return bool(freed)

    def _overtake(self, message: Message) -> None:
        """Locked in id order and around others, as QueueRepository.overtaken does."""
        after: ColumnElement[bool] = or_(
            MessageRow.priority > message.priority,
            and_(MessageRow.priority == message.priority, MessageRow.id > message.id),
        )
        overtaken = (
            select(MessageRow.id)
            .where(
                MessageRow.connection_id == message.connection_id,
                MessageRow.state == QUEUED,
                MessageRow.hold.is_(None),
                MessageRow.delay.is_(None),
                MessageRow.promised_at.is_not(None),
                after,
            )
            .order_by(MessageRow.id)
            .with_for_update(key_share=True, skip_locked=True)
        )
        changed(
            self._session,
            update(MessageRow).where(MessageRow.id.in_(overtaken)).values(delay=Delay.OVERTAKEN),
        )


def _media_of(row: MediaRow) -> StoredMedia:
    return StoredMedia(MediaId(row.id), row.kind, row.vault_id)

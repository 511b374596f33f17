"""Messages as they are read: rows of both directions, threads and lists."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select, tuple_
from sqlalchemy.orm import Session

from domain.connections import ConnectionId
from domain.conversations import ConversationId, Direction
from domain.fans import FanId
from domain.messages import Attachment, MessageId, PublicId
from domain.paging import TOTAL_MAX, Page
from domain.threads import Changes, MessageFilter, Stretch, ThreadMessage
from domain.users import OwnerId
from infra.cipher import Cipher
from infra.db.repositories import deltas
from infra.db.repositories.conversation_search import plan_for_these_values
from infra.db.repositories.conversations import SqlConversationRepository
from infra.db.repositories.cursors import instant, read_cursor, whole, write_cursor
from infra.db.repositories.merges import family
from infra.db.repositories.message_search import Search, words_of
from infra.db.repositories.rows import message_of
from infra.db.tables import MessageRow

KEY = tuple_(MessageRow.created_at, MessageRow.id)
NEWEST_FIRST = (MessageRow.created_at.desc(), MessageRow.id.desc())
OLDEST_FIRST = (MessageRow.created_at, MessageRow.id)


class SqlThreadRepository:
    """ThreadRepository on PostgreSQL."""

    def __init__(self, session: Session, cipher: Cipher) -> None:
        self._session = session
        self._conversations = SqlConversationRepository(session, cipher)

    # A thread

    def newest(
        self, owner_id: OwnerId, conversation_id: ConversationId, limit: int, cursor: str | None
    ) -> Stretch:
        thread = _thread(owner_id, conversation_id)
        before = thread
        if cursor is not None:
            before = thread.where(_place(cursor) > KEY)
        rows = self._rows(before.order_by(*NEWEST_FIRST).limit(limit + 1))
        return self._stretch(thread, rows[:limit][::-1], has_older=len(rows) > limit)

    def after(
        self, owner_id: OwnerId, conversation_id: ConversationId, limit: int, cursor: str
    ) -> Stretch:
        thread = _thread(owner_id, conversation_id)
        rows = self._rows(thread.where(_place(cursor) < KEY).order_by(*OLDEST_FIRST).limit(limit))
        return self._stretch(thread, rows, has_older=bool(rows), newer=cursor)

    def around(
        self, owner_id: OwnerId, conversation_id: ConversationId, limit: int, message_id: MessageId
    ) -> Stretch | None:
        thread = _thread(owner_id, conversation_id)
        middle = self._session.scalar(thread.where(MessageRow.id == message_id))
        if middle is None:
            return None
        place, half = tuple_(middle.created_at, middle.id), limit // 2
        before = self._rows(thread.where(place > KEY).order_by(*NEWEST_FIRST).limit(half + 1))
        behind = self._rows(
            thread.where(place <= KEY).order_by(*OLDEST_FIRST).limit(max(1, limit - half))
        )
        return self._stretch(thread, [*before[:half][::-1], *behind], has_older=len(before) > half)

    def _stretch(
        self,
        thread: Select[Any],
        rows: Sequence[MessageRow],
        *,
        has_older: bool,
        newer: str | None = None,
    ) -> Stretch:
        total = self._count(thread, TOTAL_MAX + 1)
        return Stretch(
            [thread_message_of(row) for row in rows],
            min(total, TOTAL_MAX),
            is_capped=total > TOTAL_MAX,
            older=_cursor(rows[0]) if rows and has_older else None,
            newer=_cursor(rows[-1]) if rows else newer,
        )

    def find(self, owner_id: OwnerId, message: int | UUID) -> ThreadMessage | None:
        column = MessageRow.public_id if isinstance(message, UUID) else MessageRow.id
        row = self._session.scalar(
            select(MessageRow)
            .where(column == message, MessageRow.user_id == owner_id)
            .execution_options(populate_existing=True)
        )
        return thread_message_of(row) if row else None

    # Across conversations

    def page(
        self, owner_id: OwnerId, asked: MessageFilter, limit: int, cursor: str | None
    ) -> Page[ThreadMessage]:
        plan_for_these_values(self._session)
        where = _conditions(owner_id, asked)
        if asked.fan_id is not None:
            # With what was said to fans that were merged into it.
            where.append(MessageRow.fan_id.in_(family(self._session, asked.fan_id)))
        place = [tuple_(*read_cursor(cursor, "messages", instant, whole)) > KEY] if cursor else []
        if asked.q is None:
            ids = select(MessageRow.id).where(*where, *place).order_by(*NEWEST_FIRST)
            found: Sequence[int] = self._session.scalars(ids.limit(limit + 1)).all()
            total, most = self._count(select(MessageRow).where(*where), TOTAL_MAX + 1), TOTAL_MAX
        else:
            search = Search(self._session, where, words_of(asked.q))
            found, total, most = search.page(place, limit)
        rows = self._by_id(found[:limit])
        more = len(found) > limit
        return Page(
            [thread_message_of(row) for row in rows],
            min(total, most),
            is_capped=total > most,
            next_cursor=write_cursor("messages", rows[-1].created_at, rows[-1].id)
            if more and rows
            else None,
        )

    # What changed

    def token(self) -> str:
        return deltas.token(self._session)

    def changes(self, owner_id: OwnerId, token: str, limit: int) -> Changes:
        plan_for_these_values(self._session)
        found = deltas.read(self._session, owner_id, token, limit)
        return Changes(
            [thread_message_of(row) for row in self._by_id(found.messages)],
            self._conversations.of(found.conversations),
            found.token,
            found.is_more,
        )

    def _by_id(self, message_ids: Sequence[int]) -> Sequence[MessageRow]:
        """These rows, in this order."""
        if not message_ids:
            return []
        rows = self._rows(select(MessageRow).where(MessageRow.id.in_(message_ids)))
        known = {row.id: row for row in rows}
        return [known[one] for one in message_ids if one in known]

    def _rows(self, query: Select[Any]) -> Sequence[MessageRow]:
        return self._session.scalars(query.execution_options(populate_existing=True)).all()

    def _count(self, query: Select[Any], up_to: int) -> int:
        some = query.with_only_columns(MessageRow.id).limit(up_to).subquery()
        return self._session.scalar(select(func.count()).select_from(some)) or 0


def _thread(owner_id: OwnerId, conversation_id: ConversationId) -> Select[Any]:
    return select(MessageRow).where(
        MessageRow.conversation_id == conversation_id, MessageRow.user_id == owner_id
    )


def _conditions(owner_id: OwnerId, asked: MessageFilter) -> list[ColumnElement[bool]]:
    row = MessageRow
    where: list[ColumnElement[bool]] = [row.user_id == owner_id]
    if asked.direction is Direction.IN:
        # Incoming messages are those without a state, and so they are found by its index.
        where.append(row.state.is_(None))
    if asked.direction is Direction.OUT:
        where.append(row.direction == "out")
    if asked.state is not None:
        where.append(row.state == asked.state.value)
    if asked.connection_id is not None:
        where.append(row.connection_id == asked.connection_id)
    if asked.since is not None:
        where.append(row.created_at >= asked.since)
    if asked.until is not None:
        where.append(row.created_at <= asked.until)
    return where


def _place(cursor: str) -> Any:
    return tuple_(*read_cursor(cursor, "thread", instant, whole))


def _cursor(row: MessageRow) -> str:
    return write_cursor("thread", row.created_at, row.id)


def thread_message_of(row: MessageRow) -> ThreadMessage:
    return ThreadMessage(
        id=MessageId(row.id),
        public_id=PublicId(row.public_id),
        owner_id=OwnerId(row.user_id),
        connection_id=ConnectionId(row.connection_id),
        conversation_id=ConversationId(row.conversation_id),
        fan_id=FanId(row.fan_id),
        direction=Direction(row.direction),
        text=row.text,
        price_cents=row.price_cents,
        read=row.read,
        attachments=tuple(Attachment(item["type"], item["url"]) for item in row.attachments),
        sent_by_ai=row.sent_by_ai,
        created_at=row.created_at,
        opened_at=row.opened_at,
        purchased_at=row.purchased_at,
        deleted_at=row.deleted_at,
        is_unsending=row.unsend_after is not None,
        outgoing=message_of(row) if row.state is not None else None,
    )

"""Conversations as rows.

A filter that only few fans pass would make the walk along the newest conversations a long one. So
the matching ones are collected first, as far as a total is counted: if those are all, they are
sorted; if there are more, the walk soon has its page.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, func, literal, or_, select, text, true, tuple_, update
from sqlalchemy.orm import Session

from domain.connections import ConnectionId
from domain.conversations import (
    ONLINE,
    PREVIEW_LENGTH,
    Conversation,
    ConversationFilter,
    ConversationId,
    Correspondent,
    Direction,
    FanPanel,
    Preview,
)
from domain.fans import FanId
from domain.paging import TOTAL_MAX, Page
from domain.ports import Account
from domain.repositories.conversations import ReadMark
from domain.users import OwnerId
from infra.cipher import Cipher
from infra.db.repositories.cursors import instant, read_cursor, whole, write_cursor
from infra.db.repositories.fan_panel import panel_of
from infra.db.repositories.rows import changed
from infra.db.tables import ConnectionRow, ConversationRow, FanRow, MessageRow

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
      SELECT id, read FROM messages WHERE conversation_id = :id AND direction = 'in'
      ORDER BY created_at DESC, id DESC LIMIT 1
    ), marked AS (
      UPDATE messages m SET read = false FROM newest
      WHERE m.id = newest.id AND newest.read AND NOT EXISTS (
        SELECT FROM messages WHERE conversation_id = :id AND direction = 'in' AND NOT read)
      RETURNING m.id
    )
    UPDATE conversations SET
      tell_read_after = NULL,
      unread_count = (SELECT count(*) FROM marked) + (
        SELECT count(*) FROM messages WHERE conversation_id = :id AND direction = 'in' AND NOT read)
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
TRIGRAM = 3
Hits = Select[int, datetime | None]
# Filters on fans are counted no further: behind them stand two tables.
FAN_TOTAL_MAX = 1_000
# A plan for all values would suit no filter. Pages are in memory or on flash: an index may be
# walked as cheaply as a table is read, and pages of lists are no work for several processes.
FOR_THESE_VALUES = text(
    """
    SELECT set_config('plan_cache_mode', 'force_custom_plan', true),
      set_config('random_page_cost', '1.1', true),
      set_config('max_parallel_workers_per_gather', '0', true)
    """
)


def plan_for_these_values(session: Session) -> None:
    """Plan each query of this transaction anew, and for a page of it."""
    session.execute(FOR_THESE_VALUES)


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
    ) -> Page[Conversation]:
        plan_for_these_values(self._session)
        last = None if cursor is None else read_cursor(cursor, "conversations", instant, whole)
        hits = _matching(owner_id, asked, now)
        if asked.failed or _fan_conditions(owner_id, asked, now):
            most = FAN_TOTAL_MAX
            total, found = self._collect(hits, last, most, limit + 1)
            if total > most:
                found = self._walk(hits, last, limit + 1)
        else:
            most = TOTAL_MAX
            total = self._total(owner_id, asked, hits)
            found = self._walk(hits, last, limit + 1)
        page = self.of(found[:limit])
        more = len(found) > limit
        return Page(
            page,
            min(total, most),
            is_capped=total > most,
            next_cursor=write_cursor("conversations", page[-1].last_message_at, page[-1].id)
            if more
            else None,
        )

    def _total(self, owner_id: OwnerId, asked: ConversationFilter, hits: Hits) -> int:
        """How many there are, up to one more than TOTAL_MAX. Those of deleted fans are left out by
        looking at each fan, which only lists that are short enough to be told exactly are worth."""
        roughly = self._counted(_owned(owner_id, asked).limit(TOTAL_MAX + 1))
        return roughly if roughly > TOTAL_MAX else self._counted(hits.limit(TOTAL_MAX + 1))

    def _counted(self, query: Hits) -> int:
        return self._session.scalar(select(func.count()).select_from(query.subquery())) or 0

    def _collect(
        self, hits: Hits, last: Sequence[Any] | None, most: int, limit: int
    ) -> tuple[int, Sequence[int]]:
        """How many there are, up to one more than `most`, and the page if that is all of them."""
        some = hits.limit(most + 1).cte("some").prefix_with("MATERIALIZED", dialect="postgresql")
        counted = select(func.count()).select_from(some).scalar_subquery()
        page = select(some.c.id, some.c.last_message_at)
        if last is not None:
            page = page.where(tuple_(some.c.last_message_at, some.c.id) < tuple_(*last))
        page = page.order_by(some.c.last_message_at.desc(), some.c.id.desc()).limit(limit)
        shown = page.subquery("shown")
        # One row also where the page is empty: the total is asked for in any case.
        rows = self._session.execute(
            select(counted.label("total"), shown.c.id)
            .select_from(select(literal(1)).subquery("once").outerjoin(shown, true()))
            .order_by(shown.c.last_message_at.desc(), shown.c.id.desc())
        ).all()
        return rows[0].total, [row.id for row in rows if row.id is not None]

    def _walk(self, hits: Hits, last: Sequence[Any] | None, limit: int) -> Sequence[int]:
        key = tuple_(ConversationRow.last_message_at, ConversationRow.id)
        if last is not None:
            hits = hits.where(key < tuple_(*last))
        newest_first = (ConversationRow.last_message_at.desc(), ConversationRow.id.desc())
        return self._session.scalars(
            hits.with_only_columns(ConversationRow.id).order_by(*newest_first).limit(limit)
        ).all()

    def count(self, owner_id: OwnerId, asked: ConversationFilter, up_to: int, now: datetime) -> int:
        plan_for_these_values(self._session)
        return self._counted(_matching(owner_id, asked, now).limit(up_to))

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


def _owned(owner_id: OwnerId, asked: ConversationFilter) -> Hits:
    """The ids and sort keys of the conversations that fit by themselves, whoever the fan is."""
    return select(ConversationRow.id, ConversationRow.last_message_at).where(
        ConversationRow.user_id == owner_id,
        ConversationRow.last_message_at.is_not(None),
        *_own_conditions(owner_id, asked),
    )


def _matching(owner_id: OwnerId, asked: ConversationFilter, now: datetime) -> Hits:
    """The ids and sort keys of the conversations that fit."""
    return (
        _owned(owner_id, asked)
        .join(FanRow, FanRow.id == ConversationRow.fan_id)
        .where(FanRow.deleted_at.is_(None), *_fan_conditions(owner_id, asked, now))
    )


def _own_conditions(owner_id: OwnerId, asked: ConversationFilter) -> list[Any]:
    row = ConversationRow
    where: list[Any] = []
    if asked.direct is not False:
        where.append(row.is_direct)
    if asked.unread:
        where.append(row.unread_count > 0)
    if asked.unreplied:
        where.append(row.last_direction == "in")
    if asked.platform is not None:
        where.append(row.platform == asked.platform)
    if asked.connection_id is not None:
        where.append(row.connection_id == asked.connection_id)
    if asked.since is not None:
        where.append(row.last_message_at >= asked.since)
    if asked.until is not None:
        where.append(row.last_message_at <= asked.until)
    if asked.failed:
        where.append(
            row.id.in_(
                select(MessageRow.conversation_id).where(
                    MessageRow.user_id == owner_id, MessageRow.state == "failed"
                )
            )
        )
    return where


def _fan_conditions(owner_id: OwnerId, asked: ConversationFilter, now: datetime) -> list[Any]:
    where: list[Any] = []
    if asked.min_spend_cents is not None:
        where.append(FanRow.value_cents >= asked.min_spend_cents)
    if asked.tier is not None:
        where.append(FanRow.tier == asked.tier)
    if asked.tag is not None:
        where.append(FanRow.tags.contains([asked.tag]))
    if asked.online:
        # Spelled as in its index; and once more plainly, as the planner knows how few they are.
        seen = func.coalesce(FanRow.last_seen_at, func.to_timestamp(text("0")))
        where += [seen >= now - ONLINE, FanRow.last_seen_at >= now - ONLINE]
    if asked.with_tips:
        where.append(FanRow.tips_cents > 0)
    if asked.q:
        where.append(_named(asked.q.lower()))
    if where:
        where.append(FanRow.user_id == owner_id)
    return where


def _named(part: str) -> ColumnElement[bool]:
    """Any part of a name or handle; of less than three letters, which the index does not know by
    themselves, only the beginning of a word."""
    if len(part) >= TRIGRAM:
        return FanRow.search.contains(part, autoescape=True)
    return or_(
        FanRow.search.startswith(part, autoescape=True),
        FanRow.search.contains(f" {part}", autoescape=True),
        FanRow.search.contains(f"@{part}", autoescape=True),
    )


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

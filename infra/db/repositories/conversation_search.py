"""Which conversations a filter picks, newest first, among hundreds of thousands.

A filter that only few fans pass would make the walk along the newest conversations a long one. So
the walk is a short one: if it fills the page, that is the page, and the total is what it met. If
not, so few match that they can be collected and sorted. The walk for a name is shorter: its index
collects fast.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, literal, or_, select, text, true, tuple_
from sqlalchemy.orm import Session

from domain.conversations import ONLINE, ConversationFilter
from domain.paging import SEARCH_TOTAL_MAX, TOTAL_MAX
from domain.users import OwnerId
from infra.db.tables import ConversationRow, FanRow, MessageRow

TRIGRAM = 3
Hits = Select[int, datetime | None]
NEWEST_FIRST = (ConversationRow.last_message_at.desc(), ConversationRow.id.desc())
row_place = tuple_(ConversationRow.last_message_at, ConversationRow.id)
# How many conversations a walk looks at, each with its fan: some tens of milliseconds.
WALK, NAME_WALK = 10_000, 5_000
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


class ConversationSearch:
    """One owner's conversations that fit one filter, down to a place in the list where one is
    given."""

    def __init__(
        self,
        session: Session,
        owner_id: OwnerId,
        asked: ConversationFilter,
        now: datetime,
        ends_at: Sequence[Any] | None = None,
    ) -> None:
        plan_for_these_values(session)
        self._session = session
        self._has_failed = bool(asked.failed)
        self._window = NAME_WALK if asked.q else WALK
        self._fans = fan_conditions(owner_id, asked, now)
        # Those that fit by themselves, whoever the fan is; and those whose fan fits too.
        self._owned = select(ConversationRow.id, ConversationRow.last_message_at).where(
            ConversationRow.user_id == owner_id,
            ConversationRow.last_message_at.is_not(None),
            *own_conditions(owner_id, asked),
        )
        if ends_at is not None:
            self._owned = self._owned.where(row_place >= tuple_(*ends_at))
        self._hits = self._owned.join(FanRow, FanRow.id == ConversationRow.fan_id).where(
            FanRow.deleted_at.is_(None), *self._fans
        )

    def first(self, limit: int) -> tuple[int, int, Sequence[int]]:
        """How many there are, how far that was counted, and the ids of the first `limit`."""
        if self._has_failed:
            return self._collect(None, limit)
        if not self._fans:
            return self._total(), TOTAL_MAX, self._walk(None, limit)
        met = self._meet(SEARCH_TOTAL_MAX + 1)
        if self._counted(self._owned.limit(self._window + 1)) <= self._window:
            return len(met), SEARCH_TOTAL_MAX, met[:limit]
        if len(met) < limit:
            return self._collect(None, limit)
        return len(met), min(len(met) - 1, SEARCH_TOTAL_MAX), met[:limit]

    def behind(self, last: Sequence[Any], limit: int, *, are_many: bool) -> Sequence[int]:
        """The first `limit` ids behind a place in the list. `are_many`: more than were counted, so
        that a walk is a short one."""
        if are_many or not (self._fans or self._has_failed):
            return self._walk(last, limit)
        return self._collect(last, limit)[2]

    def count(self, up_to: int) -> int:
        """How many there are, up to so many."""
        return self._counted(self._hits.limit(up_to))

    def _total(self) -> int:
        """How many there are, up to one more than TOTAL_MAX. Those of deleted fans are left out by
        looking at each fan, which only lists that are short enough to be told exactly are worth."""
        roughly = self._counted(self._owned.limit(TOTAL_MAX + 1))
        return roughly if roughly > TOTAL_MAX else self.count(TOTAL_MAX + 1)

    def _counted(self, query: Hits) -> int:
        return self._session.scalar(select(func.count()).select_from(query.subquery())) or 0

    def _meet(self, limit: int) -> Sequence[int]:
        """The first whose fans fit among the newest conversations, as far as a walk goes."""
        columns = (ConversationRow.id, ConversationRow.last_message_at, ConversationRow.fan_id)
        walk = self._owned.with_only_columns(*columns).order_by(*NEWEST_FIRST)
        newest = (
            walk.limit(self._window).cte("newest").prefix_with("MATERIALIZED", dialect="postgresql")
        )
        # The offset keeps the planner from reading every fan that fits before it looks who talks.
        fan = select(literal(1).label("fits")).where(FanRow.id == newest.c.fan_id)
        fitting = fan.where(FanRow.deleted_at.is_(None), *self._fans).offset(0).lateral("fitting")
        return self._session.scalars(
            select(newest.c.id)
            .join(fitting, true())
            .order_by(newest.c.last_message_at.desc(), newest.c.id.desc())
            .limit(limit)
        ).all()

    def _collect(self, last: Sequence[Any] | None, limit: int) -> tuple[int, int, Sequence[int]]:
        """All of them are collected and sorted, unless they turn out to be many."""
        some = self._hits.limit(SEARCH_TOTAL_MAX + 1).cte("some")
        some = some.prefix_with("MATERIALIZED", dialect="postgresql")
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
        if rows[0].total > SEARCH_TOTAL_MAX:
            return rows[0].total, SEARCH_TOTAL_MAX, self._walk(last, limit)
        found = [row.id for row in rows if row.id is not None]
        return rows[0].total, SEARCH_TOTAL_MAX, found

    def _walk(self, last: Sequence[Any] | None, limit: int) -> Sequence[int]:
        walk = behind(self._hits, last).with_only_columns(ConversationRow.id)
        return self._session.scalars(walk.order_by(*NEWEST_FIRST).limit(limit)).all()


def behind(hits: Hits, last: Sequence[Any] | None) -> Hits:
    """Those after a place in the list."""
    return hits if last is None else hits.where(row_place < tuple_(*last))


def own_conditions(owner_id: OwnerId, asked: ConversationFilter) -> list[Any]:
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


def fan_conditions(owner_id: OwnerId, asked: ConversationFilter, now: datetime) -> list[Any]:
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
        where.append(named(asked.q.lower()))
    if where:
        where.append(FanRow.user_id == owner_id)
    return where


def named(part: str) -> ColumnElement[bool]:
    """Any part of a name or handle; of less than three letters, which the index does not know by
    themselves, only the beginning of a word."""
    if len(part) >= TRIGRAM:
        return FanRow.search.contains(part, autoescape=True)
    return or_(
        FanRow.search.startswith(part, autoescape=True),
        FanRow.search.contains(f" {part}", autoescape=True),
        FanRow.search.contains(f"@{part}", autoescape=True),
    )

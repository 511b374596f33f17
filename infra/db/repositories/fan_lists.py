"""Filters and orders of fans as SQL; every one of them is spelled as an index spells it."""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, DateTime, Select, func, literal, or_, select, tuple_
from sqlalchemy import text as sql
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from domain.paging import SEARCH_TOTAL_MAX, TOTAL_MAX
from domain.segments import PART_MIN, REGULAR, FanFilter, FanSort
from domain.users import OwnerId
from infra.db.repositories.cursors import instant, read_cursor, whole, words, write_cursor
from infra.db.tables import FanRow

MOMENT = DateTime(timezone=True)

# Written out, since an index on an expression is found by the expression as it is written.
last_seen = func.coalesce(FanRow.last_seen_at, func.to_timestamp(sql("0")), type_=MOMENT)


@dataclass(frozen=True)
class Order:
    """A way through the fans: what they are sorted by before their id, and in which direction."""

    name: str
    key: ColumnElement[Any] | InstrumentedAttribute[Any] | None
    kind: Callable[[Any], Any]
    descending: bool

    def query(
        self,
        conditions: Sequence[ColumnElement[bool]],
        cursor: str | None,
        *,
        few: bool,
        by_moment: bool = False,
    ) -> Select[Any]:
        """Rows of (fan, sort key), from the cursor on. With `few`, the fans that pass are found
        first and sorted then: walking the order would pass over all the others."""
        key = FanRow.id if self.key is None else self.key
        found = select(FanRow, key.label("sort_key")).where(*conditions)
        columns: list[Any] = [key, FanRow.id]
        if few:
            fenced = (_through_moments(found) if by_moment else found.offset(0)).subquery()
            found = select(aliased(FanRow, fenced), fenced.c.sort_key)
            columns = [fenced.c.sort_key, fenced.c.id]
        if self.key is None:
            columns.pop()
        if cursor is not None:
            found = found.where(self._behind(columns, cursor))
        return found.order_by(*(one.desc() if self.descending else one.asc() for one in columns))

    def _behind(self, columns: list[Any], cursor: str) -> ColumnElement[bool]:
        kinds = [whole] if self.key is None else [self.kind, whole]
        place = read_cursor(cursor, self.name, *kinds)
        left, right = tuple_(*columns), tuple_(*map(literal, place))
        return left < right if self.descending else left > right

    def cursor(self, row: FanRow, key: Any) -> str:
        """The cursor behind this row."""
        return write_cursor(self.name, *([row.id] if self.key is None else [key, row.id]))


ORDERS = {
    FanSort.NEWEST: Order("fans", None, whole, descending=True),
    FanSort.OLDEST: Order("fans.oldest", None, whole, descending=False),
    FanSort.NAME: Order("fans.name", func.lower(FanRow.name), words, descending=False),
    FanSort.VALUE: Order("fans.value", FanRow.value_cents, whole, descending=True),
    FanSort.LAST_SEEN: Order("fans.seen", last_seen, instant, descending=True),
}


def plan_anew(session: Session) -> None:
    """Until the transaction ends, plan every query for its own values: a plan for the average owner
    would read and sort all the fans of one who has a million."""
    session.execute(sql("SET LOCAL plan_cache_mode = force_custom_plan"))


def those(owner_id: OwnerId, filters: Sequence[FanFilter]) -> list[ColumnElement[bool]]:
    """The conditions of an owner's fans that pass every filter."""
    deleted = any(one.deleted for one in filters)
    found: list[ColumnElement[bool]] = [FanRow.user_id == owner_id]
    found += (
        [FanRow.deleted_at.is_not(None), FanRow.erased_at.is_(None), FanRow.merged_into.is_(None)]
        if deleted
        else [FanRow.deleted_at.is_(None)]
    )
    for one in filters:
        found += _said(one)
    return found


def _said(sought: FanFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if sought.q is not None:
        found.append(_matches(sought.q))
    if sought.tags:
        found.append(FanRow.tags.contains(list(sought.tags)))
    if sought.min_spend_cents is not None:
        found.append(FanRow.value_cents >= sought.min_spend_cents)
    if sought.max_spend_cents is not None:
        found.append(FanRow.value_cents <= sought.max_spend_cents)
    if sought.seen_after is not None:
        found.append(last_seen >= sought.seen_after)
    if sought.seen_before is not None:
        # Who was never seen was not seen before then either.
        found += [last_seen < sought.seen_before, FanRow.last_seen_at.is_not(None)]
    if sought.tier is not None:
        tier = None if sought.tier == REGULAR else sought.tier
        found.append(FanRow.tier.is_(None) if tier is None else FanRow.tier == tier)
    if sought.subscription is not None:
        found.append(FanRow.subscription == sought.subscription)
    if sought.subscription_tier is not None:
        found.append(FanRow.subscription_tier == sought.subscription_tier)
    if sought.connection_id is not None:
        found.append(FanRow.connection_id == sought.connection_id)
    if sought.linked is not None:
        known = FanRow.platform_user_id.is_not(None)
        found.append(known if sought.linked else FanRow.platform_user_id.is_(None))
    return found


def _matches(q: str) -> ColumnElement[bool]:
    """Any part of name, handle or email; of one or two letters the beginning of name or handle,
    which the same index finds: it knows where words begin."""
    sought = unicodedata.normalize("NFC", q)
    if len(sought) >= PART_MIN:
        return FanRow.search.like(func.lower(f"%{_literally(sought)}%"))
    start = _literally(sought.lstrip("@"))
    return or_(
        FanRow.search.like(func.lower(f"{start}%")),
        FanRow.search.like(func.lower(f"% @{start}%")),
    )


def _literally(text: str) -> str:
    """With nothing in it that LIKE takes for a wildcard."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def by_moment(filters: Sequence[FanFilter]) -> bool:
    """Whether when they were seen is the only thing that leaves few fans."""
    seen = any(one.seen_after or one.seen_before for one in filters)
    return seen and not any(one.q or one.tags for one in filters)


def _through_moments(found: Select[Any]) -> Select[Any]:
    """In the order of the index of moments: nothing is known of how many fans were seen since
    when, so PostgreSQL takes a third of them to be, and would read them all."""
    return found.order_by(last_seen.desc(), FanRow.id.desc()).limit(TOTAL_MAX + 1)


def count(session: Session, owner_id: OwnerId, filters: Sequence[FanFilter]) -> tuple[int, bool]:
    """How many there are, up to TOTAL_MAX or SEARCH_TOTAL_MAX, and whether there are more."""
    most = SEARCH_TOTAL_MAX if any(one.q for one in filters) else TOTAL_MAX
    some = select(literal(1)).select_from(FanRow).where(*those(owner_id, filters))
    some = _through_moments(some) if by_moment(filters) else some.limit(most + 1)
    counted = select(func.count()).select_from(some.subquery())
    total = session.scalar(counted) or 0
    return min(total, most), total > most

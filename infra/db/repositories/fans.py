"""Fans as rows, and their history."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import bindparam, func, select, update
from sqlalchemy import insert as plain_insert
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from domain.connections import ConnectionId
from domain.conversations import ConversationId
from domain.errors import Conflict
from domain.fans import (
    TOLD,
    ChangedBy,
    ChangeSource,
    Fan,
    FanId,
    changes_between,
    fan_exists,
    plain,
)
from domain.paging import TOTAL_MAX, Page
from domain.repositories import FanChange, Recipient, TagCounts
from domain.segments import FanFilter, FanSort
from domain.users import OwnerId, UserId
from infra.db.repositories.cursors import read_cursor, whole, write_cursor
from infra.db.repositories.fan_lists import ORDERS, by_moment, count, plan_anew, those
from infra.db.repositories.people import connection_of
from infra.db.repositories.tiers import retier
from infra.db.tables import ConnectionRow, ConversationRow, FanChangeRow, FanRow

# What the rules of tiers look at.
TIER_FIELDS = frozenset({"value_cents", "last_seen_at", "deleted_at"})
SET_TAGS = sql(
    """
    UPDATE fans f SET tags = given.tags, version = version + 1, updated_at = now()
    FROM jsonb_to_recordset(cast(:given AS jsonb)) AS given(id bigint, tags text[])
    WHERE f.id = given.id AND f.user_id = :owner
    """
)
KEPT = sql(
    """
    WITH RECURSIVE way AS (
      SELECT id AS first, id, merged_into, 0 AS steps FROM fans
      WHERE user_id = :owner AND id = ANY(:ids) AND merged_into IS NOT NULL
      UNION ALL
      SELECT way.first, f.id, f.merged_into, steps + 1
      FROM way JOIN fans f ON f.id = way.merged_into WHERE steps < 20
    )
    SELECT first, id FROM way WHERE merged_into IS NULL
    """
)
TAG_COUNTS = sql(
    """
    WITH newest AS (
      SELECT tags FROM fans WHERE user_id = :owner AND deleted_at IS NULL
      ORDER BY id DESC LIMIT :most
    )
    SELECT tag, count(*) AS fans FROM newest CROSS JOIN unnest(tags) AS tag
    GROUP BY tag ORDER BY count(*) DESC, tag LIMIT :limit
    """
)
FRESH = {"populate_existing": True, "synchronize_session": False}


def fan_of(row: FanRow) -> Fan:
    return Fan(
        id=FanId(row.id),
        owner_id=OwnerId(row.user_id),
        name=row.name,
        platform=row.platform,
        handle=row.handle,
        email=row.email,
        avatar=row.avatar,
        tags=tuple(row.tags),
        value_cents=row.value_cents,
        last_seen_at=row.last_seen_at,
        notes=row.notes,
        tier=row.tier,
        connection_id=None if row.connection_id is None else ConnectionId(row.connection_id),
        platform_user_id=row.platform_user_id,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
        deleted_at=row.deleted_at,
        value_stated_at=row.value_stated_at,
        tips_cents=row.tips_cents,
        last_purchase_at=row.last_purchase_at,
        subscription=row.subscription,
        subscription_ends_at=row.subscription_ends_at,
        subscription_tier=row.subscription_tier,
        merged_into=None if row.merged_into is None else FanId(row.merged_into),
        erased_at=row.erased_at,
    )


# Read twice for each message that is accepted: put together once.
RECIPIENT = (
    select(FanRow, ConnectionRow)
    .outerjoin(ConnectionRow, ConnectionRow.id == FanRow.connection_id)
    .where(
        FanRow.id == bindparam("fan_id"),
        FanRow.user_id == bindparam("owner_id"),
        FanRow.deleted_at.is_(None),
    )
    .execution_options(populate_existing=True)
)


class SqlFanRepository:
    """FanRepository on PostgreSQL."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._history = SqlFanHistoryRepository(session)

    def recipient(self, owner_id: OwnerId, fan_id: FanId) -> Recipient | None:
        found = self._session.execute(
            RECIPIENT, {"fan_id": fan_id, "owner_id": owner_id}
        ).one_or_none()
        if found is None:
            return None
        fan, connection = found
        return Recipient(fan_of(fan), connection_of(connection) if connection else None)

    def conversation(self, fan: Fan) -> ConversationId:
        found = self._conversation_id(fan)
        if found is None:
            self._session.execute(
                insert(ConversationRow)
                .values(
                    user_id=fan.owner_id,
                    fan_id=fan.id,
                    connection_id=fan.connection_id,
                    platform=fan.platform,
                )
                .on_conflict_do_nothing()
            )
            found = self._conversation_id(fan)
        assert found is not None
        return ConversationId(found)

    def _conversation_id(self, fan: Fan) -> int | None:
        return self._session.scalar(
            select(ConversationRow.id).where(
                ConversationRow.fan_id == fan.id,
                ConversationRow.connection_id == fan.connection_id,
            )
        )

    # Lists

    def page(
        self,
        owner_id: OwnerId,
        limit: int,
        cursor: str | None,
        filters: Sequence[FanFilter] = (),
        sort: FanSort = FanSort.NEWEST,
    ) -> Page[Fan]:
        order = ORDERS[sort]
        plan_anew(self._session)
        total, is_capped = count(self._session, owner_id, filters)
        few = not is_capped and any(one.record() for one in filters)
        query = order.query(those(owner_id, filters), cursor, few=few, by_moment=by_moment(filters))
        rows = self._session.execute(query.limit(limit + 1)).all()
        more = order.cursor(*rows[limit - 1]) if len(rows) > limit else None
        return Page([fan_of(row) for row, _ in rows[:limit]], total, is_capped, more)

    def count(self, owner_id: OwnerId, filters: Sequence[FanFilter]) -> tuple[int, bool]:
        plan_anew(self._session)
        return count(self._session, owner_id, filters)

    def ids(
        self, owner_id: OwnerId, filters: Sequence[FanFilter], after: FanId, limit: int
    ) -> Sequence[FanId]:
        plan_anew(self._session)
        found = self._session.scalars(
            select(FanRow.id)
            .where(*those(owner_id, filters), FanRow.id > after)
            .order_by(FanRow.id)
            .limit(limit)
        )
        return [FanId(one) for one in found]

    def kept(self, owner_id: OwnerId, fan_ids: Sequence[FanId]) -> Mapping[FanId, FanId]:
        if not fan_ids:
            return {}
        rows = self._session.execute(KEPT, {"owner": owner_id, "ids": list(fan_ids)})
        return {FanId(row.first): FanId(row.id) for row in rows}

    def tag_counts(self, owner_id: OwnerId, limit: int) -> TagCounts:
        counted, is_capped = self.count(owner_id, ())
        asked = {"owner": owner_id, "most": TOTAL_MAX, "limit": limit}
        rows = self._session.execute(TAG_COUNTS, asked)
        return TagCounts([(row.tag, row.fans) for row in rows], counted, is_capped)

    # One fan

    def get(self, owner_id: OwnerId, fan_id: FanId, *, deleted: bool = False) -> Fan | None:
        found = select(FanRow).where(FanRow.id == fan_id, FanRow.user_id == owner_id)
        if not deleted:
            found = found.where(FanRow.deleted_at.is_(None))
        row = self._session.scalar(found.execution_options(populate_existing=True))
        return fan_of(row) if row else None

    def many(self, owner_id: OwnerId, fan_ids: Sequence[FanId]) -> Sequence[Fan]:
        found = select(FanRow).where(FanRow.user_id == owner_id, FanRow.id.in_(fan_ids))
        return [fan_of(row) for row in self._session.scalars(found.order_by(FanRow.id))]

    def lock(
        self, owner_id: OwnerId, fan_ids: Sequence[FanId], *, deleted: bool = False
    ) -> Sequence[Fan]:
        found = select(FanRow).where(FanRow.user_id == owner_id, FanRow.id.in_(fan_ids))
        if not deleted:
            found = found.where(FanRow.deleted_at.is_(None))
        found = found.order_by(FanRow.id).with_for_update(key_share=True)
        rows = self._session.scalars(found.execution_options(populate_existing=True))
        return [fan_of(row) for row in rows]

    def of_handle(self, owner_id: OwnerId, platform: str, handle: str) -> Fan | None:
        same = select(FanRow).where(
            FanRow.user_id == owner_id,
            FanRow.platform == platform,
            func.lower(FanRow.handle) == func.lower(handle),
        )
        live = self._session.scalar(same.where(FanRow.deleted_at.is_(None)))
        found = live or self._session.scalar(
            same.where(
                FanRow.deleted_at.is_not(None),
                FanRow.erased_at.is_(None),
                FanRow.merged_into.is_(None),
            )
            .order_by(FanRow.id.desc())
            .limit(1)
        )
        return fan_of(found) if found else None

    # Changing

    def add(
        self,
        owner_id: OwnerId,
        values: Mapping[str, Any],
        by: ChangedBy,
    ) -> Fan | None:
        row = self._session.scalar(
            insert(FanRow)
            .values(user_id=owner_id, **_columns(values))
            .on_conflict_do_nothing()
            .returning(FanRow),
            execution_options={"populate_existing": True},
        )
        if row is None:
            return None
        fan_id = FanId(row.id)
        told = {name: plain(values[name]) for name in TOLD if values.get(name)}
        self._history.add(owner_id, fan_id, by, {}, told)
        retier(self._session, owner_id, [fan_id])
        return self.get(owner_id, fan_id)

    def change(
        self,
        fan: Fan,
        values: Mapping[str, Any],
        by: ChangedBy,
    ) -> Fan:
        with self._unique(fan, values):
            row = self._session.scalars(
                update(FanRow)
                .where(FanRow.id == fan.id, FanRow.user_id == fan.owner_id)
                .values(**_columns(values), version=FanRow.version + 1, updated_at=func.now())
                .returning(FanRow),
                execution_options=FRESH,
            ).one()
        after = fan_of(row)
        self._history.add(fan.owner_id, fan.id, by, *changes_between(fan, after))
        if TIER_FIELDS & values.keys() and retier(self._session, fan.owner_id, [fan.id]):
            return self.get(fan.owner_id, fan.id, deleted=True) or after
        return after

    @contextmanager
    def _unique(self, fan: Fan, values: Mapping[str, Any]) -> Iterator[None]:
        """Turn a broken unique index into a Conflict; what was done before it stays."""
        try:
            with self._session.begin_nested():
                yield
        except IntegrityError as problem:
            text = str(problem.orig)
            if "uq_fans_handle" in text:
                handle = values.get("handle", fan.handle)
                other = self.of_handle(fan.owner_id, fan.platform, handle)
                raise fan_exists(other.id if other else None) from None
            if "uq_fans_platform_user_id" in text:
                raise Conflict(
                    "another fan is linked to this person on the platform: merge the two",
                    code="link_taken",
                ) from None
            raise

    def set_tags(
        self, owner_id: OwnerId, tagged: Sequence[tuple[Fan, tuple[str, ...]]], actor_id: UserId
    ) -> None:
        if not tagged:
            return
        given = [{"id": fan.id, "tags": list(tags)} for fan, tags in tagged]
        self._session.execute(SET_TAGS, {"owner": owner_id, "given": json.dumps(given)})
        lines = [
            {
                "user_id": owner_id,
                "fan_id": fan.id,
                "actor_id": actor_id,
                "source": ChangeSource.PERSON.value,
                "before": {"tags": list(fan.tags)},
                "after": {"tags": list(tags)},
            }
            for fan, tags in tagged
        ]
        self._session.execute(plain_insert(FanChangeRow), lines)

    def retier(self, owner_id: OwnerId, fan_ids: Sequence[FanId]) -> int:
        return retier(self._session, owner_id, fan_ids)


def _columns(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in values.items()
    }


class SqlFanHistoryRepository:
    """FanHistoryRepository on PostgreSQL."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(
        self,
        owner_id: OwnerId,
        fan_id: FanId,
        by: ChangedBy,
        before: Mapping[str, Any],
        after: Mapping[str, Any],
    ) -> None:
        if before == after:
            return
        self._session.execute(
            plain_insert(FanChangeRow).values(
                user_id=owner_id,
                fan_id=fan_id,
                actor_id=by.actor_id,
                source=by.source.value,
                before=dict(before),
                after=dict(after),
            )
        )

    def page(
        self, owner_id: OwnerId, fan_id: FanId, limit: int, cursor: str | None
    ) -> Page[FanChange]:
        lines = select(FanChangeRow).where(
            FanChangeRow.fan_id == fan_id, FanChangeRow.user_id == owner_id
        )
        counted = select(func.count()).select_from(lines.limit(TOTAL_MAX + 1).subquery())
        total = self._session.scalar(counted) or 0
        if cursor is not None:
            [last] = read_cursor(cursor, "changes", whole)
            lines = lines.where(FanChangeRow.id < last)
        rows = self._session.scalars(lines.order_by(FanChangeRow.id.desc()).limit(limit + 1)).all()
        more = write_cursor("changes", rows[limit - 1].id) if len(rows) > limit else None
        return Page(
            [_change_of(row) for row in rows[:limit]],
            min(total, TOTAL_MAX),
            is_capped=total > TOTAL_MAX,
            next_cursor=more,
        )


def _change_of(row: FanChangeRow) -> FanChange:
    return FanChange(
        id=row.id,
        fan_id=FanId(row.fan_id),
        actor_id=None if row.actor_id is None else UserId(row.actor_id),
        source=ChangeSource(row.source),
        before=row.before,
        after=row.after,
        at=row.at,
    )

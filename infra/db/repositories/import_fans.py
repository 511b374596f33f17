"""The fans that an import finds, creates, changes and puts back: a few statements for a batch."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import func, select
from sqlalchemy import text as sql
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from domain.errors import Unavailable
from domain.fans import Fan, FanId, plain
from domain.importing import (
    FIELDS,
    UNDONE_FIELDS,
    Known,
    Matches,
    Plan,
    Touched,
    known_of_record,
)
from domain.imports import Import, ImportId
from domain.tiers import DEFAULT_RULES
from domain.users import OwnerId, UserId
from infra.db.repositories.fan_lists import plan_anew
from infra.db.repositories.fans import fan_of
from infra.db.repositories.tiers import RULES, TIER, retier
from infra.db.tables import FanRow

PLATFORM = "onlyfans"
# Somebody may rename, merge or erase a fan between the look and the lock.
LOOKS = 5
# One batch of an owner's imports at a time: they never wait for each other in a circle.
ONE_BY_ONE = sql("SELECT pg_advisory_xact_lock(4711003, cast(:owner AS bigint)::int)")
# No handle has a control character, so one text parts them; a long array would be escaped value by
# value, and from JSON the planner could not see how many there are.
UNIT = "\x1f"
LISTED = "string_to_array(cast(:keys AS text), chr(31))"
KEYS = sql(f"SELECT h AS handle, lower(h) AS key FROM unnest({LISTED}) AS h")  # noqa: S608  # as below
LIVE = sql(
    f"""
    SELECT lower(handle) AS key, id FROM fans
    WHERE user_id = :owner AND platform = :platform AND lower(handle) = ANY({LISTED})
      AND deleted_at IS NULL
    """  # noqa: S608  # a constant of ours
)
DELETED = sql(
    f"""
    SELECT DISTINCT ON (lower(handle)) lower(handle) AS key, id FROM fans
    WHERE user_id = :owner AND platform = :platform AND lower(handle) = ANY({LISTED})
      AND deleted_at IS NOT NULL AND erased_at IS NULL AND merged_into IS NULL
    ORDER BY lower(handle), id DESC
    """  # noqa: S608  # a constant of ours
)
MERGED = sql(
    f"""
    WITH RECURSIVE way AS (
      SELECT lower(handle) AS key, id, merged_into, 0 AS steps FROM fans
      WHERE user_id = :owner AND platform = :platform AND lower(handle) = ANY({LISTED})
        AND merged_into IS NOT NULL
      UNION ALL
      SELECT way.key, f.id, f.merged_into, steps + 1
      FROM way JOIN fans f ON f.id = way.merged_into WHERE steps < 20
    )
    SELECT DISTINCT ON (way.key) way.key, way.id FROM way JOIN fans f USING (id)
    WHERE f.merged_into IS NULL AND f.deleted_at IS NULL
    ORDER BY way.key, way.id DESC
    """  # noqa: S608  # a constant of ours
)
TOUCHED = sql(
    "SELECT DISTINCT fan_id FROM fan_changes WHERE import_id = :id AND fan_id = ANY(:fans)"
)
EARLIER = sql(
    f"""
    SELECT DISTINCT ON (key) key, after FROM import_previews
    WHERE import_id = :id AND key = ANY({LISTED}) ORDER BY key, line DESC
    """  # noqa: S608  # a constant of ours
)
# A batch travels as one JSON text: many arrays would each be escaped value by value.
GIVEN = """json_to_recordset(cast(:fans AS json)) AS given(fan_id bigint, handle text, name text,
      email text, subscription_tier text, value_cents bigint, value_stated_at timestamptz,
      last_seen_at timestamptz, tags text[], deleted_at timestamptz)"""
CREATE = sql(
    f"""
    WITH {RULES}, f AS (SELECT *, now() AS created_at FROM {GIVEN})
    INSERT INTO fans (user_id, platform, handle, name, email, subscription_tier, value_cents,
      value_stated_at, last_seen_at, tags, tier)
    SELECT :owner, :platform, f.handle, f.name, f.email, f.subscription_tier, f.value_cents,
      f.value_stated_at, f.last_seen_at, f.tags, {TIER}
    FROM f CROSS JOIN r ORDER BY lower(f.handle)
    ON CONFLICT DO NOTHING
    RETURNING id, handle, tier
    """  # noqa: S608  # constants of ours
)
CHANGE = sql(
    f"""
    UPDATE fans SET name = given.name, email = given.email,
      subscription_tier = given.subscription_tier, value_cents = given.value_cents,
      value_stated_at = given.value_stated_at, last_seen_at = given.last_seen_at,
      tags = given.tags, deleted_at = given.deleted_at,
      version = fans.version + 1, updated_at = now()
    FROM {GIVEN}
    WHERE fans.id = given.fan_id AND fans.user_id = :owner
    """  # noqa: S608  # constants of ours
)
TELL = sql(
    """
    INSERT INTO fan_changes (user_id, fan_id, actor_id, import_id, source, before, after)
    SELECT :owner, given.fan_id, :actor, :import_id, 'import', given.before, given.after
    FROM json_to_recordset(cast(:lines AS json)) AS given(fan_id bigint, before jsonb, after jsonb)
    """
)
# Lines of this import for each fan, oldest first.
LINES = sql(
    """
    SELECT fan_id, min(id) AS first, array_agg(before ORDER BY id) AS before,
      array_agg(after ORDER BY id) AS after
    FROM fan_changes WHERE import_id = :id AND fan_id > :after
    GROUP BY fan_id ORDER BY fan_id LIMIT :limit
    """
)
SINCE = sql(
    """
    SELECT given.fan_id,
      EXISTS (SELECT FROM fan_changes c WHERE c.fan_id = given.fan_id AND c.id > given.first
        AND c.source <> 'rules' AND c.import_id IS DISTINCT FROM :id) AS changed,
      EXISTS (SELECT FROM messages m WHERE m.fan_id = given.fan_id)
        OR EXISTS (SELECT FROM transactions t WHERE t.fan_id = given.fan_id) AS used
    FROM unnest(cast(:fans AS bigint[]), cast(:firsts AS bigint[])) AS given(fan_id, first)
    """
)
ANALYZE_MS = 60_000
LOOKED_AT = (
    *(FanRow.id, FanRow.handle, func.lower(FanRow.handle).label("key"), FanRow.name),
    *(FanRow.email, FanRow.subscription_tier),
    *(FanRow.value_cents, FanRow.value_stated_at, FanRow.last_seen_at, FanRow.tags),
    FanRow.deleted_at,
)
TOLD_NEW = frozenset({"handle", "value_stated_at", *FIELDS})
# Of the history: the fan, and the changed fields before and after.
Line = tuple[FanId | None, Mapping[str, Any], Mapping[str, Any]]


class ImportedFans:
    """The part of ImportRepository that is about fans."""

    _session: Session

    # Finding

    def matches(
        self, owner_id: OwnerId, import_id: ImportId, handles: Sequence[str], *, dry_run: bool
    ) -> Matches:
        if not handles:
            return Matches({}, {})
        if not dry_run:
            self._session.execute(ONE_BY_ONE, {"owner": owner_id % 2**31})
        plan_anew(self._session)
        keys = {row.handle: row.key for row in self._session.execute(KEYS, listed(handles))}
        fans = self._found(owner_id, sorted(set(keys.values())), lock=not dry_run)
        touched = self._touched(import_id, fans)
        # Two handles may end at one person: one was merged into the other.
        same = {key: f"fan {fan.fan_id}" for key, fan in fans.items()}
        keys = {handle: same.get(key, key) for handle, key in keys.items()}
        known = {
            same[key]: replace(fan, touched=True) if fan.fan_id in touched else fan
            for key, fan in fans.items()
        }
        if dry_run:
            known |= self._earlier(import_id, sorted(set(keys.values())))
        return Matches(keys, known)

    def _found(self, owner_id: OwnerId, keys: Sequence[str], *, lock: bool) -> Mapping[str, Known]:
        """Key -> the fan it means."""
        for _ in range(LOOKS):
            ids = self._look(owner_id, keys)
            if not ids:
                return {}
            rows = select(*LOOKED_AT).where(FanRow.id.in_(set(ids.values()))).order_by(FanRow.id)
            found = self._session.execute(rows.with_for_update(key_share=True) if lock else rows)
            fans = {row.id: row for row in found}
            # A live fan of this very handle stays that; of others the lock alone says too little.
            doubted = {
                key: fan_id
                for key, fan_id in ids.items()
                if fans[fan_id].key != key or fans[fan_id].deleted_at is not None
            }
            if self._look(owner_id, list(doubted)) == doubted:
                return {key: _known_of(fans[fan_id]) for key, fan_id in ids.items()}
        raise Unavailable("other people change the same fans at this moment; nothing was changed")

    def _look(self, owner_id: OwnerId, keys: Sequence[str]) -> dict[str, int]:
        """Key -> the fan it means at this moment."""
        ids: dict[str, int] = {}
        for way in (LIVE, DELETED, MERGED):
            missing = [key for key in keys if key not in ids]
            if missing:
                asked = {"owner": owner_id, "platform": PLATFORM, **listed(missing)}
                ids |= {row.key: row.id for row in self._session.execute(way, asked)}
        return ids

    def _touched(self, import_id: ImportId, fans: Mapping[str, Known]) -> set[int]:
        if not fans:
            return set()
        asked = {"id": import_id, "fans": [fan.fan_id for fan in fans.values()]}
        return set(self._session.scalars(TOUCHED, asked))

    def _earlier(self, import_id: ImportId, keys: Sequence[str]) -> Mapping[str, Known]:
        rows = self._session.execute(EARLIER, {"id": import_id, **listed(keys)})
        return {row.key: known_of_record(row.after) for row in rows}

    # Writing

    def write(
        self, owner_id: OwnerId, actor_id: UserId, import_id: ImportId, plan: Plan
    ) -> Sequence[str]:
        refused = self._create(owner_id, actor_id, import_id, plan.creates)
        if not refused:
            self._change(owner_id, actor_id, import_id, list(plan.updates.values()))
        return refused

    def _create(
        self,
        owner_id: OwnerId,
        actor_id: UserId,
        import_id: ImportId,
        creates: Mapping[str, Known],
    ) -> Sequence[str]:
        if not creates:
            return []
        fans = {known.handle: known for known in creates.values()}
        made = self._session.execute(
            CREATE,
            {
                **vars(DEFAULT_RULES),
                "fans": as_json([vars(known) for known in fans.values()]),
                "owner": owner_id,
                "platform": PLATFORM,
            },
        ).all()
        if len(made) < len(fans):
            there = {row.handle for row in made}
            return [key for key, known in creates.items() if known.handle not in there]
        told: list[Line] = [(row.id, {}, _told(fans[row.handle], row.tier)) for row in made]
        self._tell(owner_id, actor_id, import_id, told)
        return []

    def _change(
        self,
        owner_id: OwnerId,
        actor_id: UserId,
        import_id: ImportId | None,
        updates: Sequence[tuple[Known, Mapping[str, Any]]],
    ) -> None:
        if not updates:
            return
        after = [replace(was, **changes) for was, changes in updates]
        ids = [known.fan_id for known in after if known.fan_id is not None]
        self._session.execute(
            CHANGE,
            {"fans": as_json([vars(known) for known in after]), "owner": owner_id},
        )
        told: list[Line] = [
            (was.fan_id, {name: getattr(was, name) for name in changes}, changes)
            for was, changes in updates
        ]
        self._tell(owner_id, actor_id, import_id, told)
        retier(self._session, owner_id, ids)

    def _tell(
        self,
        owner_id: OwnerId,
        actor_id: UserId,
        import_id: ImportId | None,
        lines: Sequence[Line],
    ) -> None:
        self._session.execute(
            TELL,
            {
                "owner": owner_id,
                "actor": actor_id,
                "import_id": import_id,
                "lines": as_json(
                    [
                        {"fan_id": fan_id, "before": before, "after": after}
                        for fan_id, before, after in lines
                    ]
                ),
            },
        )

    def refresh_statistics(self) -> None:
        self._session.execute(sql(f"SET LOCAL statement_timeout = {ANALYZE_MS}"))
        self._session.execute(sql("ANALYZE fans"))

    # Undoing

    def touched(self, import_: Import, after: FanId, limit: int) -> Sequence[Touched]:
        place = {"id": import_.id, "after": after, "limit": limit}
        lines = self._session.execute(LINES, place).all()
        if not lines:
            return []
        ids = [line.fan_id for line in lines]
        rows = self._session.scalars(
            select(FanRow)
            .where(FanRow.id.in_(ids), FanRow.user_id == import_.owner_id)
            .order_by(FanRow.id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
        fans = {row.id: fan_of(row) for row in rows}
        asked = {"id": import_.id, "fans": ids, "firsts": [line.first for line in lines]}
        since = {row.fan_id: row for row in self._session.execute(SINCE, asked)}
        return [
            Touched(
                fan=fans[line.fan_id],
                created=not line.before[0] and "handle" in line.after[0],
                before={
                    name: value for one in reversed(line.before) for name, value in one.items()
                },
                after={name: value for one in line.after for name, value in one.items()},
                changed_since=since[line.fan_id].changed,
                used_since=since[line.fan_id].used,
            )
            for line in lines
        ]

    def _put_back(
        self,
        import_: Import,
        actor_id: UserId,
        reversals: Sequence[tuple[Touched, Mapping[str, Any]]],
    ) -> Sequence[FanId]:
        """Write them all at once; where that fails, one by one. Returns those that were refused."""
        updates = [(_known(one.fan), values) for one, values in reversals]
        if self._tried(import_.owner_id, actor_id, updates):
            return []
        return [
            one.fan.id
            for (one, _), update in zip(reversals, updates, strict=True)
            if not self._tried(import_.owner_id, actor_id, [update])
        ]

    def _tried(
        self,
        owner_id: OwnerId,
        actor_id: UserId,
        updates: Sequence[tuple[Known, Mapping[str, Any]]],
    ) -> bool:
        try:
            with self._session.begin_nested():
                self._change(owner_id, actor_id, None, updates)
        except DBAPIError as problem:
            # One that only met a lock or a timeout is no fan that cannot be put back.
            passing = len(updates) == 1 and isinstance(problem, OperationalError)
            if problem.connection_invalidated or passing:
                raise
            return False
        return True


def listed(handles: Sequence[str]) -> dict[str, str]:
    """Handles, or their keys, as one parameter."""
    return {"keys": UNIT.join(handles)}


def as_json(values: object) -> str:
    """A batch as one parameter."""
    return json.dumps(values, default=plain, ensure_ascii=False)


def _known_of(row: Any) -> Known:
    return Known(
        handle=row.handle,
        name=row.name,
        fan_id=FanId(row.id),
        email=row.email,
        subscription_tier=row.subscription_tier,
        value_cents=row.value_cents,
        value_stated_at=row.value_stated_at,
        last_seen_at=row.last_seen_at,
        tags=tuple(row.tags),
        deleted_at=row.deleted_at,
    )


def _known(fan: Fan) -> Known:
    fields = {name: getattr(fan, name) for name in UNDONE_FIELDS}
    return Known(handle=fan.handle, fan_id=fan.id, **fields)


def _told(created: Known, tier: str | None) -> dict[str, Any]:
    """What the history of a new fan begins with."""
    told = {name: value for name, value in vars(created).items() if value and name in TOLD_NEW}
    return {**told, "tier": tier} if tier else told

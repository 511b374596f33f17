"""Tiers as rows: the one place where the rules are SQL."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from domain.fans import FanId
from domain.tiers import DEFAULT_RULES, RulesInForce, TierRules
from domain.users import OwnerId
from infra.db.tables import TierRulesRow

# The rules `r` of an owner.
RULES = """r AS (
      SELECT coalesce(max(whale_cents), :whale_cents) AS whale,
        coalesce(max(spender_cents), :spender_cents) AS spender,
        coalesce(max(quiet_days), :quiet_days) AS quiet,
        coalesce(max(new_days), :new_days) AS new
      FROM tier_rules WHERE user_id = :owner
    )"""
# Of a fan `f` by them. Who was never seen is counted from the day we first knew of them.
TIER = """CASE
    WHEN f.value_cents >= r.whale THEN 'whale'
    WHEN f.value_cents >= r.spender THEN 'spender'
    WHEN coalesce(f.last_seen_at, f.created_at) < now() - r.quiet * interval '1 day' THEN 'quiet'
    WHEN f.created_at > now() - r.new * interval '1 day' THEN 'new'
  END"""
# Only fans whose tier changes are locked and written: most sweeps find none.
RETIER = sql(
    f"""
    WITH {RULES}, judged AS (
      SELECT f.id, f.tier AS old, {TIER} AS tier
      FROM fans f CROSS JOIN r
      WHERE f.user_id = :owner AND f.id = ANY(:ids) AND f.deleted_at IS NULL
        AND f.tier IS DISTINCT FROM {TIER}
      ORDER BY f.id
      FOR NO KEY UPDATE OF f
    ), moved AS (
      UPDATE fans f SET tier = judged.tier FROM judged WHERE f.id = judged.id
      RETURNING f.id, judged.old, f.tier
    ), told AS (
      INSERT INTO fan_changes (user_id, fan_id, source, before, after)
      SELECT :owner, id, 'rules', jsonb_build_object('tier', old), jsonb_build_object('tier', tier)
      FROM moved ORDER BY id
    )
    SELECT count(*) FROM moved
    """  # noqa: S608  # constants of ours
)
DUE = sql(
    """
    SELECT user_id, coalesce(swept_to, 0) AS swept_to FROM tier_rules
    WHERE swept_to IS NOT NULL OR swept_at < now() - interval '1 hour'
    ORDER BY swept_to IS NULL, swept_at NULLS FIRST
    LIMIT 1 FOR UPDATE SKIP LOCKED
    """
)
# An owner without rules of its own gets a row with the defaults, to remember how far it was swept.
START = sql(
    """
    INSERT INTO tier_rules (user_id, whale_cents, spender_cents, quiet_days, new_days)
    SELECT id, :whale_cents, :spender_cents, :quiet_days, :new_days FROM users u
    WHERE id = owner_id AND removed_at IS NULL
      AND NOT EXISTS (SELECT FROM tier_rules t WHERE t.user_id = u.id)
    ON CONFLICT DO NOTHING
    """
)
BATCH = sql(
    """
    SELECT id FROM fans WHERE user_id = :owner AND deleted_at IS NULL AND id > :after
    ORDER BY id LIMIT :limit
    """
)
SWEPT = sql("UPDATE tier_rules SET swept_to = :swept_to, swept_at = now() WHERE user_id = :owner")


def retier(session: Session, owner_id: OwnerId, fan_ids: Sequence[int]) -> int:
    """Bring these fans' stored tiers in line, with their history; returns how many changed."""
    values = {**vars(DEFAULT_RULES), "owner": owner_id, "ids": list(fan_ids)}
    return int(session.scalar(RETIER, values) or 0)


class SqlTierRepository:
    """TierRepository on PostgreSQL."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, owner_id: OwnerId) -> RulesInForce:
        row = self._session.scalar(
            select(TierRulesRow)
            .where(TierRulesRow.user_id == owner_id)
            .execution_options(populate_existing=True)
        )
        if row is None:
            return RulesInForce(DEFAULT_RULES, is_default=True, is_settled=False, updated_at=None)
        rules = TierRules(row.whale_cents, row.spender_cents, row.quiet_days, row.new_days)
        return RulesInForce(
            rules,
            is_default=rules == DEFAULT_RULES,
            is_settled=row.swept_to is None,
            updated_at=row.updated_at,
        )

    def put(self, owner_id: OwnerId, rules: TierRules) -> RulesInForce:
        values: dict[str, Any] = {**vars(rules), "swept_to": 0, "updated_at": sql("now()")}
        self._session.execute(
            insert(TierRulesRow)
            .values(user_id=owner_id, **values)
            .on_conflict_do_update(index_elements=[TierRulesRow.user_id], set_=values)
        )
        return self.get(owner_id)

    def next_batch(self, limit: int) -> tuple[OwnerId, int] | None:
        due = self._session.execute(DUE).one_or_none()
        if due is None and self._session.execute(START, vars(DEFAULT_RULES)).rowcount:  # type: ignore[attr-defined]
            due = self._session.execute(DUE).one_or_none()
        if due is None:
            return None
        owner_id = OwnerId(due.user_id)
        place = {"owner": owner_id, "after": due.swept_to, "limit": limit}
        ids: Sequence[FanId] = self._session.scalars(BATCH, place).all()
        changed = retier(self._session, owner_id, ids)
        swept_to = ids[-1] if len(ids) == limit else None
        self._session.execute(SWEPT, {"owner": owner_id, "swept_to": swept_to})
        return owner_id, changed

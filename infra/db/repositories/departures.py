"""Fans that leave: what is queued for them, what is erased of them, and what is handed out."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import CursorResult
from sqlalchemy import text as sql
from sqlalchemy.orm import Session

from domain.campaigns import CampaignId
from domain.connections import ConnectionId
from domain.fans import FanId
from domain.messages import MessageId
from domain.pacing import Waiting
from domain.repositories.merges import Stakes
from domain.users import OwnerId
from infra.db.repositories.merges import family

ERASE_BATCH = 5000
QUEUED_ON = sql(
    """
    SELECT DISTINCT connection_id FROM messages
    WHERE fan_id = ANY(:fans) AND state IN ('queued', 'sending', 'unknown') ORDER BY 1
    """
)
CANCEL = sql(
    """
    WITH waiting AS (
      SELECT id FROM messages WHERE fan_id = ANY(:fans) AND state = 'queued'
      ORDER BY id FOR NO KEY UPDATE
    )
    UPDATE messages m SET state = 'cancelled', lease_until = NULL, wake_after = NULL,
      error_code = NULL, error_detail = NULL
    FROM waiting WHERE m.id = waiting.id
    RETURNING m.id, m.connection_id, m.priority, m.campaign_id
    """
)
STAKES = sql(
    """
    SELECT count(*) AS messages, count(*) FILTER (WHERE state = 'queued') AS waiting,
      count(*) FILTER (WHERE state IN ('sending', 'unknown')) AS in_flight,
      (SELECT count(*) FROM transactions WHERE fan_id = ANY(:fans)) AS transactions
    FROM messages WHERE fan_id = ANY(:fans)
    """
)
IN_FLIGHT = sql(
    """
    SELECT count(*) FROM messages
    WHERE fan_id = ANY(:fans) AND state IN ('sending', 'unknown')
    """
)
# In batches, so that a long chat does not run into the timeout of one statement.
EMPTY_MESSAGES = sql(
    """
    UPDATE messages SET text = '', attachments = '[]', metadata = '{}', error_detail = NULL
    WHERE id IN (
      SELECT id FROM messages WHERE fan_id = :fan AND id > :after ORDER BY id LIMIT :limit)
    RETURNING id
    """
)
# A cell stands as in its file: whether it would be read as the handle or the email of fan `f`.
NAMES = r"""lower(regexp_replace(normalize(cell, NFC), '^[\s@'']+|\s+$', '', 'g'))
  IN (lower(ltrim(f.handle, '@')), lower(f.email))"""
# A file of failed lines may have millions of them: one import after another, in batches.
IMPORTS_WITH_ERRORS = sql(
    "SELECT id FROM imports WHERE user_id = :owner AND failed > 0 AND file_deleted_at IS NULL"
)
LAST_OF_ERRORS = sql(
    """
    SELECT max(line) FROM (
      SELECT line FROM import_errors WHERE import_id = :id AND line > :after
      ORDER BY line LIMIT :limit) part
    """
)
EMPTY_ERRORS = sql(
    f"""
    UPDATE import_errors e SET cells = '[]',
      problems = (SELECT jsonb_agg(p - 'value') FROM jsonb_array_elements(e.problems) p)
    FROM fans f
    WHERE f.id = ANY(:fans) AND e.import_id = :id AND e.line > :after AND e.line <= :last
      AND EXISTS (SELECT FROM jsonb_array_elements_text(e.cells) cell WHERE {NAMES})
    """  # noqa: S608  # a constant of ours
)
# A transaction's description may name the fan; sums stay.
ERASE = (
    "UPDATE platform_events SET body = '' WHERE fan_id = ANY(:fans)",
    """UPDATE transactions SET description = NULL, platform_user_id = NULL
    WHERE fan_id = ANY(:fans)""",
    """DELETE FROM message_purchases p USING fans f WHERE f.id = ANY(:fans)
      AND p.connection_id = f.connection_id AND p.platform_user_id = f.platform_user_id""",
    "DELETE FROM fan_changes WHERE fan_id = ANY(:fans)",
    """UPDATE fan_merges SET kept_before = '{}', kept_after = '{}', moved = '{}'
    WHERE kept_id = ANY(:fans) OR merged_id = ANY(:fans)""",
    # Replies kept for a day tell of the fan too; `{"id": 123, ...` begins each of them.
    """DELETE FROM idempotency_keys k USING users u, unnest(cast(:fans AS bigint[])) AS fan
    WHERE u.owner_id = :owner AND k.user_id = u.id AND k.route LIKE '% /api/crm/fans%'
      AND k.reply LIKE '{"id": ' || fan || ',%'""",
    """INSERT INTO erased_fans (connection_id, platform_user_id)
      SELECT DISTINCT connection_id, platform_user_id FROM fans WHERE id = ANY(:fans)
        AND connection_id IS NOT NULL AND platform_user_id IS NOT NULL
      ON CONFLICT (connection_id, platform_user_id) DO UPDATE SET erased_at = now()""",
    "UPDATE campaign_recipients SET text = '' WHERE fan_id = ANY(:fans)",
    # What files said of the fan: of a dry run, and their first lines. A worker locks its import and
    # then fans, so one that is at work is left alone.
    """DELETE FROM import_previews p USING imports i, fans f
    WHERE f.id = ANY(:fans) AND i.user_id = :owner AND p.import_id = i.id
      AND p.key IN ('fan ' || f.id, lower(f.handle))""",
    f"""UPDATE imports i SET format = jsonb_set(i.format, '{{sample}}', '[]') FROM fans f
    WHERE f.id = ANY(:fans) AND i.user_id = :owner
      AND i.state NOT IN ('pending', 'running', 'undoing')
      AND EXISTS (SELECT FROM jsonb_array_elements(i.format -> 'sample') line,
        jsonb_array_elements_text(line) cell WHERE {NAMES})""",  # noqa: S608  # a constant of ours
    """UPDATE fans SET name = '', handle = '', email = NULL, avatar = NULL, tags = '{}',
      value_cents = 0, value_stated_at = NULL, tips_cents = 0, last_seen_at = NULL,
      last_purchase_at = NULL, notes = NULL, tier = NULL, connection_id = NULL,
      platform_user_id = NULL, subscription = NULL, subscription_ends_at = NULL,
      subscription_tier = NULL, told = '{}', version = version + 1, updated_at = now(),
      erased_at = now(), deleted_at = coalesce(deleted_at, now())
    WHERE id = ANY(:fans) AND user_id = :owner""",
)
# What an export holds of each, by the names of the API.
SECTIONS: Mapping[str, str] = {
    "changes": """
      SELECT id, actor_id AS "actorId", source, before, after, at FROM fan_changes""",
    "conversations": """
      SELECT id, connection_id AS "connectionId", platform, created_at AS "createdAt",
        last_message_at AS "lastMessageAt", unread_count AS "unreadCount" FROM conversations""",
    "messages": """
      SELECT id, public_id AS "messageId", conversation_id AS "conversationId", direction, text,
        price_cents AS "priceCents", attachments, metadata, read, sent_by_ai AS "sentByAi",
        state AS status, created_at AS "createdAt", queued_at AS "queuedAt", sent_at AS "sentAt",
        opened_at AS "openedAt", purchased_at AS "purchasedAt", deleted_at AS "deletedAt"
      FROM messages""",
    "transactions": """
      SELECT id, connection_id AS "connectionId", message_id AS "messageId", source, type,
        gross_cents AS "grossCents", fee_cents AS "feeCents", net_cents AS "netCents",
        vat_cents AS "vatCents", tax_cents AS "taxCents", currency, status, description,
        happened_at AS "happenedAt", reversed_at AS "reversedAt" FROM transactions""",
}


class SqlDepartureRepository:
    """DepartureRepository on PostgreSQL."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def family(self, fan_id: FanId) -> Sequence[FanId]:
        return family(self._session, fan_id)

    def connections_of_queued(self, fan_ids: Sequence[FanId]) -> Sequence[ConnectionId]:
        found = self._session.scalars(QUEUED_ON, {"fans": list(fan_ids)})
        return [ConnectionId(one) for one in found]

    def cancel_queued(self, fan_ids: Sequence[FanId]) -> Sequence[tuple[ConnectionId, Waiting]]:
        return [
            (
                ConnectionId(row.connection_id),
                Waiting(
                    MessageId(row.id),
                    row.priority,
                    None if row.campaign_id is None else CampaignId(row.campaign_id),
                ),
            )
            for row in self._session.execute(CANCEL, {"fans": list(fan_ids)})
        ]

    def stakes(self, fan_ids: Sequence[FanId]) -> Stakes:
        row = self._session.execute(STAKES, {"fans": list(fan_ids)}).one()
        return Stakes(row.messages, row.waiting, row.in_flight, row.transactions)

    def in_flight(self, fan_ids: Sequence[FanId]) -> int:
        return int(self._session.scalar(IN_FLIGHT, {"fans": list(fan_ids)}) or 0)

    def erase(self, owner_id: OwnerId, fan_ids: Sequence[FanId]) -> int:
        emptied = sum(self._empty_messages(fan) for fan in fan_ids)
        for import_id in self._session.scalars(IMPORTS_WITH_ERRORS, {"owner": owner_id}).all():
            self._empty_errors(import_id, fan_ids)
        for statement in ERASE:
            self._session.execute(sql(statement), {"fans": list(fan_ids), "owner": owner_id})
        return emptied

    def _empty_messages(self, fan_id: FanId) -> int:
        emptied, after = 0, 0
        while True:
            place = {"fan": fan_id, "after": after, "limit": ERASE_BATCH}
            ids = self._session.scalars(EMPTY_MESSAGES, place).all()
            emptied += len(ids)
            if len(ids) < ERASE_BATCH:
                return emptied
            after = max(ids)

    def _empty_errors(self, import_id: int, fan_ids: Sequence[FanId]) -> None:
        place = {"id": import_id, "fans": list(fan_ids), "after": 0, "limit": ERASE_BATCH}
        while last := self._session.scalar(LAST_OF_ERRORS, place):
            self._session.execute(EMPTY_ERRORS, place | {"last": last})
            place["after"] = last

    def records(
        self, section: str, fan_id: FanId, after: int, limit: int
    ) -> Sequence[Mapping[str, Any]]:
        query = f"{SECTIONS[section]} WHERE fan_id = :fan AND id > :after ORDER BY id LIMIT :limit"
        place = {"fan": fan_id, "after": after, "limit": limit}
        result = cast("CursorResult[Any]", self._session.execute(sql(query), place))
        return [dict(row) for row in result.mappings()]

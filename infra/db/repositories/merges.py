"""Duplicates found, and two fans' rows made one and parted again."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy import text as sql
from sqlalchemy.orm import Session

from domain.connections import ConnectionId
from domain.fans import FanId
from domain.paging import TOTAL_MAX, Page
from domain.repositories import Duplicate, Merge, MergeId
from domain.users import OwnerId, UserId
from infra.db.repositories.cursors import read_cursor, whole, write_cursor
from infra.db.repositories.fan_lists import plan_anew
from infra.db.repositories.fans import fan_of
from infra.db.tables import FanMergeRow, FanRow

# Fans looked at by one query, and queries by one page: a page costs the same whatever it finds.
WINDOW, WINDOWS = 2000, 2
NEWEST_ID = 2**63 - 1
# Each of a window's fans asks three indexes for an older fan like itself.
DUPLICATES = sql(
    """
    WITH seen AS (
      SELECT id, email, handle, platform, platform_user_id FROM fans
      WHERE user_id = :owner AND deleted_at IS NULL AND id < :before
      ORDER BY id DESC LIMIT :window
    )
    SELECT s.id, o.id AS other, o.reason FROM seen s CROSS JOIN LATERAL (
      (SELECT f.id, 'email' AS reason FROM fans f
        WHERE f.user_id = :owner AND f.deleted_at IS NULL AND f.id < s.id
          AND lower(f.email) = lower(s.email) LIMIT 1)
      UNION ALL
      (SELECT f.id, 'platformUserId' FROM fans f
        WHERE f.user_id = :owner AND f.deleted_at IS NULL AND f.id < s.id
          AND f.platform_user_id = s.platform_user_id AND f.platform = s.platform LIMIT 1)
      UNION ALL
      (SELECT f.id, 'handle' FROM fans f
        WHERE f.user_id = :owner AND f.deleted_at IS NULL AND f.id < s.id
          AND translate(lower(f.handle), '@._-', '') = translate(lower(s.handle), '@._-', '')
          AND translate(lower(s.handle), '@._-', '') <> '' AND f.platform = s.platform LIMIT 1)
    ) o
    ORDER BY s.id DESC, o.id DESC, o.reason
    """
)
LAST_SEEN_ID = sql(
    """
    SELECT min(id), count(*) FROM (
      SELECT id FROM fans WHERE user_id = :owner AND deleted_at IS NULL AND id < :before
      ORDER BY id DESC LIMIT :window) seen
    """
)
CONNECTIONS = sql(
    """
    SELECT connection_id FROM fans WHERE id = ANY(:ids) AND connection_id IS NOT NULL
    UNION SELECT connection_id FROM conversations WHERE fan_id = ANY(:ids)
    ORDER BY 1
    """
)
CONVERSATIONS = sql(
    """
    SELECT c.id, c.connection_id, c.platform, c.created_at, twin.id AS into
    FROM conversations c
    LEFT JOIN conversations twin
      ON twin.fan_id = :kept AND twin.connection_id = c.connection_id
    WHERE c.fan_id = :merged ORDER BY c.id
    """
)
# A conversation's numbers, after messages went in or out.
RECOUNT = sql(
    """
    UPDATE conversations c SET
      last_message_at = coalesce((SELECT max(created_at) FROM messages m
        WHERE m.conversation_id = c.id), c.created_at),
      last_direction = (SELECT direction FROM messages m
        WHERE m.conversation_id = c.id ORDER BY created_at DESC, id DESC LIMIT 1),
      is_direct = EXISTS (SELECT FROM messages m
        WHERE m.conversation_id = c.id AND m.campaign_id IS NULL),
      unread_count = (SELECT count(*) FROM messages m
        WHERE m.conversation_id = c.id AND m.direction = 'in' AND NOT m.read
          AND m.deleted_at IS NULL)
    WHERE c.id = ANY(:ids)
    """
)
REOPEN = sql(
    """
    INSERT INTO conversations (id, user_id, fan_id, connection_id, platform, created_at)
    VALUES (:id, :owner, :merged, :connection_id, :platform, cast(:created_at AS timestamptz))
    """
)
# Who else's messages stand in a conversation of a fan's: those of fans merged into it before.
FAMILY = sql(
    """
    WITH RECURSIVE family(id) AS (
      SELECT cast(:fan AS bigint)
      UNION SELECT f.id FROM fans f JOIN family ON f.merged_into = family.id
    ) SELECT id FROM family ORDER BY id
    """
)
# Of a campaign a fan has one message.
NO_TWIN = """(m.campaign_id IS NULL OR NOT EXISTS (SELECT FROM messages twin
      WHERE twin.campaign_id = m.campaign_id AND twin.fan_id = :merged))"""
# Whoever waits to be written to is written to as the fan that is kept, unless that one is in the
# audience itself.
TAKE_RECIPIENTS = sql(
    """
    UPDATE campaign_recipients r SET fan_id = :kept
    WHERE fan_id = :merged
      AND NOT EXISTS (SELECT FROM campaign_recipients o
        WHERE o.campaign_id = r.campaign_id AND o.fan_id = :kept)
      AND NOT EXISTS (SELECT FROM messages m
        WHERE m.campaign_id = r.campaign_id AND m.fan_id IN (:kept, :merged))
    RETURNING campaign_id
    """
)
# After the messages: those not written yet, and those whose message went along.
RETURN_RECIPIENTS = sql(
    """
    UPDATE campaign_recipients r SET fan_id = :merged
    WHERE fan_id = :kept
      AND NOT EXISTS (SELECT FROM campaign_recipients o
        WHERE o.campaign_id = r.campaign_id AND o.fan_id = :merged)
      AND NOT EXISTS (SELECT FROM messages m
        WHERE m.campaign_id = r.campaign_id AND m.fan_id = :kept)
      AND (campaign_id = ANY(:ids) OR EXISTS (SELECT FROM messages m
        WHERE m.campaign_id = r.campaign_id AND m.fan_id = :merged))
    """
)
ON_LINK = "fan_id = :kept AND connection_id = :connection"
FOLLOW_CONVERSATION = sql(
    f"""
    UPDATE conversations SET fan_id = :merged WHERE {ON_LINK} AND created_at >= :at
      AND NOT EXISTS (SELECT FROM conversations
        WHERE fan_id = :merged AND connection_id = :connection)
    """  # noqa: S608  # a constant of ours
)
FOLLOW_TALK = sql(
    f"""
    UPDATE messages m SET fan_id = :merged FROM conversations c
    WHERE m.fan_id = :kept AND c.id = m.conversation_id AND c.id = ANY(:ids)
      AND c.fan_id = :merged AND {NO_TWIN}
    """  # noqa: S608
)
FOLLOW_MESSAGES = sql(
    f"""
    UPDATE messages m SET fan_id = :merged, conversation_id = (SELECT id FROM conversations
      WHERE fan_id = :merged AND connection_id = :connection)
    WHERE {ON_LINK} AND created_at >= :at AND {NO_TWIN}
    """  # noqa: S608
)
FOLLOW_MONEY = sql(
    f"UPDATE transactions SET fan_id = :merged WHERE {ON_LINK} AND happened_at >= :at"  # noqa: S608
)


def family(session: Session, fan_id: FanId) -> Sequence[FanId]:
    """The fan and all that were merged into it."""
    return [FanId(one) for one in session.scalars(FAMILY, {"fan": fan_id})]


class SqlMergeRepository:
    """MergeRepository on PostgreSQL."""

    def __init__(self, session: Session) -> None:
        self._session = session

    # Finding

    def duplicates(
        self, owner_id: OwnerId, limit: int, cursor: str | None
    ) -> tuple[Sequence[Duplicate], str | None]:
        before = read_cursor(cursor, "duplicates", whole)[0] if cursor else NEWEST_ID
        plan_anew(self._session)
        pairs: list[tuple[int, int, list[str]]] = []
        for _ in range(WINDOWS):
            place = {"owner": owner_id, "before": before, "window": WINDOW}
            last, seen = self._session.execute(LAST_SEEN_ID, place).one()
            for one in self._pairs(place):
                pairs.append(one)
                # A fan's pairs stay together: the next page begins with the next fan.
                if len(pairs) > limit and pairs[-1][0] != pairs[-2][0]:
                    break
            if len(pairs) > limit:
                break
            if seen < WINDOW:
                return self._shown(pairs), None
            before = last
        if len(pairs) > limit and pairs[-1][0] != pairs[-2][0]:
            pairs.pop()
            before = pairs[-1][0]
        return self._shown(pairs), write_cursor("duplicates", before)

    def _pairs(self, place: Mapping[str, Any]) -> Iterator[tuple[int, int, list[str]]]:
        rows = self._session.execute(DUPLICATES, place).all()
        for (fan, other), same in groupby(rows, lambda row: (row.id, row.other)):
            yield fan, other, [row.reason for row in same]

    def _shown(self, pairs: Sequence[tuple[int, int, list[str]]]) -> Sequence[Duplicate]:
        ids = {one for fan, other, _ in pairs for one in (fan, other)}
        rows = self._session.scalars(select(FanRow).where(FanRow.id.in_(ids)))
        fans = {row.id: fan_of(row) for row in rows}
        return [Duplicate(fans[fan], fans[other], reasons) for fan, other, reasons in pairs]

    # Merging

    def connections_of(self, fan_ids: Sequence[FanId]) -> Sequence[ConnectionId]:
        return [
            ConnectionId(one) for one in self._session.scalars(CONNECTIONS, {"ids": list(fan_ids)})
        ]

    def move(self, kept: FanId, merged: FanId) -> dict[str, Any]:
        two = {"kept": kept, "merged": merged}
        conversations: list[int] = []
        joined: list[dict[str, Any]] = []
        for row in self._session.execute(CONVERSATIONS, two).all():
            if row.into is None:
                conversations.append(row.id)
                continue
            self._run(
                "UPDATE messages SET conversation_id = :into WHERE conversation_id = :id",
                into=row.into,
                id=row.id,
            )
            # Lists need not know about it: it is made again when the two are parted.
            self._run("DELETE FROM conversations WHERE id = :id", id=row.id)
            joined.append({**row._mapping, "created_at": row.created_at.isoformat()})  # noqa: SLF001
        self._run(
            "UPDATE conversations SET fan_id = :kept WHERE id = ANY(:ids)",
            kept=kept,
            ids=conversations,
        )
        self._recount([one["into"] for one in joined])
        transactions = self._session.scalars(
            sql("UPDATE transactions SET fan_id = :kept WHERE fan_id = :merged RETURNING id"), two
        )
        recipients = self._session.scalars(TAKE_RECIPIENTS, two)
        return {
            "recipients": sorted(recipients),
            "conversations": conversations,
            "joined": joined,
            "transactions": sorted(transactions),
        }

    def move_back(self, merge: Merge, *, link_returns: bool) -> None:
        two = {"kept": merge.kept_id, "merged": merge.merged_id}
        self._run(
            "UPDATE conversations SET fan_id = :merged WHERE id = ANY(:ids) AND fan_id = :kept",
            ids=merge.moved["conversations"],
            **two,
        )
        # What was said in them since was said with the merged fan.
        self._session.execute(FOLLOW_TALK, {**two, "ids": merge.moved["conversations"]})
        theirs = family(self._session, merge.merged_id)
        for one in merge.moved["joined"]:
            values = {**one, "owner": merge.owner_id, "merged": merge.merged_id}
            self._session.execute(REOPEN, values)
            self._run(
                "UPDATE messages SET conversation_id = :id"
                " WHERE conversation_id = :into AND fan_id = ANY(:theirs)",
                id=one["id"],
                into=one["into"],
                theirs=theirs,
            )
        self._run(
            "UPDATE transactions SET fan_id = :merged WHERE id = ANY(:ids) AND fan_id = :kept",
            ids=merge.moved["transactions"],
            **two,
        )
        if link_returns:
            place = {**two, "connection": merge.kept_after["connection_id"], "at": merge.at}
            for statement in (FOLLOW_CONVERSATION, FOLLOW_MESSAGES, FOLLOW_MONEY):
                self._session.execute(statement, place)
        recipients = merge.moved.get("recipients", [])
        self._session.execute(RETURN_RECIPIENTS, {**two, "ids": recipients})
        touched = self._session.scalars(
            sql("SELECT id FROM conversations WHERE fan_id IN (:kept, :merged) ORDER BY id"), two
        )
        self._recount(list(touched))

    def _run(self, statement: str, **values: Any) -> None:
        self._session.execute(sql(statement), values)

    def _recount(self, conversation_ids: Sequence[int]) -> None:
        if conversation_ids:
            self._session.execute(RECOUNT, {"ids": list(conversation_ids)})

    # Remembering

    def add(
        self,
        owner_id: OwnerId,
        kept: FanId,
        merged: FanId,
        actor_id: UserId,
        *,
        before: Mapping[str, Any],
        after: Mapping[str, Any],
        moved: Mapping[str, Any],
    ) -> Merge:
        row = self._session.scalars(
            insert(FanMergeRow)
            .values(
                user_id=owner_id,
                kept_id=kept,
                merged_id=merged,
                actor_id=actor_id,
                kept_before=dict(before),
                kept_after=dict(after),
                moved=dict(moved),
            )
            .returning(FanMergeRow)
        ).one()
        return _merge_of(row)

    def get(self, owner_id: OwnerId, merge_id: MergeId) -> Merge | None:
        row = self._session.scalar(
            select(FanMergeRow)
            .where(FanMergeRow.id == merge_id, FanMergeRow.user_id == owner_id)
            .execution_options(populate_existing=True)
        )
        return _merge_of(row) if row else None

    def last_of(self, kept: FanId) -> MergeId | None:
        found = self._session.scalar(
            select(func.max(FanMergeRow.id)).where(
                FanMergeRow.kept_id == kept, FanMergeRow.undone_at.is_(None)
            )
        )
        return None if found is None else MergeId(found)

    def set_undone(self, merge: Merge) -> None:
        self._session.execute(
            update(FanMergeRow).where(FanMergeRow.id == merge.id).values(undone_at=func.now())
        )

    def page(self, owner_id: OwnerId, limit: int, cursor: str | None) -> Page[Merge]:
        merges = select(FanMergeRow).where(FanMergeRow.user_id == owner_id)
        counted = select(func.count()).select_from(merges.limit(TOTAL_MAX + 1).subquery())
        total = self._session.scalar(counted) or 0
        if cursor is not None:
            merges = merges.where(FanMergeRow.id < read_cursor(cursor, "merges", whole)[0])
        rows = self._session.scalars(merges.order_by(FanMergeRow.id.desc()).limit(limit + 1)).all()
        more = write_cursor("merges", rows[limit - 1].id) if len(rows) > limit else None
        return Page(
            [_merge_of(row) for row in rows[:limit]],
            min(total, TOTAL_MAX),
            is_capped=total > TOTAL_MAX,
            next_cursor=more,
        )


def _merge_of(row: FanMergeRow) -> Merge:
    return Merge(
        id=MergeId(row.id),
        owner_id=OwnerId(row.user_id),
        kept_id=FanId(row.kept_id),
        merged_id=FanId(row.merged_id),
        actor_id=None if row.actor_id is None else UserId(row.actor_id),
        kept_before=row.kept_before,
        kept_after=row.kept_after,
        moved=row.moved,
        at=row.at,
        undone_at=row.undone_at,
    )

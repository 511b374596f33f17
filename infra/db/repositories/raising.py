"""Raising and resolving notifications, in the commit that makes them true.

A repository notes which rows may have to be told of; the unit of work looks at them just before it
commits. So the lock that an owner's notifications are numbered under is always the last one taken,
and whoever sends a message that does not fail pays nothing."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text as sql
from sqlalchemy.orm import Session

from domain.notifications import TOGETHER, Kind
from domain.pacing import BREAKER_AT

# Numbers become visible in their order: "seen up to 7" can then hide no 6 that comes later.
IN_TURN = sql("SELECT pg_advisory_xact_lock(4711006, cast(:owner AS bigint)::int)")
STANDS = "(m.state = 'failed' OR (m.state = 'unknown' AND m.wake_after IS NULL))"
# What a person settled as not sent is known to that person.
FAILED = sql(
    f"""
    SELECT m.id, m.user_id, m.connection_id, m.campaign_id, m.state,
      CASE WHEN m.state = 'failed' THEN m.error_code END AS code
    FROM messages m WHERE m.id = ANY(:ids) AND {STANDS}
      AND m.error_code IS DISTINCT FROM 'not_sent_by_person'
    ORDER BY m.id
    """  # noqa: S608  # a constant of ours
)
# One that nobody can act on any more is not gone on with: what fails now would not be noticed.
GOING = sql(
    f"""
    SELECT n.id FROM notifications n
    WHERE n.connection_id = :connection AND n.kind = :kind AND n.resolved_at IS NULL
      AND n.campaign_id IS NOT DISTINCT FROM cast(:campaign AS bigint)
      AND n.code IS NOT DISTINCT FROM cast(:code AS text)
      AND (n.campaign_id IS NOT NULL OR n.created_at > now() - :together)
      AND EXISTS (SELECT FROM messages m
        WHERE m.notification_id = n.id AND {STANDS} AND m.id <> ALL(:ids))
    ORDER BY n.id DESC LIMIT 1
    """  # noqa: S608  # a constant of ours
)
TELL = sql(
    """
    INSERT INTO notifications (user_id, kind, code, connection_id, campaign_id)
    VALUES (:owner, :kind, :code, :connection, :campaign) RETURNING id
    """
)
JOIN = sql("UPDATE messages SET notification_id = :id WHERE id = ANY(:ids)")
# What a row says now, against what was told of it: `wanted` is what there should be.
CONNECTION = f"""
    SELECT c.user_id, '{Kind.CONNECTION_PAUSED}' AS kind, c.state AS code,
      NULL AS detail, c.id AS connection_id, NULL::bigint AS campaign_id, NULL::bigint AS import_id
    FROM platform_connections c WHERE c.id = :id AND c.state IN ('paused_auth', 'paused_quota')
    UNION ALL
    SELECT c.user_id, '{Kind.PLATFORM_FAILING}', NULL, NULL, c.id, NULL, NULL
    FROM platform_connections c
    WHERE c.id = :id AND c.state = 'active' AND c.failures >= {BREAKER_AT}"""  # noqa: S608  # constants of ours
# Only what paused itself says why.
CAMPAIGN = f"""
    SELECT k.user_id, CASE k.status WHEN 'failed' THEN '{Kind.CAMPAIGN_FAILED}'
        ELSE '{Kind.CAMPAIGN_PAUSED}' END AS kind,
      NULL AS code, k.reason AS detail, NULL::bigint AS connection_id, k.id AS campaign_id,
      NULL::bigint AS import_id
    FROM campaigns k WHERE k.id = :id
      AND (k.status = 'failed' OR (k.status = 'paused' AND k.reason IS NOT NULL))"""  # noqa: S608  # constants of ours
IMPORT = f"""
    SELECT i.user_id, '{Kind.IMPORT_FAILED}' AS kind, i.failure_code AS code, i.failure AS detail,
      NULL::bigint AS connection_id, NULL::bigint AS campaign_id, i.id AS import_id
    FROM imports i WHERE i.id = :id AND i.state = 'failed'"""  # noqa: S608  # constants of ours
KINDS = {
    "connection_id": (Kind.CONNECTION_PAUSED, Kind.PLATFORM_FAILING),
    "campaign_id": (Kind.CAMPAIGN_PAUSED, Kind.CAMPAIGN_FAILED),
    "import_id": (Kind.IMPORT_FAILED,),
}
WANTED = {"connection_id": CONNECTION, "campaign_id": CAMPAIGN, "import_id": IMPORT}
# The same file, imported after all.
SAME_FILE = sql(
    """
    UPDATE notifications n SET resolved_at = now()
    FROM imports done JOIN imports failed
      ON failed.user_id = done.user_id AND failed.file_hash = done.file_hash
    WHERE done.id = :id AND done.state = 'completed' AND NOT done.dry_run
      AND n.import_id = failed.id AND n.resolved_at IS NULL
    """
)


@dataclass
class Noted:
    """Rows that changed in this transaction and may have to be told of."""

    messages: set[int] = field(default_factory=set)
    subjects: set[tuple[str, int]] = field(default_factory=set)


def message_stands(session: Session, message_id: int) -> None:
    """A message has failed, or waits for a person from now on."""
    _noted(session).messages.add(message_id)


def subject_changed(session: Session, column: str, row_id: int) -> None:
    """A connection, campaign or import (by the column that names it) went into another state."""
    _noted(session).subjects.add((column, row_id))


def tell(session: Session) -> None:
    """Raise and resolve what the rows noted so far call for; just before the commit."""
    noted = session.info.pop("notifications", None)
    if noted is None:
        return
    session.flush()
    for column, row_id in sorted(noted.subjects):
        _follow(session, column, row_id)
    if noted.messages:
        _tell_messages(session, sorted(noted.messages))


def _noted(session: Session) -> Noted:
    noted: Noted = session.info.setdefault("notifications", Noted())
    return noted


def _follow(session: Session, column: str, row_id: int) -> None:
    wanted, kinds = WANTED[column], list(KINDS[column])
    told = f"n.{column} = :id AND n.kind = ANY(:kinds) AND n.resolved_at IS NULL"
    same = "n.kind = w.kind AND n.code IS NOT DISTINCT FROM w.code"
    session.execute(
        sql(
            f"""
            UPDATE notifications n SET resolved_at = now()
            WHERE {told} AND NOT EXISTS (SELECT FROM ({wanted}) w WHERE {same})
            """  # noqa: S608  # constants of ours
        ),
        {"id": row_id, "kinds": kinds},
    )
    missing = f"""
        SELECT w.* FROM ({wanted}) w
        WHERE NOT EXISTS (SELECT FROM notifications n WHERE {told} AND {same})"""  # noqa: S608  # constants of ours
    new = session.execute(sql(missing), {"id": row_id, "kinds": kinds}).mappings().all()
    for one in new:
        session.execute(IN_TURN, {"owner": one["user_id"]})
        session.execute(
            sql(
                """
                INSERT INTO notifications
                  (user_id, kind, code, detail, connection_id, campaign_id, import_id)
                VALUES
                  (:user_id, :kind, :code, :detail, :connection_id, :campaign_id, :import_id)
                """
            ),
            dict(one),
        )
    if column == "import_id":
        session.execute(SAME_FILE, {"id": row_id})


def _tell_messages(session: Session, ids: Sequence[int]) -> None:
    groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for row in session.execute(FAILED, {"ids": ids}):
        kind = Kind.MESSAGES_FAILED if row.state == "failed" else Kind.MESSAGES_UNPROVEN
        group = (row.user_id, row.connection_id, row.campaign_id or 0, kind, row.code)
        groups[group].append(row.id)
    for group in sorted(groups, key=repr):
        owner, connection, campaign, kind, code = group
        session.execute(IN_TURN, {"owner": owner})
        asked = {
            "owner": owner,
            "connection": connection,
            "campaign": campaign or None,
            "kind": kind,
            "code": code,
        }
        among = {"ids": groups[group], "together": TOGETHER}
        told = session.scalar(GOING, asked | among) or session.scalar(TELL, asked)
        session.execute(JOIN, {"id": told, "ids": groups[group]})

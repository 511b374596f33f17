"""Counts of all owners' rows, by the indexes that each owner's pages use."""

from collections import defaultdict
from datetime import timedelta

from sqlalchemy import text as sql
from sqlalchemy.orm import Session

from domain.telemetry import Lane, Stage, Standing, Tally, Window
from infra.db.repositories.rows import WAITING_SUMS

TAKE = sql(
    """
    SELECT told_to AS start, now() - :lag AS end FROM telemetry
    WHERE told_to <= now() - :lag - :every FOR UPDATE SKIP LOCKED
    """
)
# The very first time; before that there is nothing to tell.
BEGIN = sql(
    "INSERT INTO telemetry (id, told_to) VALUES (1, now() - :lag) ON CONFLICT (id) DO NOTHING"
)
TOLD = sql("UPDATE telemetry SET told_to = :end")
OWNERS = "SELECT id FROM users WHERE owner_id = id"
QUEUED = sql(
    f"""
    SELECT coalesce(sum(n), 0)::bigint FROM ({OWNERS}) o CROSS JOIN LATERAL (
      SELECT count(*) AS n FROM messages m
      WHERE m.user_id = o.id AND m.queued_at >= :start AND m.queued_at < :end) counted
    """  # noqa: S608  # a constant of ours
)
FAILED = sql(
    f"""
    SELECT code, sum(n)::bigint AS n FROM ({OWNERS}) o CROSS JOIN LATERAL (
      SELECT coalesce(m.error_code, 'unknown') AS code, count(*) AS n FROM messages m
      WHERE m.user_id = o.id AND m.failed_at >= :start AND m.failed_at < :end
        AND m.state = 'failed' GROUP BY 1) counted
    GROUP BY code ORDER BY code
    """  # noqa: S608
)
# One that a webhook or a person proved has no call of its own: it is counted, and not timed.
SENT = sql(
    f"""
    SELECT s.* FROM ({OWNERS}) o CROSS JOIN LATERAL (
      SELECT m.queued_at, m.sent_at, m.promised_at, a.slot_at, a.started_at, a.finished_at
      FROM messages m
      LEFT JOIN message_attempts a ON a.message_id = m.id AND a.outcome = 'sent'
      WHERE m.user_id = o.id AND m.sent_at >= :start AND m.sent_at < :end
        AND m.origin = 'huntaze') s
    """  # noqa: S608
)
# As monitoring judges it: a paused account, or one that the platform holds back, makes nobody late.
STANDING = sql(
    f"""
    WITH lines AS (SELECT m.connection_id, {WAITING_SUMS} GROUP BY m.connection_id)
    SELECT coalesce(sum(direct), 0)::bigint AS direct,
      coalesce(sum(campaigns), 0)::bigint AS campaigns,
      coalesce(extract(epoch FROM now() - min(due_at) FILTER (WHERE goes)), 0)::float AS lateness,
      coalesce(extract(epoch FROM now() - min(oldest_direct_at) FILTER (WHERE goes)), 0)::float
        AS oldest_age
    FROM lines JOIN (SELECT id, state = 'active' AND coalesce(blocked_until <= now(), true) AS goes
      FROM platform_connections) c ON c.id = lines.connection_id
    """  # noqa: S608
)
UNKNOWN = sql(
    f"""
    SELECT coalesce(sum(n), 0)::bigint FROM ({OWNERS}) o CROSS JOIN LATERAL (
      SELECT count(*) AS n FROM messages m WHERE m.user_id = o.id AND m.state = 'unknown') counted
    """  # noqa: S608
)


class SqlTelemetryRepository:
    """TelemetryRepository on PostgreSQL."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def take(self, every: timedelta, lag: timedelta) -> Window | None:
        row = self._session.execute(TAKE, {"every": every, "lag": lag}).one_or_none()
        if row is None:
            self._session.execute(BEGIN, {"lag": lag})
            return None
        return Window(row.start, row.end)

    def tally(self, window: Window) -> Tally:
        asked = vars(window)
        sent = self._session.execute(SENT, asked).all()
        times: dict[Stage, list[float]] = defaultdict(list)
        for row in sent:
            if row.slot_at is None:
                continue
            for stage, begun, done in (
                (Stage.WAIT, row.queued_at, row.slot_at),
                (Stage.START, row.slot_at, row.started_at),
                (Stage.CALL, row.started_at, row.finished_at),
                (Stage.TOTAL, row.queued_at, row.finished_at),
            ):
                times[stage].append(max(0.0, (done - begun).total_seconds() * 1000))
        return Tally(
            queued=self._session.scalar(QUEUED, asked) or 0,
            processed=len(sent),
            failed={row.code: row.n for row in self._session.execute(FAILED, asked)},
            times=times,
            promise_errors=[
                (row.sent_at - row.promised_at).total_seconds() for row in sent if row.promised_at
            ],
        )

    def standing(self) -> Standing:
        row = self._session.execute(STANDING).one()
        return Standing(
            waiting={Lane.DIRECT: row.direct, Lane.CAMPAIGN: row.campaigns},
            unknown=self._session.scalar(UNKNOWN) or 0,
            lateness=max(0.0, row.lateness),
            oldest_age=max(0.0, row.oldest_age),
        )

    def told(self, window: Window) -> None:
        self._session.execute(TOLD, {"end": window.end})

"""The engine: timeouts on every connection, and a pool that fails fast instead of queueing."""

import contextlib
import select
import time

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, DisconnectionError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry

from domain.errors import Unavailable
from infra import tracing
from infra.settings import Settings

# Errors that say "PostgreSQL is away", as opposed to "this statement is wrong".
AWAY = (OperationalError, PoolTimeoutError)

LOCK_TIMEOUT_MS = 4000
# Advisory locks: any constants, used nowhere else.
HEALING_LOCK = 4_711_001
MIGRATION_LOCK = 4_711_002


def is_away(problem: BaseException | None) -> bool:
    """Whether PostgreSQL is away, or ended this session, as it does to one that stood still in a
    transaction."""
    return isinstance(problem, AWAY) or (
        isinstance(problem, DBAPIError) and problem.connection_invalidated
    )


def make_engine(settings: Settings) -> Engine:
    """An engine whose statements, locks and idle transactions all end by themselves."""
    url = settings.database_url
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            url = "postgresql+psycopg://" + url.removeprefix(prefix)
    statement_ms = int(settings.statement_timeout_seconds * 1000)
    engine = create_engine(
        url,
        pool_size=settings.database_pool_size,
        max_overflow=0,
        pool_timeout=settings.statement_timeout_seconds,
        connect_args={
            "connect_timeout": 3,
            "application_name": "huntaze",
            "options": f"-c statement_timeout={statement_ms} -c lock_timeout={LOCK_TIMEOUT_MS}"
            " -c idle_in_transaction_session_timeout=15000 -c timezone=UTC",
            # A server that vanished is noticed in about ten seconds, not in two hours.
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,
        },
    )
    event.listen(engine, "checkout", notice_closed)
    if settings.otel_exporter_otlp_endpoint:
        event.listen(engine, "before_cursor_execute", notice_start)
        event.listen(engine, "after_cursor_execute", trace_statement)
    return engine


def notice_start(connection: Connection, *_: object) -> None:
    connection.info["statement_started_ns"] = time.time_ns()


def trace_statement(connection: Connection, _: object, statement: str, *_others: object) -> None:
    """Its kind only: a statement may quote what somebody wrote."""
    kind = statement.split(maxsplit=1)[0].upper()
    tracing.past(f"postgresql {kind}", connection.info["statement_started_ns"])


def notice_closed(connection: DBAPIConnection, _: ConnectionPoolEntry, _proxy: object) -> None:
    """Replace a pooled connection that the server has closed: one look at the socket instead of a
    query before every transaction. An idle connection has nothing to say but good-bye."""
    readable, *_others = select.select([connection.pgconn.socket], [], [], 0)
    if readable:
        raise DisconnectionError


class HealingTurn:
    """The right to run the healing timer, held by one process at a time.

    The lock lives in a PostgreSQL session: when the process or the session dies, it is free."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._session: Connection | None = None

    def ours(self) -> bool:
        """Whether this process holds the turn now; raises Unavailable while PostgreSQL is away,
        and then holds nothing."""
        try:
            if self._session is None:
                self._session = self._engine.connect().execution_options(
                    isolation_level="AUTOCOMMIT"
                )
                locked = self._session.scalar(text(f"SELECT pg_try_advisory_lock({HEALING_LOCK})"))
                if not locked:
                    self.give_up()
                    return False
            else:
                self._session.execute(text("SELECT 1"))
        except AWAY as problem:
            self.give_up()
            raise Unavailable("the database does not answer") from problem
        return True

    @property
    def held(self) -> bool:
        """Whether the last look said it is ours."""
        return self._session is not None

    def give_up(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with contextlib.suppress(DBAPIError):
                session.invalidate()
                session.close()

"""What operators look at: dependencies, queues, the limiter with its reasons, and alarms.

Alarms are computed when somebody looks, from rows where rows know, so they cannot drift.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooSlow
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Lock

from domain.alarms import FAILURE_WINDOW, Alarm, Numbers, Severity, judge
from domain.connections import Connection, ConnectionId, ConnectionState
from domain.errors import Unavailable
from domain.notices import pause_notice
from domain.pacing import BucketView
from domain.ports import Bus, BusUnavailable, QueueDepth, WorkerErrors
from domain.repositories import OpenUnitOfWork, PromiseReport, StatusCounts, WaitingLine
from domain.services.connections import ConnectionPace, ConnectionService
from domain.services.promises import instant
from domain.services.rules import SendingRules
from domain.users import Caller, OwnerId, Permission

PROMISE_WINDOW = timedelta(hours=24)

PROBE_SECONDS = 2.0
# Load balancers, dashboards and people ask at once: one answer serves them for this long.
PROBE_KEPT_SECONDS = 2.0
DEPTH_KEPT_SECONDS = 2.0
BREAKER_FAILURES = 5
SLOWEST = timedelta(seconds=60)

Probe = Callable[[], object]


@dataclass(frozen=True)
class Dependency:
    """Whether something we need answered, and how fast."""

    name: str
    ok: bool
    latency_ms: float


@dataclass(frozen=True)
class LimiterLine:
    """A connection's pace in words. Without Redis, `bucket` is None and the interval is what the
    rows say."""

    connection: Connection
    bucket: BucketView | None
    interval_ms: float
    next_free_at: datetime | None
    rate_per_minute: float
    burst: int
    slowdown: int
    blocked_until: datetime | None
    reason: str

    @property
    def goes(self) -> bool:
        """Whether it may send now: it is neither paused nor blocked by a rate limit or breaker."""
        return self.connection.state is ConnectionState.ACTIVE and self.blocked_until is None

    @property
    def waiting(self) -> int | None:
        return sum(self.bucket.waiting.values()) if self.bucket else None


@dataclass(frozen=True)
class Overview:
    """Everything at a glance; `queues` is empty while SQS is away, and what rows know is empty or
    None while PostgreSQL is. `waiting` holds connections at which something waits; `dead_lettered`
    counts the caller's own messages."""

    status: str
    as_of: datetime
    dependencies: Sequence[Dependency]
    queues: Sequence[QueueDepth]
    limiter: Sequence[LimiterLine]
    alarms: Sequence[Alarm]
    waiting: Mapping[ConnectionId, WaitingLine]
    promises: PromiseReport | None
    dead_lettered: int


class Probes:
    """Asks every dependency at the same time and waits for none longer than PROBE_SECONDS."""

    def __init__(
        self,
        probes: Mapping[str, Probe],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        patience: float = PROBE_SECONDS,
    ) -> None:
        self._probes = probes
        self._monotonic = monotonic
        self._patience = patience
        self._threads = ThreadPoolExecutor(max(1, 2 * len(probes)), "probe")
        self._lock = Lock()
        self._asked_at = float("-inf")
        self._answer: Sequence[Dependency] = ()

    def ask(self) -> Sequence[Dependency]:
        """Every dependency's state, at most PROBE_KEPT_SECONDS old."""
        with self._lock:
            if self._monotonic() - self._asked_at >= PROBE_KEPT_SECONDS:
                self._answer = self._ask_all()
                self._asked_at = self._monotonic()
            return self._answer

    def _ask_all(self) -> Sequence[Dependency]:
        started = self._monotonic()
        asked = {
            name: self._threads.submit(self._timed, probe) for name, probe in self._probes.items()
        }
        return [self._heard(name, answer, started) for name, answer in asked.items()]

    def _timed(self, probe: Probe) -> float:
        started = self._monotonic()
        probe()
        return self._monotonic() - started

    def _heard(self, name: str, answer: Future[float], started: float) -> Dependency:
        left = started + self._patience - self._monotonic()
        try:
            seconds, ok = answer.result(max(0.0, left)), True
        except TooSlow:
            answer.cancel()
            seconds, ok = self._monotonic() - started, False
        except Exception:  # noqa: BLE001  # whatever a probe raises means "away", and is logged there
            seconds, ok = self._monotonic() - started, False
        return Dependency(name, ok, round(seconds * 1000, 1))


class MonitoringService:
    """The use cases of operators."""

    def __init__(
        self,
        open_unit_of_work: OpenUnitOfWork,
        bus: Bus,
        connections: ConnectionService,
        rules: SendingRules,
        probes: Probes,
        *,
        worker_errors: WorkerErrors,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open = open_unit_of_work
        self._bus = bus
        self._connections = connections
        self._rules = rules
        self._probes = probes
        self._worker_errors = worker_errors
        self._monotonic = monotonic
        self._depths: dict[OwnerId, tuple[float, int | None]] = {}

    @property
    def enabled(self) -> bool:
        """Whether sending is switched on."""
        return self._rules.enabled

    def dependencies(self) -> Sequence[Dependency]:
        """Whether PostgreSQL, Redis and SQS answer."""
        return self._probes.ask()

    def limiter(self, caller: Caller, now: datetime) -> Sequence[LimiterLine]:
        """The pace of every connection of the caller, and why it is what it is."""
        return [self._line(pace, now) for pace in self._connections.list_paces(caller)]

    def overview(self, caller: Caller, now: datetime) -> Overview:
        """Everything at a glance; it answers whatever is away."""
        caller.require(Permission.READ)
        dependencies = self.dependencies()
        queues = self._queues()
        counts = self._counts(caller.owner_id, now - FAILURE_WINDOW)
        limiter = self.limiter(caller, now) if counts else ()
        waiting, promises = self._waiting(caller.owner_id, now) if counts else ({}, None)
        alarms = [
            replace(one, why=f"{one.why}; counted from rows while SQS does not answer")
            if queues is None and one.name == "dead_letters"
            else one
            for one in judge(self._numbers(now, queues, counts, limiter, waiting))
        ]
        return Overview(
            status=_status(dependencies, alarms),
            as_of=now,
            dependencies=dependencies,
            queues=queues or (),
            limiter=limiter,
            alarms=alarms,
            waiting=waiting,
            promises=promises,
            dead_lettered=counts.dead_lettered if counts else 0,
        )

    def queue_depth(self, caller: Caller) -> int | None:
        """How many of the caller's messages wait, at most two seconds old; None when it cannot be
        told. For log lines: it never raises."""
        asked_at, depth = self._depths.get(caller.owner_id, (float("-inf"), None))
        if self._monotonic() - asked_at >= DEPTH_KEPT_SECONDS:
            depth = self._queued_count(caller.owner_id)
            self._depths[caller.owner_id] = (self._monotonic(), depth)
        return depth

    def _queues(self) -> Sequence[QueueDepth] | None:
        try:
            return self._bus.depths()
        except BusUnavailable:
            return None

    def _counts(self, owner_id: OwnerId, since: datetime) -> StatusCounts | None:
        try:
            with self._open() as work:
                return work.messages.status(owner_id, since)
        except Unavailable:
            return None

    def _queued_count(self, owner_id: OwnerId) -> int | None:
        try:
            with self._open() as work:
                return work.messages.queued_count(owner_id)
        except Unavailable:
            return None

    def _waiting(
        self, owner_id: OwnerId, now: datetime
    ) -> tuple[Mapping[ConnectionId, WaitingLine], PromiseReport | None]:
        try:
            with self._open() as work:
                lines = work.messages.waiting_lines(owner_id)
                promises = work.messages.promise_report(owner_id, now - PROMISE_WINDOW)
        except Unavailable:
            return {}, None
        return {line.connection_id: line for line in lines}, promises

    def _numbers(
        self,
        now: datetime,
        queues: Sequence[QueueDepth] | None,
        counts: StatusCounts | None,
        limiter: Sequence[LimiterLine],
        waiting: Mapping[ConnectionId, WaitingLine],
    ) -> Numbers:
        """What alarms are judged by. An account that is paused, or that the platform holds back,
        makes nobody late: that is told apart. Dead letters are counted from rows while SQS does not
        answer."""
        if counts is None:
            dead = None if queues is None else sum(one.dead_letters for one in queues)
            return Numbers(dead_letters=dead, worker_errors=self._worker_errors.last_minute())
        going = [
            waiting[line.connection.id]
            for line in limiter
            if self.enabled and line.goes and line.connection.id in waiting
        ]
        dead = counts.dead_lettered
        if queues is not None:
            dead = sum(one.dead_letters for one in queues)
        return Numbers(
            depth=counts.queued,
            dead_letters=dead,
            sent=counts.sent_today,
            failed=counts.failed_today,
            worker_errors=self._worker_errors.last_minute(),
            lateness=max((_age(one.due_at, now) for one in going), default=0.0),
            oldest_age=max((_age(one.oldest_direct_at, now) for one in going), default=0.0),
        )

    def _line(self, pace: ConnectionPace, now: datetime) -> LimiterLine:
        connection, bucket = pace.connection, pace.bucket
        rule = self._rules.pace(connection)
        slowest = SLOWEST.total_seconds() * 1000
        widened = min(rule.interval_ms * 2**connection.slowdown, max(slowest, rule.interval_ms))
        slowdown, failures, blocked_until = _learned(connection, bucket)
        if blocked_until and blocked_until <= (instant(bucket.now_ms) if bucket else now):
            blocked_until = None
        free_at = None
        if bucket and not rule.paused:
            free_at = instant(max(bucket.next_free_ms, bucket.blocked_until_ms, bucket.now_ms))
        return LimiterLine(
            connection=connection,
            bucket=bucket,
            interval_ms=bucket.interval_ms if bucket else widened,
            next_free_at=free_at,
            rate_per_minute=connection.rate_per_minute or self._rules.rate_per_minute,
            burst=rule.burst,
            slowdown=slowdown,
            blocked_until=blocked_until,
            reason=self._reason(connection, slowdown, failures, blocked_until),
        )

    def _reason(
        self,
        connection: Connection,
        slowdown: int,
        failures: int,
        blocked_until: datetime | None,
    ) -> str:
        if connection.state is not ConnectionState.ACTIVE:
            return f"paused: {connection.state_reason or pause_notice(connection.state).reason}"
        if not self._rules.enabled:
            return "paused: sending is switched off"
        if blocked_until and failures >= BREAKER_FAILURES:
            return (
                f"breaker: {failures} troubled calls in a row,"
                f" next try at {blocked_until:%H:%M:%S} UTC"
            )
        if blocked_until or slowdown:
            return "slowed down by the platform"
        return "own rate" if connection.rate_per_minute else "default rate"


def _learned(connection: Connection, bucket: BucketView | None) -> tuple[int, int, datetime | None]:
    """Slowdown, failures and block: the bucket knows first, the row remembers."""
    if bucket is None:
        return connection.slowdown, connection.failures, connection.blocked_until
    until = instant(bucket.blocked_until_ms) if bucket.blocked_until_ms else None
    return bucket.slowdown, bucket.failures, until


def _status(dependencies: Sequence[Dependency], alarms: Sequence[Alarm]) -> str:
    if any(one.name == "postgres" and not one.ok for one in dependencies):
        return "down"
    critical = any(one.firing and one.severity == Severity.CRITICAL for one in alarms)
    return "degraded" if critical or not all(one.ok for one in dependencies) else "ok"


def _age(since: datetime | None, now: datetime) -> float:
    return max(0.0, round((now - since).total_seconds(), 1)) if since else 0.0

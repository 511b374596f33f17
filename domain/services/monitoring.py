"""What operators look at: dependencies, queues, the limiter with its reasons, and alarms.

Alarms are computed when somebody looks, from rows where rows know, so they cannot drift.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooSlow
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from domain.connections import Connection, ConnectionState
from domain.errors import Unavailable
from domain.pacing import BucketView
from domain.ports import Bus, BusUnavailable, QueueDepth
from domain.repositories import OpenUnitOfWork, StatusCounts
from domain.services.connections import ConnectionPace, ConnectionService
from domain.services.promises import instant
from domain.services.rules import SendingRules
from domain.users import Caller, OwnerId, Permission

# The product owner's alarms.
DEPTH_LIMIT, DEAD_LETTER_LIMIT, FAILURE_RATE_LIMIT = 100, 10, 0.05
FAILURE_WINDOW = timedelta(minutes=15)
# Below this one failure would already be an alarm.
FAILURE_MIN_SENDS = 20

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
class Alarm:
    """A threshold and where we stand; `value` is None when it cannot be told."""

    name: str
    severity: str
    firing: bool
    value: float | None
    threshold: float
    why: str


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
    def waiting(self) -> int | None:
        return sum(self.bucket.waiting.values()) if self.bucket else None


@dataclass(frozen=True)
class Overview:
    """Everything at a glance; `queues` is empty while SQS is away."""

    status: str
    as_of: datetime
    dependencies: Sequence[Dependency]
    queues: Sequence[QueueDepth]
    limiter: Sequence[LimiterLine]
    alarms: Sequence[Alarm]


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
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open = open_unit_of_work
        self._bus = bus
        self._connections = connections
        self._rules = rules
        self._probes = probes
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
        alarms = [_depth_alarm(counts), _dead_letter_alarm(queues, counts), _failure_alarm(counts)]
        return Overview(
            status=_status(dependencies, alarms),
            as_of=now,
            dependencies=dependencies,
            queues=queues or (),
            limiter=self.limiter(caller, now) if counts else (),
            alarms=alarms,
        )

    def queue_depth(self, caller: Caller, now: datetime) -> int | None:
        """How many of the caller's messages wait, at most two seconds old; None when it cannot be
        told. For log lines: it never raises."""
        asked_at, depth = self._depths.get(caller.owner_id, (float("-inf"), None))
        if self._monotonic() - asked_at >= DEPTH_KEPT_SECONDS:
            counts = self._counts(caller.owner_id, now)
            depth = counts.queued if counts else None
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
            return f"paused: {connection.state_reason or connection.state}"
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
    critical = any(one.firing and one.severity == "critical" for one in alarms)
    return "degraded" if critical or not all(one.ok for one in dependencies) else "ok"


def _depth_alarm(counts: StatusCounts | None) -> Alarm:
    depth = counts.queued if counts else None
    return Alarm(
        name="queue_depth",
        severity="warning",
        firing=depth is not None and depth > DEPTH_LIMIT,
        value=depth,
        threshold=DEPTH_LIMIT,
        why="messages accepted and not sent yet; normal while a campaign runs",
    )


def _dead_letter_alarm(queues: Sequence[QueueDepth] | None, counts: StatusCounts | None) -> Alarm:
    rows = counts.dead_lettered if counts else None
    value = rows if queues is None else sum(queue.dead_letters for queue in queues)
    return Alarm(
        name="dead_letters",
        severity="critical",
        firing=value is not None and value > DEAD_LETTER_LIMIT,
        value=value,
        threshold=DEAD_LETTER_LIMIT,
        why="queue messages given up after five tries"
        + ("; counted from rows while SQS does not answer" if queues is None else ""),
    )


def _failure_alarm(counts: StatusCounts | None) -> Alarm:
    done = counts.sent_today + counts.failed_today if counts else 0
    rate = counts.failed_today / done if counts and done >= FAILURE_MIN_SENDS else None
    return Alarm(
        name="failure_rate",
        severity="warning",
        firing=rate is not None and rate > FAILURE_RATE_LIMIT,
        value=None if rate is None else round(rate, 4),
        threshold=FAILURE_RATE_LIMIT,
        why=f"failed / (sent + failed) in the last 15 minutes; {done} so far,"
        f" judged from {FAILURE_MIN_SENDS} on",
    )

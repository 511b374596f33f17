"""Health, and everything at a glance."""

from pydantic import Field

from api.schemas.base import Answered, Instant


class DependencyView(Answered):
    name: str
    ok: bool
    latency_ms: float


class QueueView(Answered):
    name: str
    depth: int
    in_flight: int
    oldest_age_sec: int | None
    dlq_count: int


class LimiterGlance(Answered):
    connection_id: int
    next_free_at: Instant | None
    interval_ms: float
    reason: str
    waiting: int | None


class AlarmView(Answered):
    name: str
    severity: str
    firing: bool
    value: float | None
    threshold: float
    why: str


class MonitoringReply(Answered):
    status: str = Field(description="ok, degraded or down")
    as_of: Instant
    build: str
    dependencies: list[DependencyView]
    queues: list[QueueView]
    limiter: list[LimiterGlance]
    alarms: list[AlarmView]


class HealthReply(Answered):
    status: str
    build: str


class ReadyReply(Answered):
    status: str
    build: str
    dependencies: list[DependencyView]

"""Health and the glance at everything as response bodies."""

from api.schemas import monitoring as schemas
from domain.alarms import Alarm
from domain.services.monitoring import Dependency, Overview


def dependency(one: Dependency) -> schemas.DependencyView:
    return schemas.DependencyView(name=one.name, ok=one.ok, latency_ms=one.latency_ms)


def alarm(one: Alarm) -> schemas.AlarmView:
    return schemas.AlarmView(
        name=one.name,
        severity=one.severity,
        firing=one.firing,
        value=one.value,
        threshold=one.threshold,
        why=one.why,
    )


def overview(told: Overview, build: str) -> schemas.MonitoringReply:
    return schemas.MonitoringReply(
        status=told.status,
        as_of=told.as_of,
        build=build,
        dependencies=[dependency(one) for one in told.dependencies],
        queues=[
            schemas.QueueView(
                name=one.name,
                depth=one.depth,
                in_flight=one.in_flight,
                oldest_age_sec=one.oldest_age_seconds,
                dlq_count=one.dead_letters,
            )
            for one in told.queues
        ],
        limiter=[
            schemas.LimiterGlance(
                connection_id=line.connection.id,
                next_free_at=line.next_free_at,
                interval_ms=round(line.interval_ms, 3),
                reason=line.reason,
                waiting=line.waiting,
            )
            for line in told.limiter
        ],
        alarms=[alarm(one) for one in told.alarms],
    )

"""Accounts and their pace as response bodies."""

from api.schemas import connections as schemas
from domain.connections import Connection
from domain.services.monitoring import LimiterLine


def connection(one: Connection) -> schemas.ConnectionView:
    return schemas.ConnectionView(
        connection_id=one.id,
        platform=one.platform,
        name=one.name,
        account_id=one.account_id,
        state=one.state,
        state_reason=one.state_reason,
        rate_per_minute=one.rate_per_minute,
        burst=one.burst,
        created_at=one.created_at,
    )


def limiter(line: LimiterLine) -> schemas.LimiterConnection:
    one, bucket = line.connection, line.bucket
    return schemas.LimiterConnection(
        connection_id=one.id,
        name=one.name,
        account_id=one.account_id,
        state=one.state,
        state_reason=one.state_reason,
        next_free_at=line.next_free_at,
        interval_ms=round(line.interval_ms, 3),
        reason=line.reason,
        waiting=line.waiting,
        waiting_by_priority={
            priority: count for priority, count in sorted(bucket.waiting.items()) if count
        }
        if bucket
        else {},
        in_flight=bucket.in_flight if bucket else None,
        permits_out=bucket.permits_out if bucket else None,
        slowdown=line.slowdown,
        blocked_until=line.blocked_until,
        rate_per_minute=line.rate_per_minute,
        burst=line.burst,
    )

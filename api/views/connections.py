"""Accounts and their pace as response bodies."""

from api.schemas import connections as schemas
from domain.connections import Connection
from domain.services.connections import ConnectionReport
from domain.services.monitoring import LimiterLine
from domain.services.promises import instant


def connection(one: Connection) -> schemas.ConnectionView:
    limits = one.bulk_limits
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
        username=one.username,
        campaign_limits=schemas.CampaignLimitsView(
            per_hour=limits.per_hour,
            per_day=limits.per_day,
            per_fan_per_day=limits.per_fan,
            hours=limits.hours[0].record() if limits.hours else None,
            warm_up_since=limits.warm_up_since,
            held_until=one.bulk_held_until,
            held_reason=one.bulk_held_why,
        ),
    )


def detail(report: ConnectionReport) -> schemas.ConnectionDetail:
    one, bucket = report.connection, report.bucket
    return schemas.ConnectionDetail(
        **dict(connection(one)),
        health=schemas.ConnectionHealth(
            last_sync_at=one.synced_at,
            next_sync_at=one.sync_after,
            sync_error=one.sync_error,
            waiting=report.waiting,
            next_free_at=instant(bucket.next_free_ms) if bucket else None,
        ),
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

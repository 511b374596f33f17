"""Domain values as response bodies."""

from typing import TypeVar

from api import schemas
from domain.connections import Connection
from domain.fans import Fan, parse_recipient, recipient_id
from domain.messages import Attempt
from domain.notices import WAITING, Notice, Wait
from domain.services.messages import MessageReport, SendResult
from domain.services.monitoring import Alarm, Dependency, LimiterLine, Overview
from domain.services.status import QueueStatus

Body = TypeVar("Body", bound=schemas.Answered)
Reply = tuple[Body, int, dict[str, str]]

ACCEPTED = Notice(
    WAITING, "stored; it goes at its turn", "nothing to do: statusUrl tells how it goes"
)


def reply(body: Body, status: int, result: SendResult) -> Reply[Body]:
    """The body with its status, marked when an Idempotency-Key brought it back."""
    return body, status, {"Idempotent-Replayed": "true"} if result.replayed else {}


def canonical(recipient: str) -> str:
    """fan_123, however it was written."""
    return recipient_id(parse_recipient(recipient))


def queued(result: SendResult) -> schemas.Queued:
    assert result.message_id is not None
    return schemas.Queued(
        message_id=result.message_id,
        status=result.status,
        queued_at=result.queued_at,
        estimated_send_time=result.estimated_send_at,
    )


def accepted(result: SendResult) -> schemas.Accepted:
    stands = queued(result)
    return schemas.Accepted(
        **dict(stands),
        notice=notice(ACCEPTED),
        status_url=f"/api/onlyfans/messages/{stands.message_id}",
    )


def notice(told: Notice) -> schemas.NoticeView:
    return schemas.NoticeView(text=told.text, reason=told.reason, remedy=told.remedy)


def wait(told: Wait) -> schemas.WaitView:
    return schemas.WaitView(reason=told.reason, text=told.text, until=told.until, ahead=told.ahead)


def message(report: MessageReport) -> schemas.MessageView:
    one = report.message
    ahead = report.wait.ahead if report.wait else None
    return schemas.MessageView(
        message_id=one.public_id,
        id=one.id,
        status=one.state,
        recipient_id=recipient_id(one.fan_id),
        content=one.text,
        price_cents=one.price_cents,
        media_urls=[item.url for item in one.attachments],
        metadata=dict(one.metadata),
        priority=one.priority,
        queued_at=one.queued_at,
        promised_send_time=one.promised_at,
        estimated_send_time=one.estimated_send_at,
        sent_at=one.sent_at,
        delay=one.delay,
        wait=wait(report.wait) if report.wait else None,
        place=None if ahead is None else ahead + 1,
        notice=notice(report.notice) if report.notice else None,
        attempts=[attempt(each) for each in report.attempts],
        platform_message_id=one.platform_message_id,
        error_code=one.error_code,
    )


def attempt(one: Attempt) -> schemas.AttemptView:
    return schemas.AttemptView(
        attempt_no=one.attempt_no,
        send_key=one.send_key,
        claimed_at=one.claimed_at,
        slot_at=one.slot_at,
        started_at=one.started_at,
        finished_at=one.finished_at,
        outcome=one.outcome,
        http_status=one.http_status,
        error_code=one.error_code,
        detail=one.detail,
        platform_message_id=one.platform_message_id,
    )


def evidence(report: MessageReport) -> schemas.Evidence:
    return schemas.Evidence(
        message_id=report.message.public_id,
        status=report.message.state,
        promised_send_time=report.message.promised_at,
        sent_at=report.message.sent_at,
        attempts=[attempt(each) for each in report.attempts],
    )


def status(told: QueueStatus) -> schemas.StatusReply:
    return schemas.StatusReply(
        queue_depth=told.queue_depth,
        messages_in_flight=told.messages_in_flight,
        dlq_count=told.dlq_count,
        last_processed_at=told.last_processed_at,
        metrics=schemas.Today(
            messages_queued_today=told.messages_queued_today,
            messages_processed_today=told.messages_processed_today,
            failure_rate=told.failure_rate,
        ),
        as_of=told.as_of,
        enabled=told.enabled,
        reason=None if told.enabled else "disabled",
        unknown=told.unknown,
        time_zone=told.time_zone,
        sqs=schemas.SqsView.model_validate(told.sqs) if told.sqs else None,
        stale=told.stale,
    )


def fan(one: Fan) -> schemas.FanView:
    return schemas.FanView(
        id=one.id,
        user_id=one.owner_id,
        name=one.name,
        platform=one.platform,
        handle=one.handle,
        email=one.email,
        avatar=one.avatar,
        tags=list(one.tags),
        value_cents=one.value_cents,
        last_seen_at=one.last_seen_at,
        notes=one.notes,
        created_at=one.created_at,
        updated_at=one.updated_at,
        linked=one.linked,
        recipient_id=recipient_id(one.id),
    )


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

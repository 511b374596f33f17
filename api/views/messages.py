"""Messages and the queue as response bodies."""

from typing import TypeVar

from api.bodies import replay_mark
from api.schemas import messages as schemas
from api.schemas.base import Answered
from domain.fans import parse_recipient, recipient_id
from domain.messages import Attempt
from domain.notices import ACCEPTED, Notice, Wait
from domain.services.reports import MessageReport
from domain.services.results import SendResult
from domain.services.status import QueueStatus
from domain.services.unsending import Unsending

Body = TypeVar("Body", bound=Answered)
Reply = tuple[Body, int, dict[str, str]]


def reply(body: Body, status: int, result: SendResult) -> Reply[Body]:
    """The body with its status, marked when an Idempotency-Key brought it back."""
    return body, status, replay_mark(replayed=result.replayed)


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


def unsending(asked: Unsending) -> schemas.Unsending:
    sent = asked.message.outgoing
    assert sent is not None
    return schemas.Unsending(
        message_id=sent.public_id, status=sent.state, unsending=True, until=asked.until
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

"""Campaigns as response bodies."""

from collections.abc import Mapping, Sequence
from typing import Any

from api.schemas import campaigns as schemas
from api.schemas.base import iso
from domain.campaigns import Campaign, CampaignStatus, Exclusion, Progress
from domain.fans import FanId, recipient_id
from domain.notices import explain_account
from domain.paging import Page
from domain.repositories import Delivery
from domain.services.campaigns import CampaignReport, CampaignResult
from domain.services.planning import Plan

PATH = "/api/messages/bulk"
SHOWN = 20


def status_url(one: Campaign) -> str:
    return f"{PATH}/{one.public_id}"


def started(result: CampaignResult) -> schemas.Started:
    one = result.campaign
    progress = one.progress
    has_begun = progress.sent or progress.sending or progress.failed or progress.unknown
    waits = one.status is CampaignStatus.ACTIVE and not has_begun
    return schemas.Started(
        campaign_id=one.public_id,
        total_recipients=one.total,
        estimated_completion_time=one.promised_at,
        status="queued" if waits else one.status,
        status_url=status_url(one),
        duplicates=result.duplicates,
        excluded_count=one.audience.get("excludedCount", 0),
        excluded=[schemas.ExcludedView.model_validate(left_out) for left_out in result.excluded],
    )


def progress(found: Progress) -> schemas.ProgressView:
    settled = found.total - found.waiting - found.unknown
    return schemas.ProgressView(
        total=found.total,
        sent=found.sent,
        delivered=found.delivered,
        waiting=found.waiting,
        sending=found.sending,
        failed=found.failed,
        unknown=found.unknown,
        unproven=found.unproven,
        cancelled=found.cancelled,
        gone=found.gone,
        percent=100 * settled // max(found.total, 1),
    )


def _held(one: Campaign) -> str | None:
    if one.held_until is None or one.status is not CampaignStatus.ACTIVE:
        return None
    return f"outside its sending hours: it goes on at {iso(one.held_until)}"


def brief(one: Campaign) -> schemas.Brief:
    counts = one.progress
    return schemas.Brief(
        campaign_id=one.public_id,
        id=one.id,
        name=one.name,
        type="bulk_message",
        status=one.status,
        status_url=status_url(one),
        reason=one.reason or _held(one),
        template={"content": one.content, "mediaUrls": list(one.media_urls)},
        price_cents=one.price_cents,
        priority=one.priority,
        metadata=dict(one.metadata),
        metrics=schemas.MetricsView(
            sent=counts.sent,
            delivered=counts.delivered,
            failed=counts.failed,
            revenue_cents=counts.net_cents,
        ),
        progress=progress(counts),
        purchases=counts.purchased,
        gross_cents=counts.gross_cents,
        promised_completion_time=one.promised_at,
        scheduled_at=one.scheduled_at,
        hours=one.hours and one.hours.record(),
        held_until=one.held_until,
        failure_percent=one.failure_percent,
        created_at=one.created_at,
        started_at=one.started_at,
        completed_at=one.completed_at,
        version=one.version,
    )


def whole(report: CampaignReport) -> schemas.CampaignView:
    return schemas.CampaignView(**_whole(report))


def changed(report: CampaignReport, in_flight: int) -> schemas.ChangedView:
    return schemas.ChangedView(**_whole(report), in_flight=in_flight)


def _whole(report: CampaignReport) -> dict[str, Any]:
    drift = report.drift
    return {
        **dict(brief(report.campaign)),
        "target_audience": dict(report.campaign.audience),
        "estimated_completion_time": report.estimated_at,
        "drift_sec": None if drift is None else round(drift.total_seconds()),
        "delays": dict(report.delays),
        "holds": [
            schemas.HoldView(
                connection_id=one.id,
                name=one.name,
                reason=wait.reason,
                text=wait.text,
                until=wait.until,
            )
            for one in report.holds
            if (wait := explain_account(one))
        ],
    }


def page(found: Page[Campaign]) -> schemas.CampaignsReply:
    return schemas.CampaignsReply(
        campaigns=[brief(one) for one in found.items],
        total=found.total,
        total_capped=found.is_capped,
        next_cursor=found.next_cursor,
    )


def recipients(found: Page[Delivery]) -> schemas.RecipientsReply:
    return schemas.RecipientsReply(
        recipients=[_recipient(one) for one in found.items],
        total=found.total,
        total_capped=found.is_capped,
        next_cursor=found.next_cursor,
    )


def _recipient(one: Delivery) -> schemas.RecipientView:
    return schemas.RecipientView(
        position=one.position,
        recipient_id=recipient_id(one.fan_id),
        name=one.name,
        handle=one.handle,
        text=one.text,
        message_id=one.message_id,
        status=one.status,
        promised_send_time=one.promised_at,
        estimated_send_time=one.estimated_send_at,
        delay=one.delay,
        sent_at=one.sent_at,
        error_code=one.error_code,
        purchased_at=one.purchased_at,
    )


def excluded(found: Sequence[tuple[FanId, Exclusion]]) -> Sequence[Mapping[str, str]]:
    return [
        {"recipientId": recipient_id(fan_id), "code": why.name.lower(), "reason": why.value}
        for fan_id, why in found
    ]


def estimate(plan: Plan) -> schemas.Estimate:
    count = len(plan.recipients)
    return schemas.Estimate(
        total_recipients=count,
        duplicates=plan.duplicates,
        excluded_count=sum(plan.excluded_by.values()),
        excluded=[schemas.ExcludedView.model_validate(one) for one in excluded(plan.excluded)],
        estimated_completion_time=plan.promised_at,
        accounts=len(plan.intervals),
        credits=count,
        # One to begin, and for each message its release: send, receive, delete.
        sqs_requests=3 * (count + 1),
        reply_delay_sec=round(max(plan.intervals.values()).total_seconds(), 2),
        previews=[
            schemas.PreviewText(
                recipient_id=recipient_id(one.fan_id),
                text=one.text,
                promised_send_time=one.promised_at,
            )
            for one in plan.recipients[:SHOWN]
            if one.fan_id > 0  # not an imagined one
        ],
    )

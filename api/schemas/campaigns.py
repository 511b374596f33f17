"""Campaigns: what may be asked of them, and what is answered."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from api.schemas.base import Answered, Asked, HoursBody, Instant, Moment, PageQuery
from domain.connections import RATE_MAX
from domain.services.planning import SIZE_MAX

StatusName = Literal["draft", "scheduled", "active", "paused", "completed", "cancelled", "failed"]
StateName = Literal[
    "waiting",
    "gone",
    "queued",
    "sending",
    "sent",
    "delivered",
    "failed",
    "unknown",
    "cancelled",
    "unsent",
]
SegmentNumber = Annotated[int, Field(ge=1, le=2**63 - 1)]


class BulkRequest(Asked):
    recipient_ids: list[str] | None = Field(None, description="fan_<number> each")
    segment_ids: list[SegmentNumber] | None = Field(None, description="the fans of these segments")
    exclude_ids: list[str] | None = Field(None, description="fan_<number> each")
    exclude_segment_ids: list[SegmentNumber] | None = None
    content: str = Field(
        description="{name} becomes the fan's name, {name|you} the words after the bar for a fan"
        " without one",
        json_schema_extra={"minLength": 1, "maxLength": 5000},
    )
    media_urls: list[str] | None = Field(
        None, description="https addresses", json_schema_extra={"maxItems": 20}
    )
    price_cents: int | None = Field(None, description="0, or 300 to 20000 for a message with media")
    campaign_name: str = Field(json_schema_extra={"minLength": 1, "maxLength": 255})
    priority: int | None = Field(
        None,
        description="1 is the most urgent; default 8",
        json_schema_extra={"minimum": 1, "maximum": 10},
    )
    metadata: dict[str, Any] | None = Field(
        None, description="yours, at most 4 KB of JSON; returned in reads"
    )
    scheduled_at: Moment | None = Field(
        None, description="start then, with its zone; the audience is frozen at that time"
    )
    hours: HoursBody | None = Field(None, description="it sends in these hours of the day only")
    failure_percent: int = Field(
        20, ge=1, le=100, description="it pauses when more than that of what was tried failed"
    )


class EstimateRequest(Asked):
    """As a campaign, without its name; and what if."""

    size: int | None = Field(
        None,
        description="that many imagined fans over the active accounts, instead of an audience",
        json_schema_extra={"minimum": 1, "maximum": SIZE_MAX},
    )
    rate_per_minute: float | None = Field(
        None, gt=0, le=RATE_MAX, description="instead of each account's own"
    )
    scheduled_at: Moment | None = None
    hours: HoursBody | None = None
    recipient_ids: list[str] | None = None
    segment_ids: list[SegmentNumber] | None = None
    exclude_ids: list[str] | None = None
    exclude_segment_ids: list[SegmentNumber] | None = None
    content: str = Field(
        "", description="may be left out with size", json_schema_extra={"maxLength": 5000}
    )
    priority: int | None = Field(None, json_schema_extra={"minimum": 1, "maximum": 10})


class TestRequest(Asked):
    content: str = Field(json_schema_extra={"minLength": 1, "maxLength": 5000})
    media_urls: list[str] | None = Field(None, json_schema_extra={"maxItems": 20})
    price_cents: int | None = None
    recipient_id: str | None = Field(None, description="left out: the one fan that is tagged test")


class StatusRequest(Asked):
    status: Literal["paused", "active", "cancelled"]


class CampaignsQuery(PageQuery):
    status: StatusName | None = None


class RecipientsQuery(PageQuery):
    state: StateName | None = None


class ExcludedView(Answered):
    recipient_id: str
    code: str
    reason: str


class Started(Answered):
    campaign_id: UUID
    total_recipients: int
    estimated_completion_time: Instant | None = Field(
        description="a promise; null while an account is paused or sending is off"
    )
    status: str = Field(description="queued until its first message has begun")
    status_url: str
    duplicates: int = Field(description="ids that were named twice; each fan gets one message")
    excluded_count: int
    excluded: list[ExcludedView] = Field(description="who was left out and why, the first 1000")


class ProgressView(Answered):
    """Recipients by what became of them. sent + waiting + failed + unknown + cancelled + gone =
    total; delivered are of the sent, sending of the waiting."""

    total: int
    sent: int
    delivered: int
    waiting: int
    sending: int
    failed: int
    unknown: int
    unproven: int = Field(description="of the unknown: they wait for a person to decide")
    cancelled: int
    gone: int = Field(description="deleted or unlinked before their message was written")
    percent: int


class MetricsView(Answered):
    """Counted from the messages and their money, now."""

    sent: int
    delivered: int
    failed: int
    revenue_cents: int = Field(alias="revenue_cents", description="net")


class Brief(Answered):
    campaign_id: UUID
    id: int
    name: str
    type: str
    status: str
    status_url: str
    reason: str | None
    template: dict[str, Any]
    price_cents: int | None
    priority: int
    metadata: dict[str, Any]
    metrics: MetricsView
    progress: ProgressView
    purchases: int
    gross_cents: int
    promised_completion_time: Instant | None
    scheduled_at: Instant | None
    hours: dict[str, str] | None
    held_until: Instant | None = Field(description="when its hours open; null while they are")
    failure_percent: int
    created_at: Instant
    started_at: Instant | None
    completed_at: Instant | None
    version: int


class HoldView(Answered):
    connection_id: int
    name: str
    reason: str
    text: str
    until: Instant | None


class CampaignView(Brief):
    target_audience: dict[str, Any]
    estimated_completion_time: Instant | None = Field(description="as it looks now")
    drift_sec: int | None = Field(description="how much later than promised it ends")
    delays: dict[str, int] = Field(description="why waiting messages are late, with how many are")
    holds: list[HoldView] = Field(description="accounts whose state, hours or caps hold it now")


class ChangedView(CampaignView):
    in_flight: int = Field(
        description="messages that had begun before the answer, and are not stopped by it"
    )


class CampaignsReply(Answered):
    campaigns: list[Brief]
    total: int
    total_capped: bool
    next_cursor: str | None


class RecipientView(Answered):
    position: int
    recipient_id: str
    name: str
    handle: str
    text: str
    message_id: UUID | None
    status: str = Field(
        description="of its message; without one: waiting until it is written, gone when the fan"
        " was deleted or unlinked before, or cancelled"
    )
    promised_send_time: Instant | None
    estimated_send_time: Instant | None
    delay: str | None
    sent_at: Instant | None
    error_code: str | None
    purchased_at: Instant | None


class RecipientsReply(Answered):
    recipients: list[RecipientView]
    total: int
    total_capped: bool
    next_cursor: str | None


class PreviewText(Answered):
    recipient_id: str
    text: str
    promised_send_time: Instant | None


class Estimate(Answered):
    """What a campaign started now would do; nothing is stored."""

    total_recipients: int
    duplicates: int
    excluded_count: int
    excluded: list[ExcludedView]
    estimated_completion_time: Instant | None
    accounts: int = Field(description="over how many accounts it spreads")
    credits: int = Field(description="of the gateway: one for each message")
    sqs_requests: int = Field(description="at most: a release is sent, received and deleted")
    reply_delay_sec: float = Field(
        description="how much later a reply leaves at most while it runs: the longest interval"
    )
    previews: list[PreviewText] = Field(description="the texts of the first 20")

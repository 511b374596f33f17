"""Sending one message, following it, and the queue in numbers."""

from typing import Any
from uuid import UUID

from pydantic import Field

from api.schemas.base import Answered, Asked, Instant


class SendRequest(Asked):
    recipient_id: str = Field(
        description="fan_<number>", json_schema_extra={"pattern": "^(fan_)?[0-9]+$"}
    )
    content: str = Field(json_schema_extra={"minLength": 1, "maxLength": 5000})
    media_urls: list[str] | None = Field(
        None, description="https addresses", json_schema_extra={"maxItems": 20}
    )
    priority: int | None = Field(
        None,
        description="1 is the most urgent; default 5",
        json_schema_extra={"minimum": 1, "maximum": 10},
    )
    price_cents: int | None = Field(None, description="0, or 300 to 20000 for a message with media")
    metadata: dict[str, Any] | None = Field(
        None, description="yours, at most 4 KB of JSON; returned in reads"
    )


class NoticeView(Answered):
    text: str
    reason: str
    remedy: str


class WaitView(Answered):
    reason: str
    text: str
    until: Instant | None
    ahead: int | None = Field(description="how many go before it")


class Queued(Answered):
    """Where a message stands after a request that changed it."""

    message_id: UUID
    status: str
    queued_at: Instant | None
    estimated_send_time: Instant | None


class Unsending(Answered):
    """A message on its way back."""

    message_id: UUID
    status: str = Field(description="unsent once the platform has agreed")
    unsending: bool
    until: Instant = Field(description="after this the platform no longer takes it back")


class Accepted(Queued):
    notice: NoticeView
    status_url: str


class MessageView(Answered):
    """A message as a whole. `sending` and `unknown` are literal: called, and not proved yet."""

    message_id: UUID
    id: int
    status: str
    recipient_id: str
    content: str
    price_cents: int | None
    media_urls: list[str]
    metadata: dict[str, Any]
    priority: int
    queued_at: Instant
    promised_send_time: Instant | None = Field(description="what the sender was told first")
    estimated_send_time: Instant | None = Field(description="the present estimate")
    sent_at: Instant | None
    delay: str | None = Field(description="why it is later than promised")
    wait: WaitView | None
    place: int | None = Field(description="its place in the queue, 1 goes next")
    notice: NoticeView | None
    attempts: list["AttemptView"]
    platform_message_id: str | None
    error_code: str | None


class AttemptView(Answered):
    """One line of the ledger."""

    attempt_no: int
    send_key: str
    claimed_at: Instant
    slot_at: Instant | None
    started_at: Instant | None
    finished_at: Instant | None
    outcome: str | None
    http_status: int | None
    error_code: str | None
    detail: str | None
    platform_message_id: str | None


class Evidence(Answered):
    """What was promised and every call that was made."""

    message_id: UUID
    status: str
    promised_send_time: Instant | None
    sent_at: Instant | None
    attempts: list[AttemptView]


class Today(Answered):
    messages_queued_today: int
    messages_processed_today: int
    failure_rate: float | None = Field(description="failed / (sent + failed); null if none")


class SqsView(Answered):
    depth: int
    in_flight: int
    dead_letters: int


class StatusReply(Answered):
    queue_depth: int
    messages_in_flight: int
    dlq_count: int
    last_processed_at: Instant | None
    metrics: Today
    as_of: Instant
    enabled: bool
    reason: str | None = Field(description="why nothing leaves: disabled")
    unknown: int
    time_zone: str = Field(description="whose midnight starts the day")
    sqs: SqsView | None = Field(description="as SQS counts, approximately")
    stale: bool = Field(description="SQS does not answer; the rest is counted from rows")

"""What travels: one pydantic model per body, in camelCase, with instants as ISO 8601 UTC.

Requests are strict about types and names; the rules of the values are the domain's. What a client
should know of those rules stands beside the field for the OpenAPI document.
"""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel


def iso(moment: datetime) -> str:
    """As in 2025-11-01T12:00:06.030Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Instant = Annotated[datetime, PlainSerializer(iso, return_type=str)]


class Asked(BaseModel):
    """A request body: unknown names and wrong types are refused."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True)


class Query(BaseModel):
    """A query string, where every value is text."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")


class Answered(BaseModel):
    """A response body."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


# Identity


class LoginRequest(Asked):
    email: str = Field(json_schema_extra={"maxLength": 254})
    password: str = Field(json_schema_extra={"maxLength": 1024})


class UserView(Answered):
    id: int
    email: str
    role: str


class LoginReply(Answered):
    token: str
    token_type: str = "Bearer"  # noqa: S105  # the scheme's name
    expires_at: Instant
    user: UserView


# Messages


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


# Fans


class PageQuery(Query):
    limit: int = Field(50, ge=1, le=100)
    cursor: str | None = Field(None, description="nextCursor of the page before")


class FanView(Answered):
    id: int
    user_id: int
    name: str
    platform: str
    handle: str
    email: str | None
    avatar: str | None
    tags: list[str]
    value_cents: int
    last_seen_at: Instant | None
    notes: str | None
    created_at: Instant
    updated_at: Instant
    linked: bool = Field(description="whether messages can be sent")
    recipient_id: str


class FansReply(Answered):
    fans: list[FanView]
    total: int
    next_cursor: str | None


# Connections and pace


class ConnectionView(Answered):
    connection_id: int
    platform: str
    name: str
    account_id: str
    state: str
    state_reason: str | None
    rate_per_minute: float | None = Field(description="null: the default rate")
    burst: int | None
    created_at: Instant


class ConnectionsReply(Answered):
    connections: list[ConnectionView]


class LimiterConnection(Answered):
    connection_id: int
    name: str
    account_id: str
    state: str
    state_reason: str | None
    next_free_at: Instant | None = Field(description="null while paused, or while Redis is away")
    interval_ms: float
    reason: str = Field(description="why the interval is what it is")
    waiting: int | None
    waiting_by_priority: dict[int, int]
    in_flight: int | None
    permits_out: int | None
    slowdown: int = Field(description="how often the interval was doubled")
    blocked_until: Instant | None
    rate_per_minute: float
    burst: int


class LimiterReply(Answered):
    as_of: Instant
    enabled: bool
    connections: list[LimiterConnection]


# Monitoring


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


# Errors


class Detail(Answered):
    field: str
    message: str


class ErrorReply(Answered):
    """Every refusal. 429 and 503 carry the last three fields too."""

    error: str = Field(description="for people")
    code: str = Field(description="for programs; stable")
    details: list[Detail]
    request_id: str
    retry_after_sec: int | None = None
    reason: str | None = None
    limit: int | None = None

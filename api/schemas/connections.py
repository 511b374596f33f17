"""Connected accounts and their pace."""

from typing import Literal

from pydantic import Field

from api.schemas.base import Answered, Asked, HoursBody, Instant
from domain.bulk_limits import PER_DAY_MAX, PER_FAN_MAX, PER_HOUR_MAX
from domain.connections import BURST_MAX, KEY_MAX, NAME_MAX, RATE_MAX


class ConnectRequest(Asked):
    platform: Literal["onlyfans"]
    account_id: str = Field(
        pattern=r"^acct_[A-Za-z0-9_-]{1,64}$", description="the gateway's id of the account"
    )
    name: str | None = Field(
        None, min_length=1, max_length=NAME_MAX, description="left out: the creator's own name"
    )
    access_key: str | None = Field(
        None,
        min_length=1,
        max_length=KEY_MAX,
        description="left out: the key in the settings is used",
    )


class CampaignLimitsBody(Asked):
    """Several windows at once; null is no limit. Whatever the account sends counts, and only
    messages of campaigns wait."""

    per_hour: int | None = Field(None, ge=1, le=PER_HOUR_MAX, description="within 60 minutes")
    per_day: int | None = Field(None, ge=1, le=PER_DAY_MAX, description="within 24 hours")
    per_fan_per_day: int | None = Field(
        None, ge=1, le=PER_FAN_MAX, description="messages of campaigns to one fan within 24 hours"
    )
    hours: HoursBody | None = None
    warm_up: bool = Field(
        False, description="100 within 24 hours at first, doubling daily for eight days"
    )


class LimitsRequest(Asked):
    name: str | None = Field(None, min_length=1, max_length=NAME_MAX)
    rate_per_minute: float | None = Field(
        None, gt=0, le=RATE_MAX, description="null: the default rate"
    )
    burst: int | None = Field(None, ge=1, le=BURST_MAX, description="null: the default")
    campaign_limits: CampaignLimitsBody | None = Field(None, description="null: none")


class KeyRequest(Asked):
    access_key: str = Field(min_length=1, max_length=KEY_MAX)


class CampaignLimitsView(Answered):
    per_hour: int | None
    per_day: int | None
    per_fan_per_day: int | None
    hours: dict[str, str] | None
    warm_up_since: Instant | None
    held_until: Instant | None = Field(description="until then no campaign sends from it")
    held_reason: str | None = Field(description="sending_hours, hour_cap, day_cap or warm_up")


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
    username: str | None = Field(description="the creator's name on the platform")
    campaign_limits: CampaignLimitsView


class ConnectionHealth(Answered):
    last_sync_at: Instant | None = Field(description="when all lists were last read well")
    next_sync_at: Instant | None
    sync_error: str | None = Field(description="why the last reading failed; null: it did not")
    waiting: int = Field(description="messages that wait or are being sent")
    next_free_at: Instant | None = Field(description="null while Redis is away")


class ConnectionDetail(ConnectionView):
    health: ConnectionHealth


class SyncReply(Answered):
    connection_id: int
    status: str


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

"""Connected accounts and their pace."""

from typing import Literal

from pydantic import Field

from api.schemas.base import Answered, Asked, Instant
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


class LimitsRequest(Asked):
    name: str | None = Field(None, min_length=1, max_length=NAME_MAX)
    rate_per_minute: float | None = Field(
        None, gt=0, le=RATE_MAX, description="null: the default rate"
    )
    burst: int | None = Field(None, ge=1, le=BURST_MAX, description="null: the default")


class KeyRequest(Asked):
    access_key: str = Field(min_length=1, max_length=KEY_MAX)


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

"""Connected accounts and their pace."""

from pydantic import Field

from api.schemas.base import Answered, Instant


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

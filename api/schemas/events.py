"""The journal of what the platform told."""

from pydantic import Field

from api.schemas.base import Answered, Instant, PageQuery
from domain.fans import BIGINT_MAX


class EventsQuery(PageQuery):
    connection_id: int | None = Field(None, ge=1, le=BIGINT_MAX)


class EventView(Answered):
    """A stored webhook without its body."""

    id: int
    event: str
    connection_id: int | None
    received_at: Instant
    handled_at: Instant | None = Field(description="null while it waits")
    outcome: str | None = Field(
        description="handled, ignored, unreadable, failed or no_connection; null while it waits"
    )
    tries: int
    replayable: bool = Field(description="false once its body was forgotten, after 30 days")


class EventsReply(Answered):
    events: list[EventView]
    total: int
    total_capped: bool
    next_cursor: str | None


class EventReply(Answered):
    event: EventView

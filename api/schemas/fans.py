"""Fans."""

from pydantic import Field

from api.schemas.base import Answered, Instant


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

"""Dead letters."""

from uuid import UUID

from pydantic import Field

from api.schemas.base import Answered, Instant


class DeadLetterView(Answered):
    message_id: UUID
    conversation_id: int
    fan_id: int
    connection_id: int
    status: str
    dead_at: Instant
    reason: str = Field(description="why its task was given up")
    remedy: str
    can_redrive: bool


class DeadLettersReply(Answered):
    dead_letters: list[DeadLetterView]
    total: int
    total_capped: bool = Field(description="there are more than total says")
    next_cursor: str | None

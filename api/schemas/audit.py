"""The audit log."""

from typing import Any

from pydantic import Field

from api.schemas.base import Answered, Instant


class AuditLineView(Answered):
    id: int
    at: Instant
    actor_id: int | None
    action: str = Field(description="noun.past_tense")
    subject: str
    subject_id: str | None
    detail: dict[str, Any]
    request_id: str | None


class AuditReply(Answered):
    lines: list[AuditLineView]
    total: int
    total_capped: bool = Field(description="there are more than total says")
    next_cursor: str | None

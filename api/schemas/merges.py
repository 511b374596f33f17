"""Duplicates, merges and their undoing."""

from pydantic import Field

from api.schemas.base import Answered, Asked, Instant
from api.schemas.fans import FanView, Id


class DuplicateView(Answered):
    fan: FanView
    other: FanView = Field(description="the older one")
    reasons: list[str] = Field(description="email, platformUserId, handle")


class DuplicatesReply(Answered):
    duplicates: list[DuplicateView]
    next_cursor: str | None


class MergeRequest(Asked):
    other_id: Id = Field(description="the fan that becomes a part of this one")


class MergeReply(Answered):
    merge_id: int
    kept_id: int
    merged_id: int
    at: Instant
    conversations: int = Field(description="how many moved")
    transactions: int = Field(description="how many moved")


class UndoReply(Answered):
    merge_id: int
    kept_id: int
    merged_id: int
    stayed: list[str] = Field(description="fields of the kept fan that were changed since")


class MergeView(Answered):
    id: int
    kept_id: int
    merged_id: int
    actor_id: int | None
    at: Instant
    undone_at: Instant | None
    undoable_until: Instant | None


class MergesReply(Answered):
    merges: list[MergeView]
    total: int
    total_capped: bool
    next_cursor: str | None

"""Segments and the rules of tiers."""

from typing import Any

from pydantic import Field

from api.schemas.base import Answered, Asked, Instant
from api.schemas.fans import FilterBody
from domain.fans import NAME_MAX, VALUE_MAX
from domain.tiers import DAYS_MAX

CENTS: dict[str, Any] = {"minimum": 1, "maximum": VALUE_MAX}
DAYS: dict[str, Any] = {"minimum": 1, "maximum": DAYS_MAX}


class SegmentRequest(Asked):
    name: str = Field(json_schema_extra={"minLength": 1, "maxLength": NAME_MAX})
    filter: FilterBody


class SegmentUpdate(Asked):
    name: str | None = Field(None, json_schema_extra={"minLength": 1, "maxLength": NAME_MAX})
    filter: FilterBody | None = None


class SegmentView(Answered):
    id: int
    name: str
    filter: dict[str, Any] = Field(description="only what it asks for")
    count: int = Field(description="how many fans it holds now")
    count_capped: bool = Field(description="there are more than count")
    created_at: Instant
    updated_at: Instant


class SegmentReply(Answered):
    segment: SegmentView


class SegmentsReply(Answered):
    segments: list[SegmentView]


class TierRulesRequest(Asked):
    whale_cents: int = Field(json_schema_extra=CENTS)
    spender_cents: int = Field(json_schema_extra=CENTS)
    quiet_days: int = Field(description="not seen for so long", json_schema_extra=DAYS)
    new_days: int = Field(description="with us for less than that", json_schema_extra=DAYS)


class TierRulesReply(Answered):
    """The first that fits names a fan's tier: whale, spender, quiet, new."""

    whale_cents: int
    spender_cents: int
    quiet_days: int
    new_days: int
    is_default: bool
    settled: bool = Field(description="whether every fan's tier follows these rules by now")
    updated_at: Instant | None

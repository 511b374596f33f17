"""Saved views of the inbox."""

from pydantic import Field

from api.schemas.base import Answered, Asked, Instant, Moment
from api.schemas.conversations import Tier
from domain.fans import BIGINT_MAX


class ViewFilter(Asked):
    """As in the list of conversations; what is left out does not narrow."""

    unread: bool | None = None
    unreplied: bool | None = None
    failed: bool | None = None
    platform: str | None = Field(None, max_length=100)
    connection_id: int | None = Field(None, ge=1, le=BIGINT_MAX)
    since: Moment | None = Field(None, alias="from")
    until: Moment | None = Field(None, alias="to")
    min_spend_cents: int | None = Field(None, ge=0, le=BIGINT_MAX)
    tier: Tier | None = None
    tag: str | None = Field(None, max_length=100)
    online: bool | None = None
    with_tips: bool | None = None
    q: str | None = Field(None, max_length=200)
    direct: bool | None = None


class ViewRequest(Asked):
    name: str = Field(json_schema_extra={"minLength": 1, "maxLength": 100})
    filter: ViewFilter


class ViewChange(Asked):
    """What is left out stays as it is."""

    name: str | None = None
    filter: ViewFilter | None = None


class FilterView(Answered):
    unread: bool | None = None
    unreplied: bool | None = None
    failed: bool | None = None
    platform: str | None = None
    connection_id: int | None = None
    since: Instant | None = Field(None, alias="from")
    until: Instant | None = Field(None, alias="to")
    min_spend_cents: int | None = None
    tier: str | None = None
    tag: str | None = None
    online: bool | None = None
    with_tips: bool | None = None
    q: str | None = None
    direct: bool | None = None


class SavedView(Answered):
    id: int
    name: str
    filter: FilterView
    count: int
    count_capped: bool = Field(description="there are more than `count`")
    created_at: Instant
    updated_at: Instant


class BuiltInView(Answered):
    id: str = Field(description="what `view` calls it")
    filter: FilterView
    count: int
    count_capped: bool


class ViewReply(Answered):
    view: SavedView


class ViewsReply(Answered):
    built_in: list[BuiltInView]
    views: list[SavedView]

"""Fans: what may be asked of their list, said of one, and what is answered."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from api.schemas.base import Answered, Asked, Instant, Moment, PageQuery, Query
from domain.fans import (
    ADDRESS_MAX,
    BIGINT_MAX,
    EMAIL_MAX,
    HANDLE_MAX,
    NAME_MAX,
    NOTES_MAX,
    PLATFORMS,
    TAG_MAX,
    TAGS_MAX,
    VALUE_MAX,
)
from domain.segments import SEARCH_MAX

Id = Annotated[int, Field(ge=1, le=BIGINT_MAX)]
Tier = Literal["whale", "spender", "quiet", "new", "regular"]
Subscription = Literal["active", "expired"]


def split(value: object) -> object:
    """`a,b` and `tag=a&tag=b` are the same."""
    if isinstance(value, str):
        return [part for part in value.split(",") if part.strip()]
    if isinstance(value, list):
        return [part for one in value for part in str(one).split(",") if part.strip()]
    return value


Q = Field(
    None,
    description="any part of name, handle or email; of one or two characters, the beginning of a"
    " name or handle",
    json_schema_extra={"maxLength": SEARCH_MAX},
)
MIN_SPEND = Field(None, ge=0, le=BIGINT_MAX)
MAX_SPEND = Field(None, ge=0, le=BIGINT_MAX)
SEEN = Field(None, description="fans that were never seen pass neither seenAfter nor seenBefore")


class FanQuery(PageQuery):
    q: str | None = Q
    tag: Annotated[list[str], BeforeValidator(split)] = Field(
        default_factory=list, description="all of them; repeat it, or part them by commas"
    )
    min_spend_cents: int | None = MIN_SPEND
    max_spend_cents: int | None = MAX_SPEND
    seen_after: Moment | None = SEEN
    seen_before: Moment | None = SEEN
    tier: Tier | None = Field(None, description="regular = none of the others")
    subscription: Subscription | None = None
    subscription_tier: str | None = None
    connection_id: Id | None = None
    linked: bool | None = Field(None, description="whether the platform's id of the fan is known")
    deleted: bool = Field(False, description="true: the deleted ones that can be restored")
    segment: Id | None = Field(None, description="also within this segment")
    sort: Literal["newest", "oldest", "name", "value", "lastSeen"] = Field(
        "newest", description="value and lastSeen: the highest and latest first"
    )


class FilterBody(Asked):
    """The fields of the list of fans."""

    q: str | None = Q
    tag: list[str] = Field(default_factory=list, description="all of them")
    min_spend_cents: int | None = MIN_SPEND
    max_spend_cents: int | None = MAX_SPEND
    seen_after: Moment | None = SEEN
    seen_before: Moment | None = SEEN
    tier: Tier | None = None
    subscription: Subscription | None = None
    subscription_tier: str | None = None
    connection_id: Id | None = None
    linked: bool | None = None


class FanRequest(Asked):
    name: str = Field(json_schema_extra={"minLength": 1, "maxLength": NAME_MAX})
    platform: str = Field(json_schema_extra={"enum": list(PLATFORMS)})
    handle: str = Field(
        description="with or without the @",
        json_schema_extra={"minLength": 1, "maxLength": HANDLE_MAX},
    )
    email: str | None = Field(None, json_schema_extra={"maxLength": EMAIL_MAX})
    avatar: str | None = Field(
        None, description="https", json_schema_extra={"maxLength": ADDRESS_MAX}
    )
    tags: list[str] = Field(
        default_factory=list,
        description=f"each of 1 to {TAG_MAX} characters, kept in lower case, without commas",
        json_schema_extra={"maxItems": TAGS_MAX},
    )
    value_cents: int = Field(0, json_schema_extra={"minimum": 0, "maximum": VALUE_MAX})
    last_seen_at: Moment | None = None
    notes: str | None = Field(None, json_schema_extra={"maxLength": NOTES_MAX})


class FanUpdate(Asked):
    """Only what is given changes; null clears what may be empty."""

    name: str | None = Field(None, json_schema_extra={"minLength": 1, "maxLength": NAME_MAX})
    handle: str | None = Field(None, json_schema_extra={"minLength": 1, "maxLength": HANDLE_MAX})
    email: str | None = Field(None, json_schema_extra={"maxLength": EMAIL_MAX})
    avatar: str | None = Field(None, json_schema_extra={"maxLength": ADDRESS_MAX})
    tags: list[str] | None = Field(None, json_schema_extra={"maxItems": TAGS_MAX})
    value_cents: int | None = Field(
        None,
        description="the value as of now; later purchases add to it",
        json_schema_extra={"minimum": 0, "maximum": VALUE_MAX},
    )
    last_seen_at: Moment | None = None
    notes: str | None = Field(None, json_schema_extra={"maxLength": NOTES_MAX})


class DeleteQuery(Query):
    mode: Literal["soft", "hard"] | None = Field(
        None, description="hard erases for good, for owners only; default: as configured"
    )


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
    version: int = Field(description="for If-Match")
    tier: str | None = Field(description="whale, spender, quiet or new, by the tier rules")
    subscription: str | None = Field(description="active or expired, as the platform tells")
    subscription_ends_at: Instant | None
    subscription_tier: str | None = Field(description="as an imported file calls it")
    connection_id: int | None
    platform_user_id: str | None
    linked: bool = Field(description="whether messages can be sent")
    recipient_id: str
    deleted_at: Instant | None


class FansReply(Answered):
    fans: list[FanView]
    total: int
    total_capped: bool = Field(description="there are more than total")
    next_cursor: str | None


class FanReply(Answered):
    fan: FanView


class TagsRequest(Asked):
    fan_ids: list[Id] | None = Field(None, json_schema_extra={"minItems": 1, "maxItems": 1000})
    filter: FilterBody | None = Field(None, description="instead of fanIds; at most 5000 fans")
    add: list[str] = Field(default_factory=list, json_schema_extra={"maxItems": TAGS_MAX})
    remove: list[str] = Field(default_factory=list, json_schema_extra={"maxItems": TAGS_MAX})


class TagsReply(Answered):
    matched: int
    changed: int


class TagView(Answered):
    tag: str
    fans: int


class TagCountsReply(Answered):
    tags: list[TagView]
    counted_fans: int = Field(description="the newest fans, among which tags were counted")
    total_capped: bool = Field(description="there are more fans than countedFans")


class ChangeView(Answered):
    id: int
    fan_id: int
    actor_id: int | None = Field(description="the user; null for what no person did")
    source: str = Field(description="person, import, platform, rules or merge")
    before: dict[str, Any]
    after: dict[str, Any]
    at: Instant


class ChangesReply(Answered):
    changes: list[ChangeView]
    total: int
    total_capped: bool
    next_cursor: str | None


class FanExport(Answered):
    """All that is kept about a fan, with what was merged into it."""

    fan: FanView
    exported_at: Instant
    changes: list[dict[str, Any]]
    conversations: list[dict[str, Any]]
    messages: list[dict[str, Any]]
    transactions: list[dict[str, Any]]

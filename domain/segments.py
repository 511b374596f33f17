"""Which fans: filters, the orders of their lists, and filters that were saved as segments."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, NewType

from domain.connections import ConnectionId
from domain.errors import FieldProblem, Invalid
from domain.fans import Tier, plain, read_tags

SegmentId = NewType("SegmentId", int)

SEARCH_MAX = 100
# Shorter ones match the beginning of a name or handle instead of any part.
PART_MIN = 3
REGULAR = "regular"
TIERS = (*Tier, REGULAR)


class FanSort(StrEnum):
    """The orders of a list of fans; each walks an index."""

    NEWEST = "newest"
    OLDEST = "oldest"
    NAME = "name"
    VALUE = "value"
    LAST_SEEN = "lastSeen"


@dataclass(frozen=True)
class FanFilter:
    """What a fan must be; None asks for nothing. `regular` is the tier of fans without one."""

    q: str | None = None
    tags: tuple[str, ...] = ()
    min_spend_cents: int | None = None
    max_spend_cents: int | None = None
    seen_after: datetime | None = None
    seen_before: datetime | None = None
    tier: str | None = None
    subscription: str | None = None
    subscription_tier: str | None = None
    connection_id: ConnectionId | None = None
    linked: bool | None = None
    deleted: bool = False

    def checked(self) -> "FanFilter":
        """The filter as it is kept; raises Invalid naming each bad field."""
        problems: list[FieldProblem] = []
        q, tags = self.q.strip() if self.q is not None else None, self.tags
        if q is not None and not (len(q) <= SEARCH_MAX and any(letter.isalnum() for letter in q)):
            problems.append(
                FieldProblem("q", f"use 1 to {SEARCH_MAX} characters with a letter or digit")
            )
        try:
            tags = read_tags(self.tags)
        except ValueError as problem:
            problems.append(FieldProblem("tag", str(problem)))
        if self.tier is not None and self.tier not in TIERS:
            problems.append(FieldProblem("tier", f"use one of: {', '.join(TIERS)}"))
        if self.subscription not in {None, "active", "expired"}:
            problems.append(FieldProblem("subscription", "use active or expired"))
        if problems:
            raise Invalid(*problems)
        return FanFilter(**{**vars(self), "q": q, "tags": tags})

    def record(self) -> dict[str, Any]:
        """The filter as JSON holds it: only what it asks for."""
        return {
            one.name: plain(getattr(self, one.name))
            for one in fields(self)
            if getattr(self, one.name) != one.default
        }


def filter_of_record(record: Mapping[str, Any]) -> FanFilter:
    """The filter that `record` wrote down; what a later version added is not asked for."""
    known = {one.name for one in fields(FanFilter)}
    read = {name: value for name, value in record.items() if name in known}
    for name in ("seen_after", "seen_before"):
        if name in read:
            read[name] = datetime.fromisoformat(read[name])
    return FanFilter(**{**read, "tags": tuple(read.get("tags", ()))})


@dataclass(frozen=True)
class Segment:
    """A filter with a name. `count` is how many fans it holds now, up to a cap."""

    id: SegmentId
    name: str
    filter: FanFilter
    created_at: datetime
    updated_at: datetime
    count: int | None = None
    is_capped: bool = False

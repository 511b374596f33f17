"""A conversation is everything said between one creator's account and one fan."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

from domain.connections import ConnectionId
from domain.errors import FieldProblem, Invalid
from domain.fans import FanId, read_tag
from domain.users import OwnerId

ConversationId = NewType("ConversationId", int)

# A fan counts as online this long after being seen.
ONLINE = timedelta(minutes=10)
PREVIEW_LENGTH = 200
PANEL_LENGTH = 50


class Direction(StrEnum):
    """Who spoke: the fan (in) or the creator (out)."""

    IN = "in"
    OUT = "out"


@dataclass(frozen=True)
class ConversationFilter:
    """Which conversations to show; what is None or False does not narrow. `direct` is the only one
    that narrows unless told otherwise: it hides threads that hold only campaign messages."""

    unread: bool | None = None
    unreplied: bool | None = None
    failed: bool | None = None
    platform: str | None = None
    connection_id: ConnectionId | None = None
    since: datetime | None = None
    until: datetime | None = None
    min_spend_cents: int | None = None
    tier: str | None = None
    tag: str | None = None
    online: bool | None = None
    with_tips: bool | None = None
    q: str | None = None
    direct: bool | None = None

    def over(self, base: "ConversationFilter") -> "ConversationFilter":
        """Take from `base` what this filter leaves open."""
        asked = {one.name: getattr(self, one.name) for one in fields(self)}
        return replace(base, **{name: value for name, value in asked.items() if value is not None})

    def checked(self) -> "ConversationFilter":
        """The filter with its words spelled as those of fans are kept; raises Invalid for one that
        nothing could fit."""
        problems: list[FieldProblem] = []
        if self.since and self.until and self.since > self.until:
            problems.append(FieldProblem("to", "use a moment after `from`"))
        tag = self.tag
        try:
            tag = None if tag is None else read_tag(tag)
        except ValueError as problem:
            problems.append(FieldProblem("tag", str(problem)))
        if problems:
            raise Invalid(*problems)
        q = None if self.q is None else unicodedata.normalize("NFC", self.q).strip()
        return replace(self, tag=tag, q=q or None)


# Views that everybody has, by what `view=` calls them.
BUILT_IN: Mapping[str, ConversationFilter] = {
    "unread": ConversationFilter(unread=True),
    "unreplied": ConversationFilter(unreplied=True),
    "failed": ConversationFilter(failed=True),
}


@dataclass(frozen=True)
class Correspondent:
    """The fan of a conversation, with what the list shows of it."""

    id: FanId
    name: str
    handle: str
    avatar: str | None
    tier: str | None
    value_cents: int
    tags: tuple[str, ...]
    subscription: str | None
    last_seen_at: datetime | None


@dataclass(frozen=True)
class Preview:
    """The newest message of a conversation, cut short."""

    id: int
    direction: Direction
    text: str
    created_at: datetime
    status: str | None


@dataclass(frozen=True)
class Conversation:
    """A line of the inbox."""

    id: ConversationId
    owner_id: OwnerId
    connection_id: ConnectionId
    platform: str
    last_message_at: datetime | None
    last_direction: Direction | None
    unread_count: int
    is_direct: bool
    fan: Correspondent
    last_message: Preview | None


@dataclass(frozen=True)
class SentMedia:
    """A file that the fan has got, or that is on its way."""

    message_id: int
    type: str
    url: str
    created_at: datetime


@dataclass(frozen=True)
class VaultFile:
    """A file that an account has sent of late, to how many fans, and how many of them bought it."""

    type: str
    url: str
    fans: int
    buyers: int


@dataclass(frozen=True)
class Bought:
    """A priced message that the fan has unlocked."""

    message_id: int
    text: str
    price_cents: int
    urls: tuple[str, ...]
    purchased_at: datetime


@dataclass(frozen=True)
class FanPanel:
    """What stands beside a thread, so that nothing is offered twice. The sums are None for who may
    not see money."""

    value_cents: int
    tips_cents: int
    gross_cents: int | None
    net_cents: int | None
    last_purchase_at: datetime | None
    subscription_ends_at: datetime | None
    notes: str | None
    already_sent: Sequence[SentMedia]
    already_bought: Sequence[Bought]

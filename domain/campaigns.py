"""Campaigns: one text to many fans, whoever they are frozen when it starts."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NewType
from uuid import UUID

from domain.bulk_limits import Hours
from domain.connections import ConnectionId
from domain.errors import IllegalTransition
from domain.fans import FanId, parse_recipient
from domain.users import OwnerId, UserId

CampaignId = NewType("CampaignId", int)

NAME_MAX = 255
# Before so many have failed, a rate says little.
FAILED_LEAST = 5
SCHEDULED_MAX = timedelta(days=365)


class CampaignStatus(StrEnum):
    """The life of a campaign; only an active one lets its messages go."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Unwritten(StrEnum):
    """What a recipient is whose message was not written, unless the campaign ended: cancelled."""

    WAITING = "waiting"
    GONE = "gone"  # deleted or unlinked before


C = CampaignStatus
# The one table of what may follow what. `completed -> active` is a retry of what failed.
TRANSITIONS: Mapping[CampaignStatus, frozenset[CampaignStatus]] = {
    C.DRAFT: frozenset({C.SCHEDULED, C.ACTIVE, C.CANCELLED}),
    C.SCHEDULED: frozenset({C.ACTIVE, C.CANCELLED, C.FAILED}),
    C.ACTIVE: frozenset({C.PAUSED, C.COMPLETED, C.CANCELLED, C.FAILED}),
    C.PAUSED: frozenset({C.ACTIVE, C.COMPLETED, C.CANCELLED, C.FAILED}),
    C.COMPLETED: frozenset({C.ACTIVE}),
    C.CANCELLED: frozenset(),
    C.FAILED: frozenset(),
}
# Its messages may still move.
OPEN = frozenset({C.ACTIVE, C.PAUSED})
# What a person may ask for, and from where; the rest of TRANSITIONS happens by itself.
ASKED: Mapping[CampaignStatus, frozenset[CampaignStatus]] = {
    C.PAUSED: frozenset({C.ACTIVE}),
    C.ACTIVE: frozenset({C.PAUSED}),
    C.CANCELLED: frozenset({C.SCHEDULED, C.ACTIVE, C.PAUSED}),
}


class Exclusion(StrEnum):
    """Why somebody who was asked for gets no message; the value is for people."""

    UNKNOWN = "there is no such fan"
    DELETED = "the fan is deleted"
    NOT_LINKED = "the fan is not linked to a connected account"
    DISCONNECTED = "the fan's account is disconnected"
    LISTED = "is on an exclude list"
    NO_NAME = "has no name for {name}: write {name|something else}"
    TOO_LONG = "the text would be too long with this name"
    EMPTY = "nothing would be left of the text: write {name|something else}"
    BANNED = "the text would have a banned word with this name"


def check_transition(old: CampaignStatus, new: CampaignStatus) -> None:
    """Raise IllegalTransition unless the table has it."""
    if new not in TRANSITIONS[old]:
        raise IllegalTransition(f"a campaign that is {old} cannot become {new}")


@dataclass(frozen=True)
class Candidate:
    """A fan who may be written to, with what decides whether it is possible."""

    fan_id: FanId
    name: str
    handle: str
    connection_id: ConnectionId | None
    is_linked: bool
    is_deleted: bool = False
    is_disconnected: bool = False

    @property
    def has_name(self) -> bool:
        """A name that only repeats the handle is none that one would address somebody by."""
        return self.name.strip() != self.handle.removeprefix("@")


NAME_PLACE = re.compile(r"\{name(?:\|([^{}]*))?\}")


def rendered(text: str, candidate: Candidate) -> str | None:
    """The text for one fan: `{name}` becomes the fan's name, `{name|you}` the words after the bar
    for a fan without one. None: the text needs a name and the fan has none."""
    missing = False

    def name(place: re.Match[str]) -> str:
        nonlocal missing
        if candidate.has_name:
            return candidate.name
        missing = missing or place[1] is None
        return place[1] or ""

    text = NAME_PLACE.sub(name, text)
    return None if missing else text


@dataclass(frozen=True)
class Audience:
    """Whom a campaign was asked to reach: fans and segments, less other fans and segments."""

    recipient_ids: tuple[FanId, ...] = ()
    segment_ids: tuple[int, ...] = ()
    exclude_ids: tuple[FanId, ...] = ()
    exclude_segment_ids: tuple[int, ...] = ()


def audience_of(record: Mapping[str, Any]) -> Audience:
    """The audience that a scheduled campaign wrote down, as it was asked for."""
    return Audience(
        recipient_ids=tuple(map(parse_recipient, record["recipientIds"])),
        segment_ids=tuple(record["segmentIds"]),
        exclude_ids=tuple(map(parse_recipient, record["excludeIds"])),
        exclude_segment_ids=tuple(record["excludeSegmentIds"]),
    )


@dataclass(frozen=True)
class Recipient:
    """One fan of a frozen audience, with the text that it gets and when it was promised.
    `held_until`: the fan has had as many messages of campaigns as the account allows by then."""

    fan_id: FanId
    connection_id: ConnectionId
    text: str
    promised_at: datetime | None = None
    held_until: datetime | None = None


@dataclass(frozen=True)
class Progress:
    """A campaign's recipients by what became of their message, counted from rows. `gone` had a
    place in the audience and were deleted or unlinked before their message was written."""

    total: int = 0
    sent: int = 0  # delivered ones included
    delivered: int = 0
    queued: int = 0
    sending: int = 0
    failed: int = 0
    unknown: int = 0
    unproven: int = 0  # of the unknown: they wait for a person
    cancelled: int = 0
    unwritten: int = 0
    gone: int = 0
    purchased: int = 0
    gross_cents: int = 0
    net_cents: int = 0

    @property
    def waiting(self) -> int:
        return self.queued + self.sending + self.unwritten

    @property
    def is_done(self) -> bool:
        return not self.waiting and self.unknown == self.unproven


@dataclass(frozen=True)
class Standing:
    """What a message must know of its campaign to say why it waits."""

    status: CampaignStatus
    reason: str | None
    held_until: datetime | None


@dataclass(frozen=True)
class Campaign:
    """A campaign as stored."""

    id: CampaignId
    public_id: UUID
    owner_id: OwnerId
    actor_id: UserId | None
    name: str
    status: CampaignStatus
    content: str
    media_urls: tuple[str, ...]
    price_cents: int | None
    priority: int
    metadata: Mapping[str, Any]
    audience: Mapping[str, Any]
    metrics: Mapping[str, Any]
    total: int
    created_at: datetime
    promised_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    fanned_out_at: datetime | None = None
    reason: str | None = None
    version: int = 1
    wake_tries: int = 0
    scheduled_at: datetime | None = None
    failure_percent: int = 20
    forgiven: int = 0
    hours: Hours | None = None
    held_until: datetime | None = None
    progress: Progress = field(default_factory=Progress)

    @property
    def is_over(self) -> bool:
        """Every recipient has a message, and none of them may still move by itself: one that waits
        for a person does not keep it open."""
        return self.fanned_out_at is not None and self.progress.is_done

    def too_many_failed(self) -> str | None:
        """What to say when more than the limit of what was tried failed, but for what had failed
        when somebody resumed it; None: not so."""
        failed = self.progress.failed - self.forgiven
        tried = self.progress.sent + failed
        if failed < FAILED_LEAST or failed * 100 <= self.failure_percent * tried:
            return None
        rate = 100 * failed // tried
        return f"{failed} of {tried} failed ({rate} %): it pauses above {self.failure_percent} %"

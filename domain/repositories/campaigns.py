"""Campaigns, their frozen audiences, and their messages as a whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from domain.bulk_limits import Hours
from domain.campaigns import (
    Campaign,
    CampaignId,
    CampaignStatus,
    Candidate,
    Recipient,
    Standing,
    Unwritten,
)
from domain.connections import ConnectionId
from domain.fans import FanId
from domain.messages import Attachment, State
from domain.pacing import Waiting
from domain.paging import Page
from domain.users import Caller, OwnerId


@dataclass(frozen=True)
class NewCampaign:
    """A campaign about to start, its audience frozen."""

    name: str
    content: str
    media_urls: Sequence[str]
    price_cents: int | None
    priority: int
    metadata: Mapping[str, object]
    audience: Mapping[str, Any]
    recipients: Sequence[Recipient]  # none of a scheduled one: its audience is frozen later
    total: int
    promised_at: datetime | None
    scheduled_at: datetime | None
    failure_percent: int
    hours: Hours | None = None


@dataclass(frozen=True)
class Delivery:
    """What became of one recipient. `status`: its message's, or why there is none (`message_id`
    None)."""

    position: int
    fan_id: FanId
    name: str
    handle: str
    text: str
    message_id: UUID | None
    status: State | Unwritten
    promised_at: datetime | None
    estimated_send_at: datetime | None
    delay: str | None
    sent_at: datetime | None
    error_code: str | None
    purchased_at: datetime | None


@dataclass(frozen=True)
class Part:
    """A fan's part in a campaign; `state` is its message's, None while there is none."""

    public_id: UUID
    name: str
    state: State | None
    promised_at: datetime | None
    sent_at: datetime | None


@dataclass(frozen=True)
class Written:
    """Messages written for a part of an audience, by connection, in the order they wait in."""

    waiting: Mapping[ConnectionId, Sequence[Waiting]]
    last_position: int | None


@dataclass(frozen=True)
class WaitingOn:
    """What of a campaign waits on one account: how many take their turn and which is the `last`,
    and until when the last of those waits whose fans have had enough of today."""

    connection_id: ConnectionId
    last: Waiting | None
    going: int
    held_until: datetime | None


class CampaignRepository(Protocol):
    """Campaigns. They run on the database's clock."""

    def candidates(self, owner_id: OwnerId, fan_ids: Sequence[FanId]) -> Sequence[Candidate]:
        """Those of the owner's, deleted ones too."""
        ...

    def add(self, caller: Caller, new: NewCampaign, wake_in: timedelta) -> Campaign:
        """Store it active, to be looked at again in `wake_in`; or scheduled, until its time."""
        ...

    def begin(
        self,
        campaign_id: CampaignId,
        audience: Mapping[str, Any],
        recipients: Sequence[Recipient],
        promised_at: datetime | None,
    ) -> None:
        """A scheduled campaign becomes active, with its audience frozen."""
        ...

    def lock(self, campaign_id: CampaignId) -> Campaign | None:
        """For workers, like `get` with `lock`."""
        ...

    def lock_due(self, campaign_id: CampaignId) -> Campaign | None:
        """A scheduled one whose time has come."""
        ...

    def reopen(self, campaign_id: CampaignId) -> CampaignStatus:
        """What it is once a completed one is active again; it stays so until the transaction
        ends."""
        ...

    def get(self, owner_id: OwnerId, public_id: UUID, *, lock: bool = False) -> Campaign | None:
        """With its progress, counted now. Locked, no message of it is claimed until the
        transaction ends, and every running claim has ended."""
        ...

    def by_id(self, campaign_id: CampaignId) -> Campaign | None: ...

    def standing(self, campaign_id: CampaignId) -> Standing:
        """Whether its messages may go, without counting any."""
        ...

    def page(
        self,
        owner_id: OwnerId,
        limit: int,
        cursor: str | None,
        status: CampaignStatus | None = None,
    ) -> Page[Campaign]:
        """Newest first, each with its progress; raises Invalid for a foreign cursor."""
        ...

    def of_fans(self, owner_id: OwnerId, fan_ids: Sequence[FanId], limit: int) -> Sequence[Part]:
        """The newest campaigns that one of these fans is in."""
        ...

    def recipients(
        self,
        owner_id: OwnerId,
        campaign_id: CampaignId,
        limit: int,
        cursor: str | None,
        state: State | Unwritten | None = None,
    ) -> Page[Delivery]:
        """By position."""
        ...

    def connections(self, campaign_id: CampaignId) -> Sequence[ConnectionId]:
        """The accounts that its recipients belong to."""
        ...

    def write_page(
        self,
        campaign_id: CampaignId,
        ready: Mapping[ConnectionId, Sequence[Attachment]],
        after: int,
        limit: int,
        wake_in: timedelta,
    ) -> Written:
        """Write the messages of the next recipients of these accounts behind a position, each with
        its account's attachments; one that has its message keeps it, one who is gone gets none.
        Nothing is written unless the campaign is open."""
        ...

    def wait(self, campaign_id: CampaignId, wake_in: timedelta, reason: str) -> None:
        """Have it announced again later, and say why."""
        ...

    def tried(self, campaign_id: CampaignId, wake_in: timedelta, reason: str) -> None:
        """Like `wait`, after a try that failed."""
        ...

    def fanned_out(self, campaign_id: CampaignId) -> None:
        """Nothing of an open campaign is left to write."""
        ...

    def set_status(
        self, campaign_id: CampaignId, status: CampaignStatus, reason: str | None = None
    ) -> None: ...

    def turning(self, limit: int) -> Sequence[Campaign]:
        """Active ones with hours that have just opened or closed, locked."""
        ...

    def turn(self, campaign_id: CampaignId, until: datetime, *, is_open: bool) -> None:
        """Its hours are open until then, or it is held until then."""
        ...

    def forgive(self, campaign_id: CampaignId) -> None:
        """What has failed so far no longer counts towards a pause by itself."""
        ...

    def cancel_queued(self, campaign_id: CampaignId) -> int:
        """Cancel every message that has not begun; returns how many."""
        ...

    def requeue_failed(self, campaign_id: CampaignId, wake_in: timedelta) -> Written:
        """Queue its failed messages again."""
        ...

    def waiting_on(self, campaign_id: CampaignId) -> Sequence[WaitingOn]:
        """What of it waits, account by account."""
        ...

    def delays(self, campaign_id: CampaignId) -> Mapping[str, int]:
        """Why its waiting messages are late, with how many are."""
        ...

    def overdue(self, limit: int) -> Sequence[Campaign]:
        """Campaigns whose time has come, or whose fan-out is not done and nobody is at; each is
        put off."""
        ...

    def changed(self, limit: int, since: timedelta) -> Sequence[CampaignId]:
        """Campaigns of which a message changed since they were counted, and that were not counted
        within `since`; finished ones for a month."""
        ...

    def count(self, campaign_id: CampaignId) -> Campaign | None:
        """Count its messages anew and write its metrics."""
        ...

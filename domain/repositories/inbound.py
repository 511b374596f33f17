"""What the platform tells, as rows: raw events, and the fans and messages they speak of."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from domain.connections import Connection, ConnectionId
from domain.conversations import ConversationId
from domain.fans import FanId
from domain.inbound import MessageSeen
from domain.messages import MessageId
from domain.paging import Page
from domain.repositories.messages import Doubtful
from domain.users import OwnerId


@dataclass(frozen=True)
class PlatformEvent:
    """A stored webhook. `body` is empty once it was forgotten."""

    id: int
    account_id: str
    event: str
    body: str
    received_at: datetime
    connection_id: ConnectionId | None
    handled_at: datetime | None
    outcome: str | None
    wake_tries: int
    redelivery_of: str | None


@dataclass(frozen=True)
class NewPlatformEvent:
    """A webhook about to be stored."""

    key: str
    account_id: str
    event: str
    body: str
    redelivery_of: str | None
    connection_id: ConnectionId | None


class PlatformEventRepository(Protocol):
    """Webhooks as they came. Wake-ups run on the database's clock."""

    def add(self, new: NewPlatformEvent, wake_in: timedelta) -> int | None:
        """Store it; None when the key is known already."""
        ...

    def connection(self, account_id: str) -> Connection | None:
        """The connection of an account, unless it is disconnected."""
        ...

    def account_of(self, event_id: int) -> str | None:
        """Whose event it is; None once it is handled. Locks nothing."""
        ...

    def take(self, event_id: int) -> PlatformEvent | None:
        """The event, locked, if something must still be done with it and nobody does it now."""
        ...

    def told_at(self, event: PlatformEvent) -> datetime:
        """When it was first heard of: a repeated delivery is as old as its original."""
        ...

    def wait(self, event_id: int, fan_id: FanId | None, wake_in: timedelta) -> None:
        """Count a try and look again later."""
        ...

    def finish(
        self,
        event_id: int,
        outcome: str,
        connection_id: ConnectionId | None = None,
        fan_id: FanId | None = None,
    ) -> None: ...

    def waiting(self, fan_id: FanId) -> Sequence[PlatformEvent]:
        """Events about a fan that wait, oldest first."""
        ...

    def due(self, limit: int, wake_in: timedelta) -> Sequence[tuple[int, ConnectionId | None]]:
        """Events whose wake-up is due, each put off so that no second process takes it."""
        ...

    def forget(self, older_than: timedelta, limit: int) -> int:
        """Empty the bodies of handled events."""
        ...

    def page(
        self, owner_id: OwnerId, connection_id: ConnectionId | None, limit: int, cursor: str | None
    ) -> Page[PlatformEvent]:
        """Events of the owner's connections, newest first; raises Invalid for a foreign cursor."""
        ...

    def lock(self, owner_id: OwnerId, event_id: int) -> PlatformEvent | None: ...

    def reopen(self, event_id: int, wake_in: timedelta) -> None:
        """Handle it again from the start."""
        ...

    def account_told(self, connection_id: ConnectionId, at: datetime) -> None:
        """The state holds as of then."""
        ...

    def state_at(self, connection_id: ConnectionId) -> datetime: ...


@dataclass(frozen=True)
class KnownFan:
    """A fan as facts change it."""

    id: FanId
    owner_id: OwnerId
    connection_id: ConnectionId | None
    platform_user_id: str | None
    name: str
    handle: str
    avatar: str | None
    last_seen_at: datetime | None
    subscription: str | None
    subscription_ends_at: datetime | None
    told: Mapping[str, str]
    deleted_at: datetime | None
    merged_into: FanId | None


@dataclass(frozen=True)
class HeldMessage:
    """A message that a row holds under the platform's id."""

    id: MessageId
    direction: str
    state: str | None
    fan_id: FanId
    conversation_id: ConversationId
    price_cents: int | None


class InboundRepository(Protocol):
    """Fans and messages by the platform's ids. The caller holds the connection's lock."""

    # Fans

    def fan(self, connection_id: ConnectionId, platform_user_id: str) -> KnownFan | None:
        """The live one, else the one that was deleted last; locked."""
        ...

    def fan_by_id(self, fan_id: FanId) -> KnownFan | None:
        """Locked."""
        ...

    def lock_fans(self, connection_id: ConnectionId, platform_user_ids: Collection[str]) -> None:
        """Lock the live fans among these, in id order as everybody does who locks many."""
        ...

    def erased_at(self, connection_id: ConnectionId, platform_user_id: str) -> datetime | None:
        """When this user of the platform was erased here; None for anybody else."""
        ...

    def fan_by_handle(self, owner_id: OwnerId, platform: str, handle: str) -> KnownFan | None:
        """The live fan of that handle, whatever its case; locked."""
        ...

    def add_fan(
        self,
        connection: Connection,
        platform_user_id: str,
        values: Mapping[str, object],
    ) -> KnownFan:
        """A linked fan."""
        ...

    def change_fan(self, fan_id: FanId, values: Mapping[str, object], *, seen_change: bool) -> None:
        """`seen_change`: people see it, so the row's version goes up."""
        ...

    def note_change(
        self, fan: KnownFan, before: Mapping[str, object], after: Mapping[str, object]
    ) -> None:
        """A line of the fan's history, source `platform`."""
        ...

    # Messages

    def conversation(self, fan: KnownFan, connection: Connection) -> ConversationId: ...

    def message(self, connection_id: ConnectionId, platform_id: str) -> HeldMessage | None:
        """Locked."""
        ...

    def add_message(
        self, fan: KnownFan, connection: Connection, conversation: ConversationId, seen: MessageSeen
    ) -> MessageId:
        """Store what was said, in or out; what is already gone is stored as gone."""
        ...

    def confirm(self, message_id: MessageId, seen: MessageSeen) -> None:
        """The platform shows a message of ours: sent becomes delivered, opened stays opened, and
        one that was deleted is unsent."""
        ...

    def delete(self, message_id: MessageId, at: datetime) -> None:
        """It left its chat; one of ours that was sent is unsent."""
        ...

    def remember_deleted(
        self, connection_id: ConnectionId, platform_id: str, at: datetime
    ) -> None: ...

    def touch(self, conversation_id: ConversationId, *, is_direct: bool) -> None:
        """Recompute newest message, its direction and the unread count from the rows."""
        ...

    def in_doubt(self, fan_id: FanId) -> Sequence[Doubtful]:
        """Messages to a fan that may be on the platform without our knowing its id: `sending`,
        `unknown`, and queued after an attempt; oldest first, locked."""
        ...

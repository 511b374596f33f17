"""Conversations, and their marks of having been read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from domain.connections import ConnectionId
from domain.conversations import (
    Conversation,
    ConversationFilter,
    ConversationId,
    FanPanel,
    VaultFile,
)
from domain.fans import FanId
from domain.paging import Page
from domain.ports import Account
from domain.users import OwnerId


@dataclass(frozen=True)
class ReadMark:
    """A chat that was read here at `read_at`, which the platform is still to be told."""

    conversation_id: ConversationId
    account: Account
    platform_user_id: str
    read_at: datetime


class ConversationRepository(Protocol):
    """Conversations of live fans; one of a deleted fan is still found by its id."""

    def page(
        self,
        owner_id: OwnerId,
        asked: ConversationFilter,
        limit: int,
        cursor: str | None,
        now: datetime,
        *,
        until: str | None = None,
    ) -> Page[Conversation]:
        """The one with the newest message first; `until` is the cursor behind the last that is
        wanted. Raises Invalid for a cursor that is none of ours."""
        ...

    def count(self, owner_id: OwnerId, asked: ConversationFilter, up_to: int, now: datetime) -> int:
        """How many there are, counted no further than `up_to`."""
        ...

    def get(self, owner_id: OwnerId, conversation_id: ConversationId) -> Conversation | None: ...

    def addressee(self, owner_id: OwnerId, conversation_id: ConversationId) -> FanId | None:
        """Whose conversation it is, the fan deleted or not."""
        ...

    def of_fan(self, owner_id: OwnerId, fan_id: FanId) -> Sequence[Conversation]:
        """One for each account that the fan was written through, the newest message first."""
        ...

    def panel(self, owner_id: OwnerId, fan_id: FanId) -> FanPanel: ...

    def files(
        self, owner_id: OwnerId, connection_id: ConnectionId, limit: int
    ) -> Sequence[VaultFile]:
        """What the account has sent of late to anybody, each file once, the newest first."""
        ...

    def read(self, owner_id: OwnerId, conversation_id: ConversationId, tell_in: timedelta) -> bool:
        """Mark all that the fan wrote as read; the platform is to be told after `tell_in`. False,
        and nothing changed, when all was read."""
        ...

    def unread(self, owner_id: OwnerId, conversation_id: ConversationId) -> None:
        """Mark the newest message of the fan as unread, unless one is; the platform is told
        nothing any more."""
        ...

    def read_mark(self, conversation_id: ConversationId) -> ReadMark | None:
        """What to tell the platform, if anything, while the account is active."""
        ...

    def told(self, mark: ReadMark) -> None:
        """Nothing is left to tell, unless the chat was read once more meanwhile."""
        ...

    def to_tell(
        self, limit: int, soonest: timedelta, give_up: timedelta
    ) -> Sequence[tuple[ConversationId, ConnectionId]]:
        """Chats overdue on active accounts; each is put off, by `soonest` at first and then by as
        long as it has waited. What has waited longer than `give_up` is forgotten."""
        ...

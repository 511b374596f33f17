"""Fans."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.connections import Connection
from domain.conversations import ConversationId
from domain.fans import Fan, FanId
from domain.users import OwnerId


@dataclass(frozen=True)
class Recipient:
    """A fan with what sending needs: the linked connection and the conversation (made if new)."""

    fan: Fan
    connection: Connection | None


@dataclass(frozen=True)
class FanPage:
    """One page of fans."""

    fans: Sequence[Fan]
    total: int
    next_cursor: str | None


class FanRepository(Protocol):
    """Fans that are not deleted."""

    def recipient(self, owner_id: OwnerId, fan_id: FanId) -> Recipient | None: ...

    def page(self, owner_id: OwnerId, limit: int, cursor: str | None) -> FanPage:
        """Newest first; raises Invalid for a cursor that is none of ours."""
        ...

    def conversation(self, fan: Fan) -> ConversationId:
        """The fan's conversation, created when there is none; safe under concurrency."""
        ...

"""Fans that are perhaps one person, fans made one, and fans leaving for good."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NewType, Protocol

from domain.connections import ConnectionId
from domain.fans import Fan, FanId
from domain.pacing import Waiting
from domain.paging import Page
from domain.users import OwnerId, UserId

MergeId = NewType("MergeId", int)


@dataclass(frozen=True)
class Duplicate:
    """Two fans with something in common; `other` is the older one."""

    fan: Fan
    other: Fan
    reasons: Sequence[str]


@dataclass(frozen=True)
class Merge:
    """Two fans made one. `moved` says what went to the kept fan and must go back exactly."""

    id: MergeId
    owner_id: OwnerId
    kept_id: FanId
    merged_id: FanId
    actor_id: UserId | None
    kept_before: Mapping[str, Any]
    kept_after: Mapping[str, Any]
    moved: Mapping[str, Any]
    at: datetime
    undone_at: datetime | None


class MergeRepository(Protocol):
    """Merging and parting. Connections and fans are locked by the caller, in this order."""

    def duplicates(
        self, owner_id: OwnerId, limit: int, cursor: str | None
    ) -> tuple[Sequence[Duplicate], str | None]:
        """Newest fans first, each with older ones that share its email, platform id or handle. A
        page looks at a bounded number of fans and may hold fewer pairs than asked for, even none,
        and still have a next one."""
        ...

    def connections_of(self, fan_ids: Sequence[FanId]) -> Sequence[ConnectionId]:
        """Every connection on which one of these fans is linked or has a conversation, in order of
        their ids."""
        ...

    def move(self, kept: FanId, merged: FanId) -> dict[str, Any]:
        """Move conversations, messages and transactions to the kept fan; returns `moved`. A
        conversation that both have on one connection becomes one. Messages keep their `fan_id`."""
        ...

    def move_back(self, merge: Merge, *, link_returns: bool) -> None:
        """Undo `move`. With `link_returns`, what was said on the link since then follows it."""
        ...

    def add(
        self,
        owner_id: OwnerId,
        kept: FanId,
        merged: FanId,
        actor_id: UserId,
        *,
        before: Mapping[str, Any],
        after: Mapping[str, Any],
        moved: Mapping[str, Any],
    ) -> Merge: ...

    def get(self, owner_id: OwnerId, merge_id: MergeId) -> Merge | None: ...

    def last_of(self, kept: FanId) -> MergeId | None:
        """The latest merge into this fan that was not undone."""
        ...

    def set_undone(self, merge: Merge) -> None: ...

    def page(self, owner_id: OwnerId, limit: int, cursor: str | None) -> Page[Merge]:
        """Newest first; raises Invalid for a cursor that is none of ours."""
        ...


@dataclass(frozen=True)
class Stakes:
    """What erasing a fan would touch. `waiting` and `in_flight` are among `messages`."""

    messages: int
    waiting: int
    in_flight: int
    transactions: int


class DepartureRepository(Protocol):
    """What deleting, erasing and exporting a fan touch besides the fan's own row."""

    def family(self, fan_id: FanId) -> Sequence[FanId]:
        """The fan and all that were merged into it, of whatever depth: messages keep the id of the
        fan they were written to."""
        ...

    def connections_of_queued(self, fan_ids: Sequence[FanId]) -> Sequence[ConnectionId]:
        """Where messages of these fans are still on their way, in order of their ids."""
        ...

    def cancel_queued(self, fan_ids: Sequence[FanId]) -> Sequence[tuple[ConnectionId, Waiting]]:
        """Cancel what is queued for these fans, their connections being locked; returns what no
        longer waits."""
        ...

    def stakes(self, fan_ids: Sequence[FanId]) -> Stakes: ...

    def in_flight(self, fan_ids: Sequence[FanId]) -> int:
        """How many messages are `sending` or `unknown`."""
        ...

    def erase(self, owner_id: OwnerId, fan_ids: Sequence[FanId]) -> int:
        """Empty every text that says something of these fans and make each a nameless row; money
        and the ledger stay. Returns how many messages were emptied."""
        ...

    def records(
        self, section: str, fan_id: FanId, after: int, limit: int
    ) -> Sequence[Mapping[str, Any]]:
        """The rows above the id `after` of `changes`, `conversations`, `messages` or
        `transactions`, ascending; the keys are as the API spells them."""
        ...

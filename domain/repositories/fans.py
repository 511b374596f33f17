"""Fans, and the history of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from domain.connections import Connection
from domain.conversations import ConversationId
from domain.fans import ChangedBy, ChangeSource, Fan, FanId
from domain.paging import Page
from domain.segments import FanFilter, FanSort
from domain.users import OwnerId, UserId


@dataclass(frozen=True)
class Recipient:
    """A fan with what sending needs: the linked connection and the conversation (made if new)."""

    fan: Fan
    connection: Connection | None


@dataclass(frozen=True)
class TagCounts:
    """Tags with how many fans have each, most used first. Counted among the `counted` newest fans
    of the owner; `is_capped` says that there are more."""

    counts: Sequence[tuple[str, int]]
    counted: int
    is_capped: bool


@dataclass(frozen=True)
class FanChange:
    """One line of a fan's history: the changed fields as they were and as they became."""

    id: int
    fan_id: FanId
    actor_id: UserId | None
    source: ChangeSource
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    at: datetime


class FanRepository(Protocol):
    """Fans. Where nothing else is said, deleted ones are not seen."""

    def recipient(self, owner_id: OwnerId, fan_id: FanId) -> Recipient | None: ...

    def conversation(self, fan: Fan) -> ConversationId:
        """The fan's conversation, created when there is none; safe under concurrency."""
        ...

    def page(
        self,
        owner_id: OwnerId,
        limit: int,
        cursor: str | None,
        filters: Sequence[FanFilter] = (),
        sort: FanSort = FanSort.NEWEST,
    ) -> Page[Fan]:
        """The fans that pass every filter; raises Invalid for a cursor that is none of ours."""
        ...

    def count(self, owner_id: OwnerId, filters: Sequence[FanFilter]) -> tuple[int, bool]:
        """How many pass every filter up to TOTAL_MAX, and whether there are more."""
        ...

    def ids(
        self, owner_id: OwnerId, filters: Sequence[FanFilter], after: FanId, limit: int
    ) -> Sequence[FanId]:
        """The ids above `after` of those that pass every filter, ascending."""
        ...

    def kept(self, owner_id: OwnerId, fan_ids: Sequence[FanId]) -> Mapping[FanId, FanId]:
        """For those that were merged into another: the fan that was kept in the end."""
        ...

    def get(self, owner_id: OwnerId, fan_id: FanId, *, deleted: bool = False) -> Fan | None:
        """A fan; with `deleted`, also one that was deleted."""
        ...

    def many(self, owner_id: OwnerId, fan_ids: Sequence[FanId]) -> Sequence[Fan]:
        """Those of the owner's, in the order of their ids, deleted ones as well."""
        ...

    def lock(
        self, owner_id: OwnerId, fan_ids: Sequence[FanId], *, deleted: bool = False
    ) -> Sequence[Fan]:
        """Those of the owner's, in the order of their ids, unchanged by others until the
        transaction ends."""
        ...

    def of_handle(self, owner_id: OwnerId, platform: str, handle: str) -> Fan | None:
        """The fan with this handle in any case: the live one, else one that may be restored."""
        ...

    def add(
        self,
        owner_id: OwnerId,
        values: Mapping[str, Any],
        by: ChangedBy,
    ) -> Fan | None:
        """A new fan with its tier and its first line of history; None when a live fan has the
        handle, also when somebody else adds it at this moment."""
        ...

    def change(
        self,
        fan: Fan,
        values: Mapping[str, Any],
        by: ChangedBy,
    ) -> Fan:
        """Set fields, by the names of Fan, of a fan that is locked: the next version, a line of
        history, and the tier that follows. Raises Conflict when another live fan has the handle
        (`fan_exists`) or the link (`link_taken`); then nothing is changed."""
        ...

    def set_tags(
        self, owner_id: OwnerId, tagged: Sequence[tuple[Fan, tuple[str, ...]]], actor_id: UserId
    ) -> None:
        """Give many locked fans new tags, each with its line of history."""
        ...

    def retier(self, owner_id: OwnerId, fan_ids: Sequence[FanId]) -> int:
        """Bring the stored tiers of these fans in line with the owner's rules, in one statement
        that also writes their history (source `rules`); returns how many changed. A fan's version
        stays: nobody's edit conflicts with it."""
        ...

    def tag_counts(self, owner_id: OwnerId, limit: int) -> TagCounts: ...


class FanHistoryRepository(Protocol):
    """What happened to fans; lines are added, read, and erased with their fan."""

    def add(
        self,
        owner_id: OwnerId,
        fan_id: FanId,
        by: ChangedBy,
        before: Mapping[str, Any],
        after: Mapping[str, Any],
    ) -> None: ...

    def page(
        self, owner_id: OwnerId, fan_id: FanId, limit: int, cursor: str | None
    ) -> Page[FanChange]:
        """Newest first; raises Invalid for a cursor that is none of ours."""
        ...

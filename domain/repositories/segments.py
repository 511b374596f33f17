"""Filters of fans that were saved, and the rules of their tiers."""

from collections.abc import Sequence
from typing import Protocol

from domain.segments import FanFilter, Segment, SegmentId
from domain.tiers import RulesInForce, TierRules
from domain.users import OwnerId


class SegmentRepository(Protocol):
    """An owner's segments. Names are compared in any case; a taken one raises Conflict, code
    `segment_exists`."""

    def list_of(self, owner_id: OwnerId) -> Sequence[Segment]:
        """All of them, by name."""
        ...

    def get(self, owner_id: OwnerId, segment_id: SegmentId) -> Segment | None: ...

    def add(self, owner_id: OwnerId, name: str, sought: FanFilter) -> Segment: ...

    def change(self, segment: Segment, name: str, sought: FanFilter) -> Segment: ...

    def delete(self, segment: Segment) -> None: ...


class TierRepository(Protocol):
    """An owner's rules; without any, the defaults hold."""

    def get(self, owner_id: OwnerId) -> RulesInForce: ...

    def put(self, owner_id: OwnerId, rules: TierRules) -> RulesInForce:
        """Set the rules; every fan is looked at again from now on."""
        ...

    def next_batch(self, limit: int) -> tuple[OwnerId, int] | None:
        """Bring the tiers of the next `limit` fans of one owner in line, by id: an owner whose
        rules changed or whose last full pass is an hour old. Returns whose, and how many tiers
        changed; None when nobody is due."""
        ...

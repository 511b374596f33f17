"""Duplicates: finding them, making two fans one, and parting them again."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain.errors import Conflict, FieldProblem, Invalid, NotFound
from domain.fans import ChangedBy, ChangeSource, Fan, FanId
from domain.merging import LINK, UNDO_WITHIN, are_different_people, record_of, returning, united
from domain.paging import Page
from domain.repositories import Duplicate, Merge, MergeId, Once, OpenUnitOfWork, UnitOfWork
from domain.services.once import run_once
from domain.users import Caller, Permission


@dataclass(frozen=True)
class MergeResult:
    """What a merge did, in numbers; it names nobody, since it is kept for a day."""

    merge_id: MergeId
    kept_id: FanId
    merged_id: FanId
    at: datetime
    conversations: int
    transactions: int
    replayed: bool = False


@dataclass(frozen=True)
class UndoResult:
    """What undoing did. `stayed` names the fields of the kept fan that were changed since."""

    merge_id: MergeId
    kept_id: FanId
    merged_id: FanId
    stayed: Sequence[str]
    replayed: bool = False


class MergeService:
    """The use cases of duplicates."""

    def __init__(self, open_unit_of_work: OpenUnitOfWork) -> None:
        self._open = open_unit_of_work

    def duplicates(
        self, caller: Caller, limit: int, cursor: str | None
    ) -> tuple[Sequence[Duplicate], str | None]:
        """Pairs that may be one person; raises Invalid for a foreign cursor."""
        caller.require(Permission.READ)
        with self._open() as work:
            return work.merges.duplicates(caller.owner_id, limit, cursor)

    def list_merges(self, caller: Caller, limit: int, cursor: str | None) -> Page[Merge]:
        """Newest first; raises Invalid for a foreign cursor."""
        caller.require(Permission.READ)
        with self._open() as work:
            return work.merges.page(caller.owner_id, limit, cursor)

    def merge(
        self,
        caller: Caller,
        kept_id: FanId,
        other_id: FanId,
        now: datetime,
        once: Once | None = None,
    ) -> MergeResult:
        """Make the other fan a part of the kept one. Raises NotFound, Invalid for a fan and itself,
        and Conflict `different_people` or `changed`."""
        caller.require(Permission.EDIT)
        if kept_id == other_id:
            raise Invalid(FieldProblem("otherId", "name another fan"))

        def deed(work: UnitOfWork) -> str:
            kept, other = self._locked(work, caller, kept_id, other_id)
            if are_different_people(kept, other):
                raise Conflict(
                    "the platform knows them as two people: they cannot be one",
                    code="different_people",
                )
            merge = self._merge(work, caller, kept, other, now)
            counts = {
                "conversations": len(merge.moved["conversations"]) + len(merge.moved["joined"]),
                "transactions": len(merge.moved["transactions"]),
            }
            facts: dict[str, object] = {"mergedId": other_id, "mergeId": merge.id, **counts}
            work.audit.add(caller, "fan.merged", "fan", kept_id, facts)
            return _merge_text(merge, counts)

        answer, replayed = run_once(self._open, caller, once, deed)
        told = json.loads(answer)
        told["at"] = datetime.fromisoformat(told["at"])
        return MergeResult(**told, replayed=replayed)

    @staticmethod
    def _merge(work: UnitOfWork, caller: Caller, kept: Fan, other: Fan, now: datetime) -> Merge:
        gone = {"deleted_at": now, "merged_into": kept.id}
        # First of all: the link and the handle may be held by one live fan only.
        work.fans.change(other, gone, ChangedBy(ChangeSource.MERGE, caller.user_id))
        values = united(kept, other)
        changed = kept
        if values:
            changed = work.fans.change(kept, values, ChangedBy(ChangeSource.MERGE, caller.user_id))
        return work.merges.add(
            caller.owner_id,
            kept.id,
            other.id,
            caller.user_id,
            before=record_of(kept, values),
            after=record_of(changed, values),
            moved=work.merges.move(kept.id, other.id),
        )

    def undo(
        self, caller: Caller, merge_id: MergeId, now: datetime, once: Once | None = None
    ) -> UndoResult:
        """Part two fans again: everything that moved goes back, and the kept fan's fields too
        unless they were changed since. Raises NotFound, and Conflict: `already_undone`, `too_late`
        after 30 days, `later_merge`, `erased`, or what stands in the merged fan's place."""
        caller.require(Permission.EDIT)

        def deed(work: UnitOfWork) -> str:
            merge = work.merges.get(caller.owner_id, merge_id)
            if merge is None:
                raise NotFound(f"no merge {merge_id}", code="merge_not_found")
            kept, other = self._locked(work, caller, merge.kept_id, merge.merged_id, deleted=True)
            merge = work.merges.get(caller.owner_id, merge_id)
            assert merge is not None
            _refuse_undoing(work, merge, kept, other, now)
            stayed = self._undo(work, caller, merge, kept, other)
            facts: dict[str, object] = {"mergedId": other.id, "mergeId": merge.id}
            work.audit.add(caller, "fan.parted", "fan", kept.id, {**facts, "stayed": stayed})
            return json.dumps(
                {"merge_id": merge_id, "kept_id": kept.id, "merged_id": other.id, "stayed": stayed}
            )

        answer, replayed = run_once(self._open, caller, once, deed)
        return UndoResult(**json.loads(answer), replayed=replayed)

    @staticmethod
    def _undo(work: UnitOfWork, caller: Caller, merge: Merge, kept: Fan, other: Fan) -> list[str]:
        values, stayed = returning(kept, merge.kept_before, merge.kept_after, merge.at)
        if values:
            work.fans.change(kept, values, ChangedBy(ChangeSource.MERGE, caller.user_id))
        work.merges.move_back(merge, link_returns=LINK[0] in values and LINK[1] in values)
        back: dict[str, Any] = {"deleted_at": None, "merged_into": None}
        work.fans.change(other, back, ChangedBy(ChangeSource.MERGE, caller.user_id))
        work.merges.set_undone(merge)
        return stayed

    @staticmethod
    def _locked(
        work: UnitOfWork, caller: Caller, kept_id: FanId, other_id: FanId, *, deleted: bool = False
    ) -> tuple[Fan, Fan]:
        """Both fans, after every connection on which anything of theirs waits or is said."""
        both = [kept_id, other_id]
        for fan_id in both:
            if work.fans.get(caller.owner_id, fan_id, deleted=deleted) is None:
                raise NotFound(f"no fan {fan_id}", code="fan_not_found")
        connections = work.merges.connections_of(both)
        for connection_id in connections:
            work.connections.lock(connection_id)
        fans = {fan.id: fan for fan in work.fans.lock(caller.owner_id, both, deleted=deleted)}
        if len(fans) != len(both) or work.merges.connections_of(both) != connections:
            raise Conflict("they have just changed: try again", code="changed")
        return fans[kept_id], fans[other_id]


def _merge_text(merge: Merge, counts: dict[str, int]) -> str:
    told = {"merge_id": merge.id, "kept_id": merge.kept_id, "merged_id": merge.merged_id}
    return json.dumps({**told, "at": merge.at.isoformat(), **counts})


def _refuse_undoing(work: UnitOfWork, merge: Merge, kept: Fan, other: Fan, now: datetime) -> None:
    if merge.undone_at is not None:
        raise Conflict("it was undone already", code="already_undone")
    if kept.erased_at or other.erased_at:
        raise Conflict("one of the fans was erased for good", code="erased")
    if now - merge.at > UNDO_WITHIN:
        raise Conflict(f"a merge can be undone for {UNDO_WITHIN.days} days", code="too_late")
    if kept.merged_into is not None or work.merges.last_of(kept.id) != merge.id:
        raise Conflict(
            "the kept fan was merged again since: undo the later merge first", code="later_merge"
        )
    if kept.deleted_at is not None:
        raise Conflict("the kept fan was deleted: restore it first", code="kept_deleted")

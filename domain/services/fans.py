"""Keeping fans: listing, adding, changing and tagging them, and what happened to each."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain.connections import Connection, ConnectionId
from domain.conversations import Conversation
from domain.errors import Conflict, FieldProblem, Invalid, NotFound
from domain.fans import (
    TAGS_MAX,
    ChangedBy,
    ChangeSource,
    Fan,
    FanId,
    fan_exists,
    fan_of_record,
    fan_record,
    read_fields,
    read_tags,
    retag,
)
from domain.merging import UNDO_WITHIN
from domain.paging import Page
from domain.repositories import (
    FanChange,
    Merge,
    Once,
    OpenUnitOfWork,
    Part,
    Stakes,
    TagCounts,
    UnitOfWork,
)
from domain.segments import FanFilter, FanSort, SegmentId
from domain.services.once import run_once
from domain.services.segments import filters_of
from domain.users import Caller, OwnerId, Permission

# One request: what a transaction of a few seconds can write.
TAGGED_MAX = 5000
FAN_IDS_MAX = 1000
TAG_COUNTS_MAX = 200
CAMPAIGNS_MAX = 20
EXPORT_BATCH = 500


@dataclass(frozen=True)
class FanResult:
    """A fan after a request; `replayed` says that an Idempotency-Key brought it back."""

    fan: Fan
    replayed: bool = False


@dataclass(frozen=True)
class Dossier:
    """A fan with the owner's accounts, its conversations and newest campaigns, what leaving would
    touch, and the merge that can be undone now, with the fan that it took."""

    fan: Fan
    accounts: Mapping[ConnectionId, Connection]
    conversations: Sequence[Conversation]
    campaigns: Sequence[Part]
    stakes: Stakes
    merge: Merge | None
    merged: Fan | None


@dataclass(frozen=True)
class TagResult:
    """What tagging did: how many fans were meant and how many had it otherwise before."""

    matched: int
    changed: int
    replayed: bool = False


class FanService:
    """The use cases of fans."""

    def __init__(self, open_unit_of_work: OpenUnitOfWork) -> None:
        self._open = open_unit_of_work

    # Looking

    def list_fans(
        self,
        caller: Caller,
        limit: int,
        cursor: str | None,
        *,
        sought: FanFilter | None = None,
        sort: FanSort = FanSort.NEWEST,
        segment_id: SegmentId | None = None,
    ) -> Page[Fan]:
        """One page of the caller's fans that pass the filter and the segment's; raises Invalid for
        a bad field or a foreign cursor, NotFound for the segment."""
        caller.require(Permission.READ)
        wanted = sought.checked() if sought else None
        with self._open() as work:
            filters = filters_of(work, caller.owner_id, wanted, segment_id)
            return work.fans.page(caller.owner_id, limit, cursor, filters, sort)

    def get(self, caller: Caller, fan_id: FanId) -> Fan:
        """Raises NotFound."""
        caller.require(Permission.READ)
        with self._open() as work:
            return _found(work.fans.get(caller.owner_id, fan_id), fan_id)

    def dossier(self, caller: Caller, fan_id: FanId, now: datetime) -> Dossier:
        """A fan, also a deleted one that can be restored, with what hangs on it; raises
        NotFound."""
        caller.require(Permission.READ)
        with self._open() as work:
            fan = _found(work.fans.get(caller.owner_id, fan_id, deleted=True), fan_id)
            if fan.deleted_at is not None and not fan.restorable:
                raise NotFound(f"no fan {fan_id}", code="fan_not_found")
            owner_id, fans = caller.owner_id, work.departures.family(fan_id)
            last = work.merges.last_of(fan_id)
            merge = work.merges.get(owner_id, last) if last else None
            return Dossier(
                fan,
                {one.id: one for one in work.connections.list_of(owner_id)},
                work.conversations.of_fan(owner_id, fan_id),
                work.campaigns.of_fans(owner_id, fans, CAMPAIGNS_MAX),
                work.departures.stakes(fans),
                merge if merge and now - merge.at <= UNDO_WITHIN else None,
                work.fans.get(owner_id, merge.merged_id, deleted=True) if merge else None,
            )

    def known(self, caller: Caller, fan_ids: Iterable[FanId]) -> Mapping[FanId, Fan]:
        """Those of these that are the caller's, deleted ones as well."""
        caller.require(Permission.READ)
        with self._open() as work:
            found = work.fans.many(caller.owner_id, list(dict.fromkeys(fan_ids)))
        return {one.id: one for one in found}

    def changes(
        self, caller: Caller, fan_id: FanId, limit: int, cursor: str | None
    ) -> Page[FanChange]:
        """What happened to a fan, newest first; raises NotFound. Deleted fans keep theirs."""
        caller.require(Permission.READ)
        with self._open() as work:
            _found(work.fans.get(caller.owner_id, fan_id, deleted=True), fan_id)
            return work.fan_history.page(caller.owner_id, fan_id, limit, cursor)

    def export(
        self,
        caller: Caller,
        *,
        sought: FanFilter | None = None,
        sort: FanSort = FanSort.NEWEST,
        segment_id: SegmentId | None = None,
    ) -> Iterator[Fan]:
        """All fans that `list_fans` would list, read a batch at a time; refused before the first,
        as there."""
        caller.require(Permission.EXPORT)
        wanted = sought.checked() if sought else None
        with self._open() as work:
            filters = filters_of(work, caller.owner_id, wanted, segment_id)
            fields = sorted(wanted.record()) if wanted else []
            asked: dict[str, object] = {"filters": fields, "segmentId": segment_id}
            work.audit.add(caller, "fans.exported", "fans", None, asked)
            work.commit()
        return self._batches(caller.owner_id, filters, sort)

    def _batches(
        self, owner_id: OwnerId, filters: Sequence[FanFilter], sort: FanSort
    ) -> Iterator[Fan]:
        cursor = None
        while True:
            with self._open() as work:
                found = work.fans.page(owner_id, EXPORT_BATCH, cursor, filters, sort)
            yield from found.items
            if (cursor := found.next_cursor) is None:
                return

    def tag_counts(self, caller: Caller) -> TagCounts:
        """The most used tags."""
        caller.require(Permission.READ)
        with self._open() as work:
            return work.fans.tag_counts(caller.owner_id, TAG_COUNTS_MAX)

    # Changing

    def create(
        self, caller: Caller, given: Mapping[str, Any], now: datetime, once: Once | None = None
    ) -> FanResult:
        """Add a fan. Raises Invalid, and Conflict `fan_exists` or `fan_deleted` with the id of the
        fan that has the handle."""
        caller.require(Permission.EDIT)
        values = read_fields(given, now)
        if "value_cents" in values:
            values["value_stated_at"] = now

        def deed(work: UnitOfWork) -> str:
            self._refuse_twin(work, caller, values)
            fan = work.fans.add(
                caller.owner_id, values, ChangedBy(ChangeSource.PERSON, caller.user_id)
            )
            if fan is None:
                twin = work.fans.of_handle(caller.owner_id, values["platform"], values["handle"])
                raise fan_exists(twin.id if twin else None)
            work.audit.add(caller, "fan.created", "fan", fan.id)
            return json.dumps(fan_record(fan))

        return self._result(*run_once(self._open, caller, once, deed))

    @staticmethod
    def _refuse_twin(work: UnitOfWork, caller: Caller, values: Mapping[str, Any]) -> None:
        twin = work.fans.of_handle(caller.owner_id, values["platform"], values["handle"])
        if twin is None:
            return
        if twin.deleted_at is None:
            raise fan_exists(twin.id)
        raise Conflict(
            "a fan with this handle was deleted: restore it",
            FieldProblem("fanId", str(twin.id)),
            code="fan_deleted",
        )

    def update(
        self,
        caller: Caller,
        fan_id: FanId,
        given: Mapping[str, Any],
        now: datetime,
        version: int | None = None,
    ) -> Fan:
        """Set some fields, None clearing one. Raises NotFound, Invalid, and Conflict
        `version_conflict` unless `version` is the present one, or `fan_exists`."""
        caller.require(Permission.EDIT)
        values = read_fields(given, now)
        with self._open() as work:
            fan = _found(next(iter(work.fans.lock(caller.owner_id, [fan_id])), None), fan_id)
            if version is not None and version != fan.version:
                raise Conflict(
                    f"it was changed meanwhile, to version {fan.version}: look again",
                    FieldProblem("version", str(fan.version)),
                    code="version_conflict",
                )
            stated = "value_cents" in values
            values = {name: value for name, value in values.items() if value != getattr(fan, name)}
            if stated:
                values["value_stated_at"] = now
            if not values:
                return fan
            changed = work.fans.change(fan, values, ChangedBy(ChangeSource.PERSON, caller.user_id))
            fields = sorted(values.keys() - {"value_stated_at"})
            work.audit.add(caller, "fan.changed", "fan", fan_id, {"fields": fields})
            work.commit()
        return changed

    def restore(self, caller: Caller, fan_id: FanId, once: Once | None = None) -> FanResult:
        """Bring a deleted fan back. Raises NotFound, and Conflict when it is not deleted, was
        merged or erased, or its handle or link belongs to another fan by now."""
        caller.require(Permission.EDIT)

        def deed(work: UnitOfWork) -> str:
            locked = work.fans.lock(caller.owner_id, [fan_id], deleted=True)
            fan = _found(next(iter(locked), None), fan_id)
            if not fan.restorable:
                raise _not_restorable(fan)
            restored = work.fans.change(
                fan, {"deleted_at": None}, ChangedBy(ChangeSource.PERSON, caller.user_id)
            )
            work.audit.add(caller, "fan.restored", "fan", fan_id)
            return json.dumps(fan_record(restored))

        return self._result(*run_once(self._open, caller, once, deed))

    # Tags in bulk

    def tag(
        self,
        caller: Caller,
        fan_ids: Sequence[FanId] | None,
        sought: FanFilter | None,
        *,
        add: Sequence[str],
        remove: Sequence[str],
        once: Once | None = None,
    ) -> TagResult:
        """Add and remove tags of the listed fans, or of all that pass the filter. Raises Invalid
        naming foreign or unknown ids, fans that would have too many tags, and a filter that
        matches too many; then nothing is changed."""
        caller.require(Permission.EDIT)
        adding, removing = _tags_of("add", add), _tags_of("remove", remove)
        if both := set(adding) & set(removing):
            raise Invalid(FieldProblem("remove", f"also in add: {', '.join(sorted(both))}"))
        if (fan_ids is None) == (sought is None):
            raise Invalid(FieldProblem("fanIds", "name fanIds or a filter, one of the two"))
        wanted = sought.checked() if sought else None

        def deed(work: UnitOfWork) -> str:
            fans = _meant(work, caller, fan_ids, wanted)
            tagged = [(fan, retag(fan.tags, adding, removing)) for fan in fans]
            full = [str(fan.id) for fan, tags in tagged if len(tags) > TAGS_MAX]
            if full:
                raise Invalid(
                    FieldProblem("add", f"more than {TAGS_MAX} tags for fans {_some(full)}")
                )
            changed = [(fan, tags) for fan, tags in tagged if tags != fan.tags]
            work.fans.set_tags(caller.owner_id, changed, caller.user_id)
            counts = {"matched": len(tagged), "changed": len(changed)}
            work.audit.add(caller, "fans.tagged", "fans", None, counts)
            return json.dumps(counts)

        answer, replayed = run_once(self._open, caller, once, deed)
        return TagResult(**json.loads(answer), replayed=replayed)

    @staticmethod
    def _result(answer: str, replayed: bool) -> FanResult:  # noqa: FBT001  # as run_once tells
        return FanResult(fan_of_record(json.loads(answer)), replayed)


def _found(fan: Fan | None, fan_id: FanId) -> Fan:
    if fan is None:
        raise NotFound(f"no fan {fan_id}", code="fan_not_found")
    return fan


def _not_restorable(fan: Fan) -> Conflict:
    if fan.deleted_at is None:
        return Conflict("it is not deleted", code="not_deleted")
    if fan.erased_at is not None:
        return Conflict("it was erased for good", code="erased")
    return Conflict("it was merged into another fan: undo the merge", code="merged")


def _tags_of(field: str, texts: Sequence[str]) -> tuple[str, ...]:
    try:
        return read_tags(texts)
    except ValueError as problem:
        raise Invalid(FieldProblem(field, str(problem))) from None


def _meant(
    work: UnitOfWork, caller: Caller, fan_ids: Sequence[FanId] | None, wanted: FanFilter | None
) -> Sequence[Fan]:
    """The fans of a bulk request, locked."""
    if wanted is not None:
        ids = work.fans.ids(caller.owner_id, (wanted,), FanId(0), TAGGED_MAX + 1)
        if len(ids) > TAGGED_MAX:
            raise Invalid(FieldProblem("filter", f"matches more than {TAGGED_MAX} fans: narrow it"))
        return work.fans.lock(caller.owner_id, ids)
    asked = fan_ids or ()
    if not 1 <= len(asked) <= FAN_IDS_MAX:
        raise Invalid(FieldProblem("fanIds", f"use 1 to {FAN_IDS_MAX} ids"))
    fans = work.fans.lock(caller.owner_id, sorted(set(asked)))
    if missing := sorted(set(asked) - {fan.id for fan in fans}):
        raise Invalid(*(FieldProblem("fanIds", f"no fan {one}") for one in missing))
    return fans


def _some(ids: Sequence[str], most: int = 20) -> str:
    return ", ".join(ids[:most]) + (" and more" if len(ids) > most else "")

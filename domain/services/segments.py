"""Segments: filters of fans that were saved, counted, and read by others."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from domain.errors import FieldProblem, Invalid, NotFound
from domain.fans import FanId, plain, read_name
from domain.repositories import Once, OpenUnitOfWork, UnitOfWork
from domain.segments import FanFilter, Segment, SegmentId, filter_of_record
from domain.services.once import run_once
from domain.users import Caller, OwnerId, Permission

# Each is counted whenever they are listed.
SEGMENTS_MAX = 100
NAME_FIELD = "name"


@dataclass(frozen=True)
class SegmentResult:
    """A segment after a request; `replayed` says that an Idempotency-Key brought it back."""

    segment: Segment
    replayed: bool = False


class SegmentService:
    """The use cases of segments."""

    def __init__(self, open_unit_of_work: OpenUnitOfWork) -> None:
        self._open = open_unit_of_work

    def list_segments(self, caller: Caller) -> Sequence[Segment]:
        """All of them by name, each with its count."""
        caller.require(Permission.READ)
        with self._open() as work:
            return [_counted(work, caller, one) for one in work.segments.list_of(caller.owner_id)]

    def get(self, caller: Caller, segment_id: SegmentId) -> Segment:
        """With its count; raises NotFound."""
        caller.require(Permission.READ)
        with self._open() as work:
            return _counted(work, caller, segment_of(work, caller.owner_id, segment_id))

    def create(
        self, caller: Caller, name: str, sought: FanFilter, once: Once | None = None
    ) -> SegmentResult:
        """Save a filter. Raises Invalid, also when there are SEGMENTS_MAX, and Conflict
        `segment_exists`."""
        caller.require(Permission.EDIT)
        read, wanted = _named(name), _lasting(sought)

        def deed(work: UnitOfWork) -> str:
            if len(work.segments.list_of(caller.owner_id)) >= SEGMENTS_MAX:
                raise Invalid(FieldProblem(NAME_FIELD, f"there are {SEGMENTS_MAX} already"))
            made = work.segments.add(caller.owner_id, read, wanted)
            work.audit.add(caller, "segment.created", "segment", made.id)
            return _text_of(_counted(work, caller, made))

        answer, replayed = run_once(self._open, caller, once, deed)
        return SegmentResult(_segment_from(answer), replayed)

    def update(
        self, caller: Caller, segment_id: SegmentId, name: str | None, sought: FanFilter | None
    ) -> Segment:
        """Give it another name, another filter, or both; raises NotFound, Invalid, Conflict."""
        caller.require(Permission.EDIT)
        read = None if name is None else _named(name)
        wanted = None if sought is None else _lasting(sought)
        with self._open() as work:
            segment = segment_of(work, caller.owner_id, segment_id)
            changed = work.segments.change(
                segment, read or segment.name, wanted if wanted is not None else segment.filter
            )
            work.audit.add(caller, "segment.changed", "segment", segment_id)
            counted = _counted(work, caller, changed)
            work.commit()
        return counted

    def delete(self, caller: Caller, segment_id: SegmentId) -> None:
        """Forget the filter; its fans stay. Raises NotFound."""
        caller.require(Permission.EDIT)
        with self._open() as work:
            work.segments.delete(segment_of(work, caller.owner_id, segment_id))
            work.audit.add(caller, "segment.deleted", "segment", segment_id)
            work.commit()

    def fan_ids(
        self, owner_id: OwnerId, segment_id: SegmentId, batch: int = 1000
    ) -> Iterator[Sequence[FanId]]:
        """The ids of a segment's fans, ascending, a batch at a time; each batch is read in a
        transaction of its own. Raises NotFound."""
        after = FanId(0)
        while True:
            with self._open() as work:
                segment = segment_of(work, owner_id, segment_id)
                ids = work.fans.ids(owner_id, (segment.filter,), after, batch)
            if ids:
                yield ids
            if len(ids) < batch:
                return
            after = ids[-1]


def segment_of(work: UnitOfWork, owner_id: OwnerId, segment_id: SegmentId) -> Segment:
    """Raises NotFound."""
    found = work.segments.get(owner_id, segment_id)
    if found is None:
        raise NotFound(f"no segment {segment_id}", code="segment_not_found")
    return found


def filters_of(
    work: UnitOfWork,
    owner_id: OwnerId,
    sought: FanFilter | None,
    segment_id: SegmentId | None,
) -> Sequence[FanFilter]:
    """A filter and a segment's together; raises NotFound."""
    filters = [] if sought is None else [sought]
    if segment_id is not None:
        filters.append(segment_of(work, owner_id, segment_id).filter)
    return filters


def _named(name: str) -> str:
    try:
        return read_name(name)
    except ValueError as problem:
        raise Invalid(FieldProblem(NAME_FIELD, str(problem))) from None


def _lasting(sought: FanFilter) -> FanFilter:
    if sought.deleted:
        raise Invalid(FieldProblem("filter.deleted", "segments hold fans that are not deleted"))
    return sought.checked()


def _counted(work: UnitOfWork, caller: Caller, segment: Segment) -> Segment:
    count, is_capped = work.fans.count(caller.owner_id, (segment.filter,))
    return replace(segment, count=count, is_capped=is_capped)


def _text_of(segment: Segment) -> str:
    record: dict[str, Any] = {name: plain(value) for name, value in vars(segment).items()}
    return json.dumps({**record, "filter": segment.filter.record()})


def _segment_from(text: str) -> Segment:
    record = json.loads(text)
    for name in ("created_at", "updated_at"):
        record[name] = datetime.fromisoformat(record[name])
    return Segment(**{**record, "filter": filter_of_record(record["filter"])})

"""Fans that leave: deleted so that they can come back, erased for good, or handed out.

Whatever still waits to be sent to a fan is cancelled in the same transaction."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from domain.errors import Conflict, FieldProblem, Invalid, NotFound
from domain.fans import ChangedBy, ChangeSource, Fan, FanId
from domain.ports import RoomUnavailable, WaitingRoom
from domain.repositories import OpenUnitOfWork, UnitOfWork
from domain.users import Caller, Permission

MODES = ("soft", "hard")
EXPORT_BATCH = 500
SECTIONS = ("changes", "conversations", "messages", "transactions")


class DepartureService:
    """The use cases of leaving."""

    def __init__(
        self, open_unit_of_work: OpenUnitOfWork, room: WaitingRoom, default_mode: str
    ) -> None:
        self._open = open_unit_of_work
        self._room = room
        self._default_mode = default_mode

    def delete(self, caller: Caller, fan_id: FanId, now: datetime, mode: str | None = None) -> None:
        """Delete a fan: `soft`, so that it can be restored, or `hard`, which erases it for good
        and also takes fans that were deleted before. Raises NotFound, Forbidden, Invalid, and
        Conflict: `in_flight` while a message to an erased fan is on its way, or `merged`."""
        chosen = mode or self._default_mode
        if chosen not in MODES:
            raise Invalid(FieldProblem("mode", f"use one of: {', '.join(MODES)}"))
        erases = chosen == "hard"
        caller.require(Permission.ERASE if erases else Permission.EDIT)
        with self._open() as work:
            fan = self._locked(work, caller, fan_id, erases=erases)
            fans = work.departures.family(fan_id)
            cancelled = work.departures.cancel_queued(fans)
            facts: dict[str, object] = {"cancelled": len(cancelled)}
            if erases:
                if work.departures.in_flight(fans):
                    raise Conflict(
                        "a message to this fan is on its way: wait until it is settled",
                        code="in_flight",
                    )
                facts["messages"] = work.departures.erase(caller.owner_id, fans)
                work.audit.add(caller, "fan.erased", "fan", fan_id, facts)
            else:
                work.fans.change(
                    fan, {"deleted_at": now}, ChangedBy(ChangeSource.PERSON, caller.user_id)
                )
                work.audit.add(caller, "fan.deleted", "fan", fan_id, facts)
            work.commit()
        # The claim refuses a cancelled row: what stays in the room is harmless.
        with contextlib.suppress(RoomUnavailable):
            for connection_id, waiting in cancelled:
                self._room.remove(connection_id, waiting)

    @staticmethod
    def _locked(work: UnitOfWork, caller: Caller, fan_id: FanId, *, erases: bool) -> Fan:
        """The fan, with its connections locked before it, as everybody does."""
        fan = work.fans.get(caller.owner_id, fan_id, deleted=erases)
        if fan is None or fan.erased_at is not None:
            raise NotFound(f"no fan {fan_id}", code="fan_not_found")
        if fan.merged_into is not None:
            raise Conflict(
                "it was merged: erase the fan that was kept, or undo the merge",
                FieldProblem("fanId", str(fan.merged_into)),
                code="merged",
            )
        connections = set(work.departures.connections_of_queued(work.departures.family(fan_id)))
        if fan.connection_id is not None:
            connections.add(fan.connection_id)
        for connection_id in sorted(connections):
            work.connections.lock(connection_id)
        locked = work.fans.lock(caller.owner_id, [fan_id], deleted=erases)
        if not locked or replace(locked[0], tier=fan.tier) != fan:
            raise Conflict("it has just changed: try again", code="changed")
        return locked[0]

    # Handing out

    def export(self, caller: Caller, fan_id: FanId) -> "Export":
        """All that is kept about a fan; raises NotFound before the first row is read."""
        caller.require(Permission.EXPORT)
        with self._open() as work:
            fan = work.fans.get(caller.owner_id, fan_id)
            if fan is None:
                raise NotFound(f"no fan {fan_id}", code="fan_not_found")
            family = work.departures.family(fan_id)
            work.audit.add(caller, "fan.exported", "fan", fan_id)
            work.commit()
        return Export(self._open, fan, tuple(family))


class Export:
    """A fan's rows, read a batch at a time while they are handed out."""

    def __init__(
        self, open_unit_of_work: OpenUnitOfWork, fan: Fan, family: tuple[FanId, ...]
    ) -> None:
        self._open = open_unit_of_work
        self.fan = fan
        self._family = family

    def rows(self, section: str) -> Iterator[Mapping[str, Any]]:
        """One of SECTIONS, oldest first for each fan that was merged into this one."""
        for fan_id in self._family:
            after = 0
            while True:
                with self._open() as work:
                    batch = work.departures.records(section, fan_id, after, EXPORT_BATCH)
                yield from batch
                if len(batch) < EXPORT_BATCH:
                    break
                after = batch[-1]["id"]

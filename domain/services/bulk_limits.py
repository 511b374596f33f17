"""The limits of an account's campaigns at work: asked at each claim, and lifted by the timer.

A hold stands in the account's row, where every claim sees it; the lanes in the waiting room follow,
so that nothing is handed out in vain.
"""

import contextlib
from datetime import timedelta

from domain.bulk_limits import WARM_UP_DAYS, WARM_UP_FIRST, BulkLimits
from domain.messages import Claim, MessageId
from domain.pacing import LaneVerb
from domain.ports import RoomUnavailable, WaitingRoom
from domain.repositories import Lanes, OpenUnitOfWork, UnitOfWork

PASS_LIMIT = 500


class BulkLimitService:
    """What a claim and the timer ask."""

    def __init__(self, open_unit_of_work: OpenUnitOfWork, room: WaitingRoom) -> None:
        self._open = open_unit_of_work
        self._room = room

    def claim(
        self, work: UnitOfWork, message_id: MessageId, lease: timedelta
    ) -> Claim | Lanes | None:
        """Claim a campaign's message on an account with limits. Lanes: they allow none now, and
        these campaigns are held there. None: it is no such message, or its fan has had enough.

        The account's row is locked, so that its claims are counted one after another."""
        limited = work.bulk_limits.limited(message_id)
        if limited is None:
            return None
        connection = work.connections.lock(limited.connection_id)
        limits, now = connection.bulk_limits, work.bulk_limits.clock()
        calls = work.bulk_limits.calls(connection.id, most_of(limits))
        until, why = limits.next_open(now, calls)
        if why is not None:
            return work.bulk_limits.hold(connection.id, until, why)
        if limits.per_fan is not None:
            got = work.bulk_limits.got(connection.owner_id, [limited.fan_id])
            free_at = limits.fan_free_at(got.get(limited.fan_id, ()))
            if free_at is not None and free_at > now:
                work.bulk_limits.hold_message(message_id, free_at)
                return None
        return work.messages.claim(message_id, lease, cleared=True)

    def tell_room(self, lanes: Lanes, verb: LaneVerb) -> None:
        """Hold these lanes, or let them go. What the room does not hear, the claim refuses."""
        with contextlib.suppress(RoomUnavailable):
            for campaign_id in lanes.campaign_ids:
                self._room.lane(lanes.connection_id, campaign_id, verb)

    def sweep(self) -> int:
        """Take off what is over; returns how many accounts and messages may go again."""
        with self._open() as work:
            ended = work.bulk_limits.end_holds(PASS_LIMIT)
            messages = work.bulk_limits.end_message_holds(PASS_LIMIT)
            work.commit()
        for lanes in ended:
            self.tell_room(lanes, LaneVerb.RESUME)
        return len(ended) + messages


def most_of(limits: BulkLimits) -> int:
    """How many calls of the last day the caps look back on."""
    warm_up = WARM_UP_FIRST * 2 ** (WARM_UP_DAYS - 1) if limits.warm_up_since else 0
    return max(limits.per_hour or 0, limits.per_day or 0, warm_up)

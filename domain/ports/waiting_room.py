"""What the domain needs of the waiting room in Redis."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Protocol

from domain.campaigns import CampaignId
from domain.connections import ConnectionId
from domain.messages import RoomSignal
from domain.pacing import (
    Admission,
    Begun,
    BucketView,
    LaneVerb,
    Learned,
    Pace,
    Permit,
    Release,
    Waiting,
)


class RoomUnavailable(Exception):
    """Redis does not answer. Nothing may be sent; everything waits in PostgreSQL."""


class RoomCold(RoomUnavailable):
    """Redis answers but knows nothing (flushed, restarted, failed over): a rebuild comes first."""


class WaitingRoom(Protocol):
    """The index of who waits and when the next may go. Every method is atomic and O(log n) in what
    waits; every method but `rebuild` raises RoomCold or RoomUnavailable and then changed nothing,
    or nothing that a lease does not undo."""

    def admit(self, pace: Pace, waiting: Sequence[Waiting], *, go: bool = False) -> Admission:
        """Put messages into their lanes; those already waiting or in flight are left as they are.

        Also takes over `pace` (a changed rate keeps earned tokens; `paused` stops and starts the
        connection), so an empty `waiting` just tells the room of a change. With `go`, the head of
        the queue gets a permit if its slot is at most the release lead away."""
        ...

    def release(self, limit: int) -> Release:
        """Hand out up to `limit` permits whose slots are at most the release lead away, and put
        permits whose lease ran out back in their place."""
        ...

    def begin(self, permit: Permit) -> Begun:
        """Charge the token: take slot = max(next free, now). The last moment before a call. A
        second begin of the same permit gives the first slot up and takes a new one."""
        ...

    def done(
        self,
        permit: Permit,
        signal: RoomSignal | None,
        *,
        put_back: bool = False,
        retry_after: timedelta | None = None,
    ) -> Learned:
        """Free a permit. `signal` is what the platform's answer says of the pace (None: no call
        was made); `put_back` returns the message to its place. A stale permit changes nothing."""
        ...

    def give_back(self, permits: Sequence[Permit]) -> None:
        """Return permits that could not be published: each message goes back to its place, as by
        `done` without a call. Stale ones change nothing."""
        ...

    def remove(self, connection_id: ConnectionId, waiting: Waiting) -> bool:
        """Take one message out of its lane; False when it was not waiting there."""
        ...

    def lane(self, connection_id: ConnectionId, campaign_id: CampaignId, verb: LaneVerb) -> int:
        """Pause, resume or cancel a campaign's lane; the cost does not depend on what waits.
        Returns how many messages that affects."""
        ...

    def place(self, connection_id: ConnectionId, waiting: Waiting) -> tuple[int, float] | None:
        """How many go before this waiting message, and its estimated slot in ms; None when it
        does not wait here."""
        ...

    def view(self, connection_ids: Sequence[ConnectionId]) -> Sequence[BucketView]:
        """Look at buckets, in the order asked; an unknown one shows the defaults."""
        ...

    def cold(self) -> bool:
        """Whether the index must be rebuilt; raises RoomUnavailable."""
        ...

    def rebuild(self, rows: Iterable[tuple[Pace, Learned, Sequence[Waiting]]]) -> int:
        """Start a new epoch in which every bucket is empty, admit `rows` without releasing, then
        open. One process at a time does it (others return 0 at once); safe to repeat after a
        crash at any point. Returns how many messages wait."""
        ...

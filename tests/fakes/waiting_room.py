"""The WaitingRoom port on the oracle: what the Redis adapter does, without Redis."""

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from threading import RLock

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
    RoomRules,
    Waiting,
)
from domain.ports import RoomCold, RoomUnavailable
from domain.waiting_room import Room


class FakeWaitingRoom:
    """Thread-safe, on an injected clock in ms. It starts open, with every bucket full.

    `unavailable = True` makes every method raise RoomUnavailable; `flush()` makes it cold."""

    def __init__(self, now_ms: Callable[[], float], rules: RoomRules | None = None) -> None:
        self.unavailable = False
        self._now_ms = now_ms
        self._rules = rules or RoomRules()
        self._lock = RLock()
        self._room: Room | None = Room(self._rules, epoch_ms=0)

    def flush(self) -> None:
        """Forget everything, as FLUSHALL does."""
        with self._lock:
            self._room = None

    def admit(self, pace: Pace, waiting: Sequence[Waiting], *, go: bool = False) -> Admission:
        with self._lock:
            return self._open().admit(self._now_ms(), pace, waiting, go=go)

    def release(self, limit: int) -> Release:
        with self._lock:
            return self._open().release(self._now_ms(), limit)

    def begin(self, permit: Permit) -> Begun:
        with self._lock:
            return self._open().begin(self._now_ms(), permit)

    def done(
        self,
        permit: Permit,
        signal: RoomSignal | None,
        *,
        put_back: bool = False,
        retry_after: timedelta | None = None,
    ) -> Learned:
        wait_ms = retry_after.total_seconds() * 1000 if retry_after else 0
        with self._lock:
            return self._open().done(
                self._now_ms(), permit, signal, put_back=put_back, retry_after_ms=wait_ms
            )

    def give_back(self, permits: Sequence[Permit]) -> None:
        with self._lock:
            for permit in permits:
                self._open().done(self._now_ms(), permit, None, put_back=True)

    def remove(self, connection_id: ConnectionId, waiting: Waiting) -> bool:
        with self._lock:
            return self._open().remove(connection_id, waiting)

    def lane(self, connection_id: ConnectionId, campaign_id: CampaignId, verb: LaneVerb) -> int:
        with self._lock:
            return self._open().lane(connection_id, campaign_id, verb)

    def place(self, connection_id: ConnectionId, waiting: Waiting) -> tuple[int, float] | None:
        with self._lock:
            return self._open().place(self._now_ms(), connection_id, waiting)

    def view(self, connection_ids: Sequence[ConnectionId]) -> Sequence[BucketView]:
        with self._lock:
            return self._open().view(self._now_ms(), connection_ids)

    def cold(self) -> bool:
        with self._lock:
            self._refuse_unavailable()
            return self._room is None

    def rebuild(self, rows: Iterable[tuple[Pace, Learned, Sequence[Waiting]]]) -> int:
        with self._lock:
            self._refuse_unavailable()
            if self._room is not None:
                return 0
            room, total = Room(self._rules, self._now_ms()), 0
            for pace, learned, waiting in rows:
                room.restore(pace, learned, waiting)
                total += len(waiting)
            self._room = room
            return total

    def _open(self) -> Room:
        self._refuse_unavailable()
        if self._room is None:
            raise RoomCold("flushed")
        return self._room

    def _refuse_unavailable(self) -> None:
        if self.unavailable:
            raise RoomUnavailable("unavailable")

"""The waiting room as a small model: the oracle that the Lua scripts must agree with, number by
number. It scans where they index; the fakes of the tests are built on it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from domain.campaigns import CampaignId
from domain.connections import ConnectionId
from domain.messages import MessageId, RoomSignal
from domain.pacing import (
    Admission,
    Beginning,
    Begun,
    Bucket,
    BucketView,
    LaneVerb,
    Learned,
    Pace,
    Permit,
    Release,
    RoomRules,
    Waiting,
    pick,
    sends_before,
    slot_after,
)

HOUSEKEEPING = 50  # leases put back in one release, so that no call is long


@dataclass
class Flight:
    """A message that is out: first as a permit, then, once `begun`, as a call."""

    permit: Permit
    waiting: Waiting
    deadline_ms: float
    begun: bool = False


class Room:
    """All connections of one epoch. Every method takes `now` in ms and is one atomic step."""

    def __init__(self, rules: RoomRules, epoch_ms: float) -> None:
        self.rules = rules
        self.epoch_ms = epoch_ms
        self.buckets: dict[ConnectionId, Bucket] = {}
        self.queue: dict[tuple[ConnectionId, MessageId], Waiting] = {}
        self.held: set[tuple[ConnectionId, CampaignId | None]] = set()
        self.flights: dict[tuple[ConnectionId, MessageId], Flight] = {}
        self._fence = 0

    def admit(
        self, now: float, pace: Pace, waiting: Iterable[Waiting], *, go: bool = False
    ) -> Admission:
        asked = list(waiting)
        connection_id = pace.connection_id
        bucket = self.buckets.setdefault(connection_id, self._unknown(pace.interval_ms, pace.burst))
        bucket.change_pace(now, pace.interval_ms, pace.burst, bucket.slowdown)
        bucket.paused = pace.paused
        for one in asked:
            if (connection_id, one.message_id) not in self.flights:
                self.queue.setdefault((connection_id, one.message_id), one)
        permit = self._give_permit(connection_id, now) if go else None
        estimates = {}
        for one in asked:
            place = None if bucket.paused else self.place(now, connection_id, one)
            if place:
                estimates[one.message_id] = place[1]
        return Admission(permit, estimates)

    def restore(self, pace: Pace, learned: Learned, waiting: Sequence[Waiting]) -> None:
        """Admit on behalf of a rebuild: the bucket is empty at the epoch and remembers."""
        if not waiting and learned == Learned():
            return  # an unknown bucket says the same
        bucket = self._unknown(pace.interval_ms, pace.burst, learned.slowdown)
        bucket.failures = learned.failures
        bucket.block(learned.blocked_until_ms)
        self.buckets[pace.connection_id] = bucket
        self.admit(self.epoch_ms, pace, waiting)

    def release(self, now: float, limit: int) -> Release:
        self._expire(now)
        permits: list[Permit] = []
        for connection_id in [one for due, one in self._armed() if due <= now][:limit]:
            while len(permits) < limit and (permit := self._give_permit(connection_id, now)):
                permits.append(permit)
        armed = self._armed()
        return Release(permits, max(0, armed[0][0] - now) if armed else None)

    def begin(self, now: float, permit: Permit) -> Begun:
        flight = self.flights.get((permit.connection_id, permit.message_id))
        if flight is None or flight.permit != permit or flight.deadline_ms <= now:
            return Begun(Beginning.STALE, 0, now)
        bucket = self.buckets[permit.connection_id]
        if not bucket.within_reach(now, self.rules.lead_ms):
            self._land(flight, put_back=True)
            return Begun(Beginning.PARKED, 0, now)
        slot = bucket.charge(now)
        if not flight.begun:
            bucket.permits -= 1
        flight.begun = True
        flight.deadline_ms = now + self.rules.send_lease_ms
        return Begun(Beginning.OK, slot, now, bucket.base_ms)

    def done(
        self,
        now: float,
        permit: Permit,
        signal: RoomSignal | None,
        *,
        put_back: bool = False,
        retry_after_ms: float = 0,
    ) -> Learned:
        flight = self.flights.get((permit.connection_id, permit.message_id))
        if flight is None or flight.permit != permit:
            return Learned()
        self._land(flight, put_back=put_back)
        bucket = self.buckets[permit.connection_id]
        changed = bucket.learn(signal, now, retry_after_ms)
        return Learned(bucket.slowdown, bucket.failures, bucket.blocked_until_ms, changed)

    def remove(self, connection_id: ConnectionId, waiting: Waiting) -> bool:
        return self.queue.pop((connection_id, waiting.message_id), None) is not None

    def lane(self, connection_id: ConnectionId, campaign_id: CampaignId, verb: LaneVerb) -> int:
        lane = (connection_id, campaign_id)
        inside = [
            key
            for key, one in self.queue.items()
            if key[0] == connection_id and one.campaign_id == campaign_id
        ]
        was_held = lane in self.held
        if verb is LaneVerb.PAUSE:
            self.held.add(lane)
            return 0 if was_held else len(inside)
        self.held.discard(lane)
        if verb is LaneVerb.RESUME:
            return len(inside) if was_held else 0
        for key in inside:
            del self.queue[key]
        return len(inside)

    def place(
        self, now: float, connection_id: ConnectionId, waiting: Waiting
    ) -> tuple[int, float] | None:
        me = self.queue.get((connection_id, waiting.message_id))
        if me is None or (connection_id, me.campaign_id) in self.held:
            return None
        view = self.view(now, [connection_id])[0]
        older = [
            one
            for one in self._free(connection_id)
            if one.priority == me.priority and one.message_id < me.message_id
        ]
        others = {**view.waiting, me.priority: len(older)}
        before = view.permits_out + sends_before(me.priority, others, view.passed_over)
        return before, slot_after(view, before)

    def view(self, now: float, connection_ids: Sequence[ConnectionId]) -> Sequence[BucketView]:
        return [self._look(now, one) for one in connection_ids]

    def _look(self, now: float, connection_id: ConnectionId) -> BucketView:
        bucket = self.buckets.get(connection_id) or self._unknown(
            self.rules.interval_ms, self.rules.burst
        )
        priorities = [one.priority for one in self._free(connection_id)]
        return BucketView(
            connection_id=connection_id,
            now_ms=now,
            next_free_ms=bucket.next_free(now),
            full_at_ms=bucket.full_at_ms,
            interval_ms=bucket.interval_ms,
            burst=bucket.burst,
            paused=bucket.paused,
            slowdown=bucket.slowdown,
            failures=bucket.failures,
            blocked_until_ms=bucket.blocked_until_ms,
            waiting={one: priorities.count(one) for one in sorted(set(priorities))},
            permits_out=bucket.permits,
            in_flight=bucket.in_flight,
            begun=frozenset(
                key[1]
                for key, flight in self.flights.items()
                if key[0] == connection_id and flight.begun
            ),
            passed_over=bucket.passed_over,
        )

    def _unknown(self, interval_ms: float, burst: int, slowdown: int = 0) -> Bucket:
        bucket = Bucket(interval_ms, burst, 0, slowdown=slowdown)
        bucket.start_empty(self.epoch_ms, self.rules.lead_ms)
        return bucket

    def _free(self, connection_id: ConnectionId) -> list[Waiting]:
        return [
            one
            for key, one in self.queue.items()
            if key[0] == connection_id and (connection_id, one.campaign_id) not in self.held
        ]

    def _armed(self) -> list[tuple[float, ConnectionId]]:
        """The connections that may release, with the instant from which; in the order of Redis."""
        lead = self.rules.lead_ms
        return sorted(
            (
                (bucket.due(lead), connection_id)
                for connection_id, bucket in self.buckets.items()
                if bucket.has_room(lead) and self._free(connection_id)
            ),
            key=lambda entry: (entry[0], str(entry[1])),
        )

    def _give_permit(self, connection_id: ConnectionId, now: float) -> Permit | None:
        bucket, free = self.buckets[connection_id], self._free(connection_id)
        lead = self.rules.lead_ms
        if not free or not bucket.has_room(lead) or now < bucket.due(lead):
            return None
        chosen, bucket.passed_over = pick(free, bucket.passed_over)
        key = (connection_id, chosen.message_id)
        del self.queue[key]
        self._fence += 1
        permit = Permit(*key, f"{self.epoch_ms:.0f}-{self._fence}")
        self.flights[key] = Flight(permit, chosen, now + self.rules.permit_lease_ms)
        bucket.give_permit(now)
        return permit

    def _land(self, flight: Flight, *, put_back: bool) -> None:
        key = (flight.permit.connection_id, flight.permit.message_id)
        del self.flights[key]
        bucket = self.buckets[key[0]]
        bucket.in_flight -= 1
        if not flight.begun:
            bucket.permits -= 1
        if put_back:
            self.queue[key] = flight.waiting

    def _expire(self, now: float) -> None:
        """A permit that nobody began goes back to its place; a call that nobody finished is only
        freed, since PostgreSQL decides whether it may be tried again."""
        late = [flight for flight in self.flights.values() if flight.deadline_ms <= now]
        late.sort(
            key=lambda one: (
                one.deadline_ms,
                f"{one.permit.connection_id}:{one.permit.message_id}",
            )
        )
        for flight in late[:HOUSEKEEPING]:
            self._land(flight, put_back=not flight.begun)

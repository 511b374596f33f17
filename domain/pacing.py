"""The token bucket, the order of the queue and the promise: decisions without effects.

`infra/redis/*.lua` says the same in Lua, with the same names and the same order of arithmetic: the
property tests compare every number exactly, through the oracle in `domain/waiting_room.py`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from domain.campaigns import CampaignId
from domain.connections import ConnectionId
from domain.messages import MessageId, RoomSignal

# Half a per cent: 0.3 s of slack in a minute, so that jitter never puts an eleventh message into a
# half-open minute at the receiver.
SAFETY = 1.005


def interval_ms(rate_per_minute: float) -> float:
    """Milliseconds between two slots at this rate."""
    return 60_000 / rate_per_minute * SAFETY


@dataclass(frozen=True)
class Pace:
    """How a connection may send, as its PostgreSQL row says; it travels with every admit, so the
    waiting room never needs to be told of a change apart."""

    connection_id: ConnectionId
    interval_ms: float
    burst: int = 1
    paused: bool = False


@dataclass(frozen=True)
class Waiting:
    """A message on its way into the waiting room. Priority 1 is the most urgent, 10 the least."""

    message_id: MessageId
    priority: int
    campaign_id: CampaignId | None = None


@dataclass(frozen=True)
class Permit:
    """The right to begin one message. `lease` is void after PERMIT_LEASE or a rebuild;
    `traceparent` names the trace that admitted the message, if anybody traces."""

    connection_id: ConnectionId
    message_id: MessageId
    lease: str
    traceparent: str = field(default="", compare=False)


@dataclass(frozen=True)
class Admission:
    """What admit did. `go` is a permit for the head of the queue if it may begin at once (it may
    be an older message than those admitted); `send_at_ms` holds the estimate of every admitted
    message that waits (absent: already in flight, or its lane or connection is paused)."""

    go: Permit | None
    send_at_ms: Mapping[MessageId, float]


@dataclass(frozen=True)
class Release:
    """Permits to publish, and when the next could be released (None: nothing waits)."""

    permits: Sequence[Permit]
    next_in_ms: float | None


class Beginning(StrEnum):
    """Whether a permit may become a call."""

    OK = "ok"
    STALE = "stale"  # the lease ran out or was never ours: drop the task
    PARKED = "parked"  # blocked, paused or too early since: back in its place in the queue


@dataclass(frozen=True)
class Begun:
    """The answer of begin: call `slot_ms - now_ms` from now; both are Redis TIME in ms.

    `interval_ms` is the connection's own, whatever the platform has slowed it down to."""

    status: Beginning
    slot_ms: float = 0
    now_ms: float = 0
    interval_ms: float = 0


@dataclass(frozen=True)
class Learned:
    """What the bucket knows of the platform's wishes, to be mirrored on the connection's row.

    `slowdown` is how often the interval was doubled; `failures` the troubled calls in a row."""

    slowdown: int = 0
    failures: int = 0
    blocked_until_ms: float = 0
    changed: bool = False


@dataclass(frozen=True)
class BucketView:
    """A read-only look at one connection's bucket."""

    connection_id: ConnectionId
    now_ms: float
    next_free_ms: float
    full_at_ms: float  # when every token is back: what slots beyond the first follow from
    interval_ms: float  # as widened by `slowdown`
    burst: int
    paused: bool
    slowdown: int
    failures: int
    blocked_until_ms: float
    waiting: Mapping[int, int]  # priority -> how many wait and may go
    permits_out: int
    in_flight: int
    begun: frozenset[MessageId]  # already charged: the next free slot counts them
    passed_over: int  # consecutive sends that passed over a less urgent message


class LaneVerb(StrEnum):
    """What can be done to a campaign's lane."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"


@dataclass(frozen=True)
class RoomRules:
    """The waiting room's own numbers; durations in ms, each a setting. `interval_ms` and `burst`
    stand in for a connection that no admit has described yet."""

    lead_ms: float = 300
    permit_lease_ms: float = 90_000
    send_lease_ms: float = 60_000
    interval_ms: float = interval_ms(10)
    burst: int = 1


SLOWEST_MS = 60_000  # no 429 widens the interval beyond a minute
CLEAN_TO_RECOVER = 10
BREAKER_AT = 5
BREAKER_MS, BREAKER_MAX_MS = 15_000, 480_000
SLOW_CAP, FAST_CAP_MS = 2, 2_000  # calls in flight: two, or what two seconds of slots hold
AGING = 4  # a less urgent message is passed over at most this often in a row


@dataclass
class Bucket:
    """One connection's token bucket (GCRA), charged when a call begins, not when its permit goes.

    `full_at_ms` is GCRA's theoretical arrival time. A permit only reserves: however late it
    begins, or if it never does, no slot comes too early and no token is lost.
    """

    base_ms: float
    burst: int
    full_at_ms: float
    paused: bool = False
    slowdown: int = 0
    clean: int = 0
    failures: int = 0
    blocked_until_ms: float = 0
    permits: int = 0
    in_flight: int = 0  # permits and begun calls
    passed_over: int = 0

    @property
    def interval_ms(self) -> float:
        """The interval as widened by 429s; a rate slower than the limit stays as it is."""
        return max(self.base_ms, min(SLOWEST_MS, self.base_ms * 2.0**self.slowdown))

    @property
    def tolerance_ms(self) -> float:
        return (self.burst - 1) * self.interval_ms

    def start_empty(self, epoch_ms: float, lead_ms: float) -> None:
        """Nothing is known of the time before the epoch: a slot begun then may lie up to twice the
        lead ahead, so the first new one is an interval later still."""
        self.full_at_ms = epoch_ms + 2 * lead_ms + self.interval_ms + self.tolerance_ms

    def next_free(self, now: float) -> float:
        return max(now, self.full_at_ms - self.tolerance_ms, self.blocked_until_ms)

    def has_room(self, lead_ms: float) -> bool:
        """Whether one more permit may be out: enough to cover the lead, and few calls in flight,
        so that a hanging connection holds few workers."""
        permits = max(math.ceil(lead_ms / self.interval_ms) + 1, self.burst)
        slow = self.interval_ms >= 1000
        cap = SLOW_CAP if slow else math.ceil(FAST_CAP_MS / self.interval_ms)
        if self.failures >= BREAKER_AT:
            cap = 1  # half open: one probe at a time
        return not self.paused and self.permits < permits and self.in_flight < cap

    def due(self, lead_ms: float) -> float:
        """When the next permit may go: the lead before the slot that those out will leave it."""
        slot = self.full_at_ms + self.permits * self.interval_ms - self.tolerance_ms
        return max(slot, self.blocked_until_ms) - lead_ms

    def give_permit(self, now: float) -> None:
        """A rested bucket is full at any instant: saying `now` loses nothing, and keeps the next
        permit an interval away."""
        self.full_at_ms = max(self.full_at_ms, now, self.blocked_until_ms)
        self.permits += 1
        self.in_flight += 1

    def within_reach(self, now: float, lead_ms: float) -> bool:
        """Whether a call may begin: its slot is no further than early permits make it."""
        reach = lead_ms + min(self.interval_ms, lead_ms)
        return not self.paused and self.next_free(now) - now <= reach

    def charge(self, now: float) -> float:
        """Take the next slot and return it."""
        slot = self.next_free(now)
        self.full_at_ms = max(self.full_at_ms, slot) + self.interval_ms
        return slot

    def change_pace(self, now: float, base_ms: float, burst: int, slowdown: int) -> None:
        """Another interval or burst; tokens already earned are kept, capped by the new burst."""
        if (base_ms, burst, slowdown) == (self.base_ms, self.burst, self.slowdown):
            return
        empty_at = self.full_at_ms - self.tolerance_ms
        # Slots begun ahead are a debt in time, not in tokens: it is paid before the pace changes.
        start = max(now, empty_at - self.interval_ms)
        tokens = min(self.burst, (start - empty_at) / self.interval_ms + 1, burst)
        self.base_ms, self.burst, self.slowdown = base_ms, burst, slowdown
        self.full_at_ms = start + self.tolerance_ms + (1 - tokens) * self.interval_ms

    def block(self, until_ms: float) -> None:
        """Nothing goes before `until_ms`, and then one per interval: no burst was saved up."""
        self.blocked_until_ms = max(self.blocked_until_ms, until_ms)
        self.full_at_ms = max(self.full_at_ms, self.blocked_until_ms + self.tolerance_ms)

    def learn(self, signal: RoomSignal | None, now: float, retry_after_ms: float) -> bool:
        """Adapt to what an answer says of the pace; True when it is worth mirroring."""
        if signal is None:
            return False
        if signal is RoomSignal.THROTTLED:
            return self._throttled(now, retry_after_ms)
        if signal is RoomSignal.TROUBLED:
            return self._troubled(now)
        was_open = self.failures >= BREAKER_AT
        self.failures = 0
        if signal is RoomSignal.CLEAN and self.slowdown:
            self.clean += 1
            if self.clean == CLEAN_TO_RECOVER:
                self.clean = 0
                self.change_pace(now, self.base_ms, self.burst, self.slowdown - 1)
                return True
        return was_open

    def _throttled(self, now: float, retry_after_ms: float) -> bool:
        self.clean = 0
        if self.interval_ms < SLOWEST_MS:
            self.change_pace(now, self.base_ms, self.burst, self.slowdown + 1)
        self.block(now + max(retry_after_ms, self.interval_ms))
        return True

    def _troubled(self, now: float) -> bool:
        self.clean = 0
        if self.failures >= BREAKER_AT and now < self.blocked_until_ms:
            return False  # the call began before the breaker opened: it is the same trouble
        self.failures += 1
        if self.failures < BREAKER_AT:
            return False
        self.block(now + min(BREAKER_MS * 2 ** (self.failures - BREAKER_AT), BREAKER_MAX_MS))
        return True


def pick(waiting: Iterable[Waiting], passed_over: int) -> tuple[Waiting, int]:
    """Who goes next, and the new count of picks in a row that passed over a less urgent message.

    The most urgent first, the oldest first within; after four such picks the oldest of the less
    urgent goes. Raises ValueError when nobody waits."""
    everyone = list(waiting)
    first = min(everyone, key=lambda one: (one.priority, one.message_id))
    less_urgent = [one for one in everyone if one.priority > first.priority]
    if not less_urgent:
        return first, 0
    if passed_over < AGING:
        return first, passed_over + 1
    return min(less_urgent, key=lambda one: one.message_id), 0


def sends_before(priority: int, waiting: Mapping[int, int], passed_over: int) -> int:
    """How many go before the newest message of `priority`, by the rule of `pick`.

    `waiting` counts who waits besides it, per priority; without new arrivals the answer is:
    - never too small, so a promise only moves earlier;
    - exact when nothing more urgent waits, and when one more urgent priority and nothing less
      urgent does (so always with two priorities in use);
    - else too large by at most the aged sends of less urgent messages it allows for,
      min(less urgent, (ahead + passed_over) // 4), plus, when several more urgent priorities
      wait, the sends of the more urgent that aging lets it overtake;
    - for an older message (then `waiting` counts only older ones of its own priority) too large
      as well when less urgent messages are newer than it.

    Every fourth send ahead of it lets one less urgent message through. And if aging serves
    everybody less urgent than the most urgent priority first, it goes by aging itself: five sends
    for each of them, and the rest of the current count.
    """
    ahead = sum(count for other, count in waiting.items() if other <= priority)
    less_urgent = sum(count for other, count in waiting.items() if other > priority)
    before = ahead + min(less_urgent, (ahead + passed_over) // AGING)
    most_urgent = min((other for other, count in waiting.items() if count), default=priority)
    if most_urgent < priority:
        passed = ahead + less_urgent - waiting[most_urgent]
        before = min(before, (AGING + 1) * passed + AGING - passed_over)
    return before


def at_pace(view: BucketView, pace: Pace) -> BucketView:
    """The view of a bucket that may not have heard of its connection's pace yet."""
    widened = min(SLOWEST_MS, pace.interval_ms * 2.0**view.slowdown)
    return replace(view, interval_ms=max(pace.interval_ms, widened), burst=pace.burst)


def slot_after(view: BucketView, sends: int) -> float:
    """The slot, in ms, of a call that begins after `sends` others, each as early as it may.

    Permits that have not begun are among the `sends`."""
    start = max(view.now_ms, view.blocked_until_ms)
    tolerance = (view.burst - 1) * view.interval_ms
    return max(start, max(view.full_at_ms, start) + sends * view.interval_ms - tolerance)

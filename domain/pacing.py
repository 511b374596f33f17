"""The token bucket and the waiting room as pure functions: the oracle the Lua is tested against."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from domain.campaigns import CampaignId
from domain.connections import ConnectionId
from domain.messages import MessageId

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
    """The right to begin one message. `lease` is void after PERMIT_LEASE or a rebuild."""

    connection_id: ConnectionId
    message_id: MessageId
    lease: str


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
    """The answer of begin: call `slot_ms - now_ms` from now. Both are Redis TIME in ms."""

    status: Beginning
    slot_ms: float = 0
    now_ms: float = 0


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
    interval_ms: float
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

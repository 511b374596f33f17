"""What is measured of the whole system, for whoever operates it: never of one account or message.

Events are counted from the rows that prove them, a window at a time, so that Prometheus, CloudWatch
and the tables cannot disagree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Lane(StrEnum):
    """Whose turn a message waits for: replies go before campaigns."""

    DIRECT = "direct"
    CAMPAIGN = "campaign"


class Stage(StrEnum):
    """The parts of a message's way, in milliseconds. `wait`: from acceptance to its slot. `start`:
    how long after its slot the call began. `call`: the platform's answer. `total`: all of it."""

    WAIT = "wait"
    START = "start"
    CALL = "call"
    TOTAL = "total"


@dataclass(frozen=True)
class Window:
    """From `start` until before `end`."""

    start: datetime
    end: datetime


@dataclass(frozen=True)
class Tally:
    """What happened in a window. `failed` by error code; `promise_errors`: seconds later than
    promised, of each that was sent."""

    queued: int = 0
    processed: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)
    times: Mapping[Stage, Sequence[float]] = field(default_factory=dict)
    promise_errors: Sequence[float] = ()


@dataclass(frozen=True)
class Standing:
    """How things stand now, of the accounts that send. `lateness`: seconds past its announced time
    of the latest waiting message; `oldest_age`: seconds that the oldest direct reply has waited."""

    waiting: Mapping[Lane, int] = field(default_factory=dict)
    unknown: int = 0
    lateness: float = 0.0
    oldest_age: float = 0.0

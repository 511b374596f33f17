"""What goes wrong in a drill, and when: a pure function of the seed and the length."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

NETWORK = ("delay", "drop", "reset")
PROCESS = ("kill", "freeze", "restart")
# Each part with all that may happen to it. The platform's own are the simulator's kinds of faults.
ACTIONS = {
    "postgres": (*PROCESS, *NETWORK, "flood"),
    "redis": (*PROCESS, *NETWORK, "flood", "empty"),
    "aws": (*PROCESS, *NETWORK, "flood"),
    "simulator": (*PROCESS, *NETWORK, "flood"),
    "web": (*PROCESS, *NETWORK, "flood"),
    "pacer": PROCESS,
    "worker-messages": (*PROCESS, "flood"),
    "worker-campaigns": (*PROCESS, "flood"),
    "worker-imports": (*PROCESS, "flood"),
    "worker-inbound": (*PROCESS, "flood"),
    "worker-metrics": (*PROCESS, "flood"),
    "platform": (
        "rate_limit",
        "server_error",
        "not_sent",
        "refuse_422",
        "dead_session",
        "payment_required",
        "hang_before",
        "hang_after",
        "drop_before",
        "drop_after",
        "html_502_before",
        "html_502_after",
        "no_id",
        "huge",
        "has_error",
        "slow",
    ),
}
FIRST_AT = 8.0
PAUSES = (1.0, 6.0)
# Now and then all is quiet for long enough that a promise can be kept.
QUIET_SHARE, QUIET = 0.08, 20.0
# From a hiccup to longer than every lease of the fast settings.
LENGTHS = (0.5, 9.0)
# A part rests so long between two disturbances of its own.
REST = 2.0


@dataclass(frozen=True)
class Disturbance:
    """At `at` seconds something happens to a part; after `seconds` it is over."""

    at: float
    victim: str
    action: str
    seconds: float

    @property
    def end(self) -> float:
        return self.at + self.seconds

    def __str__(self) -> str:
        return f"{self.at:6.1f} s  {self.victim} {self.action}, {self.seconds:.1f} s"


def schedule(seed: int, minutes: float) -> Sequence[Disturbance]:
    """The disturbances in order. Parts may be disturbed at once, no part twice at once; nothing
    happens a second time before everything has happened once."""
    dice = Random(seed)
    end = minutes * 60
    deck: list[tuple[str, str]] = []
    free_at = dict.fromkeys(ACTIONS, FIRST_AT)
    found: list[Disturbance] = []
    at = FIRST_AT
    while at < end:
        if not deck:
            deck = [(victim, action) for victim, actions in ACTIONS.items() for action in actions]
            dice.shuffle(deck)
        victim, action = deck.pop()
        begin = max(at, free_at[victim])
        one = Disturbance(begin, victim, action, dice.uniform(*LENGTHS))
        free_at[victim] = one.end + REST
        if one.end < end:
            found.append(one)
        at += dice.uniform(*PAUSES)
        if dice.random() < QUIET_SHARE:
            at = max([at, *(one.end for one in found)]) + QUIET
    return sorted(found, key=lambda one: one.at)

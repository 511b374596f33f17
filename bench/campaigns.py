"""Campaigns: how true the promised end is, what a reply in between moves, and what each message of
a hundred thousand costs beside one of a thousand (bench/waiting.py)."""

import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bench import waiting
from bench.figures import Figure
from bench.measures import median
from bench.running import eventually
from bench.system import Account, BenchSystem, Scale
from domain.pacing import interval_ms

PART = "campaigns"
PATH = "/api/messages/bulk"
RATE, SLOW_RATE = 600, 60
RECIPIENTS, SLOW_RECIPIENTS = 100, 30
LATE_SECONDS = 2
REPLY = "a reply"


@dataclass
class Run:
    """One campaign from its start to its end; instants are seconds since 1970."""

    promised: float
    interval: float
    ended: float = 0.0
    slots: list[float] = field(default_factory=list)
    arrived: list[float] = field(default_factory=list)
    # Of the reply, when there was one: when it was asked for, its slot, and what the API said then.
    asked: float = 0.0
    reply_slot: float = 0.0
    delays: dict[str, int] = field(default_factory=dict)

    @property
    def stretched(self) -> float:
        """By how many intervals its slots lie further apart than they must."""
        return (self.slots[-1] - self.slots[0]) / self.interval - (len(self.slots) - 1)


def measure(system: BenchSystem, scale: Scale) -> list[Figure]:
    return promises(system, scale) + waiting.measure(system, scale, PART)


def promises(system: BenchSystem, scale: Scale) -> list[Figure]:
    """Runs with and without a reply alternate, and medians count; the slow ones show what a reply
    waits for when permits are not already out for the next four slots."""
    quiet, replied, slow = [], [], []
    for _ in range(scale.of(3, 1)):
        count = scale.of(RECIPIENTS, 40)
        quiet.append(run(system, count, RATE))
        replied.append(run(system, count, RATE, reply=True))
        slow.append(run(system, scale.of(SLOW_RECIPIENTS, 8), SLOW_RATE, reply=True))
    what = f"{len(quiet[0].slots)} at {RATE}/min"
    slowly = f"{len(slow[0].slots)} at {SLOW_RATE}/min"
    ends = [
        max(abs(one.ended - one.promised), abs(one.arrived[-1] - one.promised)) for one in quiet
    ]
    return [
        Figure(PART, f"end against its promise, {what}", max(ends), "s", "", LATE_SECONDS),
        Figure(PART, f"slots lost, {what}, no reply", median([one.stretched for one in quiet])),
        *told_of(replied, what),
        *told_of(slow, slowly),
    ]


def told_of(runs: list[Run], what: str) -> list[Figure]:
    """What a reply did to them."""
    waits = [(one.reply_slot - one.asked) / one.interval for one in runs]
    moves = [one.stretched for one in runs]
    told = [sum(one.delays.values()) for one in runs]
    reasons = ", ".join(sorted({reason for one in runs for reason in one.delays}))
    return [
        Figure(PART, f"reply to its slot, {what}", median(waits), "intervals", spread(waits), 1),
        Figure(PART, f"end moved by one reply, {what}", median(moves), "intervals", spread(moves)),
        Figure(PART, f"messages told late, {what}", median(told), "", reasons, 1, least=True),
    ]


def spread(values: list[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}"


def run(system: BenchSystem, count: int, rate: float, *, reply: bool = False) -> Run:
    """A campaign over HTTP on an account of its own; half way, a fan is answered by hand."""
    account, headers = system.account(rate, fans=count), system.login()
    body = {"recipientIds": list(account.fans), "content": "Sale", "campaignName": "Bench"}
    answer = system.web.post(system.address + PATH, json=body, headers=headers)
    answer.raise_for_status()
    started = answer.json()
    found = Run(instant(started["estimatedCompletionTime"]), interval_ms(rate) / 1000)
    where = system.address + started["statusUrl"]
    if reply:
        eventually(lambda: system.sent_count([account]) >= count // 2, "half a campaign", 0.01)
        answer_by_hand(system, account, headers, where, found)

    def ended() -> dict[str, Any] | None:
        shown: dict[str, Any] = system.web.get(where, headers=headers).json()
        return shown if shown["status"] == "completed" else None

    found.ended = instant(eventually(ended, "the end of a campaign")["completedAt"])
    arrivals = [one.at for one in system.arrivals([account]) if one.text != REPLY]
    found.arrived = sorted(arrivals)
    found.slots = slots(system, account, "IS NOT NULL")
    return found


def answer_by_hand(
    system: BenchSystem, account: Account, headers: dict[str, str], where: str, found: Run
) -> None:
    found.asked = time.time()
    system.click(headers, account.fans[0], REPLY)
    [found.reply_slot] = eventually(lambda: slots(system, account, "IS NULL"), "the reply", 0.01)
    found.delays = system.web.get(where, headers=headers).json()["delays"]


def slots(system: BenchSystem, account: Account, campaign: str) -> list[float]:
    """When its messages began to be sent, those of campaigns or the others."""
    rows = system.sql(
        "SELECT extract(epoch FROM a.slot_at)::float8 AS at FROM message_attempts a"
        " JOIN messages m ON m.id = a.message_id"
        f" WHERE m.connection_id = %s AND m.campaign_id {campaign} AND a.outcome = 'sent'"
        " ORDER BY a.slot_at",
        account.id,
    )
    return [row["at"] for row in rows]


def instant(told: str) -> float:
    return datetime.fromisoformat(told).timestamp()

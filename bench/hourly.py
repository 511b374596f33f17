"""The load that was asked for, 1000 messages in an hour, over two accounts at the default pace: an
hour takes three minutes here, and the accounts are as much faster.

Each account gets a message in 7.2 s of the scaled hour, where it may send one in 6 s."""

import json
from itertools import cycle

from bench.figures import Figure
from bench.hammer import Plan
from bench.measures import over_limit, percentile, refused
from bench.requests import PATH, hammered
from bench.system import Account, BenchSystem, Scale
from domain.pacing import interval_ms

PART = "load"
FASTER = 20
MESSAGES, HOUR = 1000, 3600 / FASTER
RATE = 10 * FASTER
INTERVAL = interval_ms(RATE) / 1000
# Slots are whole milliseconds.
ROUNDING = 0.002
LATE_SECONDS = 3


def measure(system: BenchSystem, scale: Scale) -> list[Figure]:
    share = scale.of(MESSAGES, 50) / MESSAGES
    accounts = system.accounts(2, RATE)
    texts = [f"load {number}" for number in range(round(MESSAGES * share))]
    bodies = [
        json.dumps({"recipientId": account.fans[0], "content": text})
        for account, text in zip(cycle(accounts), texts, strict=False)
    ]
    [token] = [value.removeprefix("Bearer ") for value in system.login().values()]
    port = int(system.environment["PORT"])
    outcome = hammered(Plan(port, PATH, [token], bodies, HOUR * share, MESSAGES / HOUR))
    system.wait_sent(outcome.statuses[202], accounts)
    system.settle()
    arrivals = system.arrivals(accounts)
    arrived = [one.text for one in arrivals]
    late = max(one.at for one in arrivals) - first_accepted(system, accounts) - HOUR * share
    answered = percentile(outcome.took, 0.95) * 1000
    told = f"{len(texts)} messages, {HOUR * share:.0f} s at {FASTER} times the pace"
    return [
        Figure(PART, "answers that were no 202", refused(outcome.statuses, 202), "", told, 0),
        Figure(PART, "messages lost", len(set(texts) - set(arrived)), "", told, 0),
        Figure(PART, "messages that arrived twice", len(arrived) - len(set(arrived)), "", "", 0),
        *limits(system, accounts),
        Figure(PART, "the last arrived after the scaled hour", late, "s", "", LATE_SECONDS),
        Figure(PART, "the API meanwhile, p95", answered, "ms", "", 200),
        *ends(system, accounts),
    ]


def first_accepted(system: BenchSystem, accounts: list[Account]) -> float:
    [row] = system.sql(
        "SELECT extract(epoch FROM min(queued_at))::float8 AS at FROM messages"
        " WHERE connection_id = ANY(%s)",
        [one.id for one in accounts],
    )
    return float(row["at"])


def limits(system: BenchSystem, accounts: list[Account]) -> list[Figure]:
    """Each account by itself: at the receiver and at the call's start with the usual slack, and by
    the slots without any."""
    received = started = slots = 0
    for account in accounts:
        received += over_limit([one.at for one in system.arrivals([account])], INTERVAL)
        ledger = system.sql(
            "SELECT extract(epoch FROM slot_at)::float8 AS slot,"
            " extract(epoch FROM started_at)::float8 AS started"
            " FROM message_attempts WHERE connection_id = %s AND started_at IS NOT NULL",
            account.id,
        )
        started += over_limit([row["started"] for row in ledger], INTERVAL)
        slots += over_limit([row["slot"] for row in ledger], INTERVAL, ROUNDING)
    return [
        Figure(PART, "over the limit at the receiver", received, "", "", 0),
        Figure(PART, "over the limit at call start", started, "", "", 0),
        Figure(PART, "slots too close", slots, "", f"by more than {ROUNDING * 1000:g} ms", 0),
    ]


def ends(system: BenchSystem, accounts: list[Account]) -> list[Figure]:
    """How long messages took in all, which no scale shortens but for the wait for a slot."""
    found = [
        row["total"]
        for row in system.sql(
            "SELECT extract(epoch FROM sent_at - queued_at)::float8 AS total FROM messages"
            " WHERE connection_id = ANY(%s) AND direction = 'out' AND sent_at IS NOT NULL",
            [one.id for one in accounts],
        )
    ]
    p50, p95 = percentile(found, 0.5) * 1000, percentile(found, 0.95) * 1000
    return [Figure(PART, "accepted to sent, p95", p95, "ms", f"p50 {p50:.0f} ms", 3000)]

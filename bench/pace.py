"""How exactly a backlog leaves: the receiver's jitter, the slots used, and the limit.

Beside each backlog a thread sleeps until the same slots and does nothing else: what it is late by
is the machine's, not ours.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.figures import Figure
from bench.measures import interval_errors, median, over_limit, percentile, utilisation
from bench.system import BenchSystem, Scale
from domain.pacing import interval_ms

PART = "pace"


@dataclass(frozen=True)
class Run:
    """One connection's backlog, in seconds."""

    rate: float
    interval: float
    slots: list[float]
    started: list[float]
    received: list[float]
    sleeper_late: list[float]

    @property
    def late(self) -> list[float]:
        """How long after its slot each message arrived."""
        return [at - slot for at, slot in zip(self.received, self.slots, strict=True)]


def measure(system: BenchSystem, scale: Scale) -> list[Figure]:
    fast = [backlog(system, 600, scale.of(200, 60)) for _ in range(scale.of(3, 1))]
    slow = [backlog(system, 60, scale.of(40, 8))]
    return rows(fast, 0.97) + rows(slow, 0.99)


def backlog(system: BenchSystem, rate: float, count: int) -> Run:
    """Accept a backlog at once and let it leave."""
    account = system.account(rate=rate)
    interval = interval_ms(rate) / 1000
    with sleeper(interval) as sleeper_late:
        system.accept_many([(account, f"{number}") for number in range(count)])
        system.wait_sent(count, [account])
    ledger = {
        row["platform_message_id"]: row
        for row in system.sql(
            "SELECT a.platform_message_id, extract(epoch FROM a.slot_at)::float8 AS slot,"
            " extract(epoch FROM a.started_at)::float8 AS started FROM message_attempts a"
            " WHERE a.connection_id = %s AND a.outcome = 'sent'",
            account.id,
        )
    }
    arrivals = system.arrivals([account])
    return Run(
        rate=rate,
        interval=interval,
        slots=[ledger[one.id]["slot"] for one in arrivals],
        started=[ledger[one.id]["started"] for one in arrivals],
        received=[one.at for one in arrivals],
        sleeper_late=sleeper_late,
    )


@contextmanager
def sleeper(interval: float) -> Iterator[list[float]]:
    """The reference: a thread that wakes at slots of its own; the list gets how late it was."""
    late: list[float] = []
    over = threading.Event()

    def sleep() -> None:
        slot = time.monotonic()
        while not over.is_set():
            slot += interval
            time.sleep(max(0.0, slot - time.monotonic()))
            late.append(time.monotonic() - slot)
            slot = max(slot, time.monotonic() - interval)

    thread = threading.Thread(target=sleep)
    thread.start()
    try:
        yield late
    finally:
        over.set()
        thread.join()


def rows(runs: list[Run], least: float) -> list[Figure]:
    """Medians of the runs; of what must never happen the sum, of the latest the very latest."""
    first = runs[0]
    name = f"{first.rate:g}/min x {len(first.received)}"
    used = [utilisation(run.received, run.interval) for run in runs]
    seen = ", ".join(f"{share:.3f}" for share in used)
    early = sum(over_limit(run.started, run.interval) for run in runs)
    early_there = sum(over_limit(run.received, run.interval) for run in runs)
    return [
        Figure(PART, f"{name}: slots used", median(used), "", f"runs: {seen}", least, least=True),
        Figure(PART, f"{name}: over the limit at call start", early, "", "all runs", 0),
        Figure(PART, f"{name}: over the limit at the receiver", early_there, "", "all runs", 0),
        *spread(f"{name}: receiver after the slot", [run.late for run in runs]),
        *spread(f"{name}: bare sleeper after its slot", [run.sleeper_late for run in runs]),
        *spread(
            f"{name}: receiver's gap off the interval",
            [interval_errors(run.received, run.interval) for run in runs],
        ),
    ]


def spread(name: str, runs: list[list[float]]) -> list[Figure]:
    """p50 and p95, the median of the runs, and the largest of all, in ms."""
    return [
        Figure(PART, f"{name}, p50", median([percentile(run, 0.5) for run in runs]) * 1000, "ms"),
        Figure(PART, f"{name}, p95", median([percentile(run, 0.95) for run in runs]) * 1000, "ms"),
        Figure(PART, f"{name}, max", max(max(run) for run in runs) * 1000, "ms"),
    ]

"""Delivery by one, two and four worker processes: while the platform answers at once, when the
cores are the bound, and while it takes its time, when the threads that wait for it are.

The queue is filled before the workers are let go, and all of them start in one moment.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from bench.delivery import FREE_RATE, rate_since
from bench.figures import Figure
from bench.measures import median
from bench.memory import processor_seconds
from bench.running import CHECKOUT, eventually
from bench.system import Account, BenchSystem, Scale

PART = "growth"
PROCESSES = (1, 2, 4)
WORKER = "worker-messages"
STARTED = "worker_started"


def measure(system: BenchSystem, scale: Scale) -> list[Figure]:
    at_once = system.accounts(scale.of(600, 60), FREE_RATE)
    slowly = system.accounts(scale.of(384, 96), FREE_RATE)
    seconds = scale.of(4, 1)
    rounds = scale.of(3, 1)
    figures = rows(f"answers at once, {len(at_once)}", runs(system, at_once, rounds))
    system.platform("POST", "settings", {"latencyMs": seconds * 1000})
    try:
        return figures + rows(
            f"answers after {seconds} s, {len(slowly)}", runs(system, slowly, rounds)
        )
    finally:
        system.platform("POST", "settings", {"latencyMs": 0})


Run = tuple[float, float]


def runs(system: BenchSystem, accounts: list[Account], rounds: int) -> dict[int, list[Run]]:
    """By the number of processes, which take turns: messages a second, and processor seconds a
    message of everything that runs."""
    found: dict[int, list[Run]] = {}
    for _ in range(rounds):
        for count in PROCESSES:
            with workers(system, count) as pids:
                found.setdefault(count, []).append(delivered(system, accounts, pids))
    return found


@contextmanager
def workers(system: BenchSystem, count: int) -> Iterator[list[int]]:
    """The system's own worker and as many more as make `count`; gives all their pids."""
    with ExitStack() as started:
        yield [
            system.processes()[WORKER],
            *(started.enter_context(another(system, number)) for number in range(1, count)),
        ]


@contextmanager
def another(system: BenchSystem, number: int) -> Iterator[int]:
    """One more worker, as the Procfile starts it; it ends as on a deployment."""
    name = f"{WORKER}-{number}-{time.monotonic_ns()}"
    process = system.start_child(
        name,
        f'cd "{CHECKOUT}" && exec "{sys.executable}" -m workers.app messages',
        **{**system.environment, "METRICS_PORT": "0"},
    )
    try:
        eventually(lambda: STARTED in system.log(name).read_text(errors="replace"), name)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def delivered(system: BenchSystem, accounts: list[Account], pids: list[int]) -> Run:
    before = system.sent_count(accounts)
    system.platform("DELETE", "ledger")
    with ExitStack() as held:
        for pid in pids:
            held.enter_context(system.frozen(pid))
        system.accept_many([(account, "Hello") for account in accounts])
        used = processor_seconds()
        began = [time.time()]
    system.wait_sent(before + len(accounts), accounts)
    rate = rate_since(began, [one.at for one in system.arrivals(accounts)])
    used = processor_seconds() - used
    system.settle()
    return rate, used / len(accounts)


def rows(how: str, found: dict[int, list[Run]]) -> list[Figure]:
    rates = {count: median([rate for rate, _ in runs]) for count, runs in found.items()}
    figures = []
    for count in PROCESSES:
        told = "runs: " + ", ".join(f"{rate:.0f}" for rate, _ in found[count])
        figures.append(Figure(PART, f"{how}, {count} processes", rates[count], "/s", told))
    for count in PROCESSES[1:]:
        ratio = rates[count] / rates[1]
        figures.append(Figure(PART, f"{how}, {count} of one", ratio, "x"))
    used = median([used for _, used in found[1]]) * 1000
    return [
        *figures,
        Figure(PART, f"{how}, processor time a message", used, "ms", "servers and simulator too"),
    ]

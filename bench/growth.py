"""Delivery by one, two and four worker processes: while the platform answers at once, when the
cores are the bound, and while it takes its time, when the threads that wait for it are.

The queue is filled before the workers are let go, and all of them start in one moment.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

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


Run = tuple[float, float]
Runs = dict[int, list[Run]]


def measure(system: BenchSystem, scale: Scale) -> list[Figure]:
    """By the number of processes, which take turns: messages a second, and processor seconds a
    message of everything that runs."""
    accounts = system.accounts(scale.of(600, 60), FREE_RATE)
    seconds = scale.of(4, 1)
    some = accounts[: scale.of(384, 60)]
    at_once: Runs = {}
    slowly: Runs = {}
    for _ in range(scale.of(3, 1)):
        for count in PROCESSES[: scale.of(3, 2)]:
            with workers(system, count) as pids:
                at_once.setdefault(count, []).append(delivered(system, accounts, pids))
                with answering_after(system, seconds):
                    slowly.setdefault(count, []).append(delivered(system, some, pids))
    return [
        *rows(f"{len(accounts)} answered at once", at_once),
        *rows(f"{len(some)} answered after {seconds} s", slowly),
    ]


@contextmanager
def answering_after(system: BenchSystem, seconds: float) -> Iterator[None]:
    system.platform("POST", "settings", {"latencyMs": seconds * 1000})
    try:
        yield
    finally:
        system.platform("POST", "settings", {"latencyMs": 0})


@contextmanager
def workers(system: BenchSystem, count: int) -> Iterator[list[int]]:
    """The system's own worker and as many more as make `count`, each as the Procfile starts it;
    gives all their pids. They end as on a deployment, all at once."""
    names = [f"{WORKER}-{number}-{time.monotonic_ns()}" for number in range(1, count)]
    line = f'cd "{CHECKOUT}" && exec "{sys.executable}" -m workers.app messages'
    given = {**system.environment, "METRICS_PORT": "0"}
    more = [system.start_child(name, line, **given) for name in names]
    try:
        for name in names:
            eventually(partial(has_started, system.log(name)), name)
        yield [system.processes()[WORKER], *(one.pid for one in more)]
    finally:
        for one in more:
            one.terminate()
        for one in more:
            one.wait()


def has_started(log: Path) -> bool:
    return STARTED in log.read_text(errors="replace")


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


def rows(how: str, found: Runs) -> list[Figure]:
    rates = {count: median([rate for rate, _ in runs]) for count, runs in found.items()}
    figures = []
    for count, runs in found.items():
        told = "runs: " + ", ".join(f"{rate:.0f}" for rate, _ in runs)
        processes = "one process" if count == 1 else f"{count} processes"
        figures.append(Figure(PART, f"{how}, {processes}", rates[count], "/s", told))
        if count > 1:
            figures.append(Figure(PART, "of one process", rates[count] / rates[1], "x"))
    used = median([used for _, used in found[1]]) * 1000
    told = "servers and simulator too"
    return [*figures, Figure(PART, f"{how}, processor time a message", used, "ms", told)]

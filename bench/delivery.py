"""Delivered messages a second over many connections, against a bare task that makes one POST.

Both rates are the receiver's: messages by the time from the first publish (or, with a filled queue,
from the moment the worker is let go) to the last arrival.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from functools import partial
from uuid import uuid4

from bench import bare, naive
from bench.figures import Figure
from bench.measures import median
from bench.running import eventually
from bench.system import Account, BenchSystem, Scale
from domain.events import Event, MessageRequested
from infra.bus.publisher import SqsBus

PART = "delivery"
# So fast that a connection's next message finds its slot free: nobody waits.
FREE_RATE = 6000

Held = Callable[[], AbstractContextManager[None]]


def measure(system: BenchSystem, scale: Scale) -> list[Figure]:
    """Runs alternate, so that a busy moment of the machine hits all; medians count."""
    count = scale.of(1000, 100)
    accounts = system.accounts(count, FREE_RATE)
    bare_url, stock_url = system.bench_queue("bare"), system.bench_queue("stock")
    our_pid = system.processes()["worker-messages"]
    rates: dict[str, list[float]] = {}
    with (
        system.beside("bench.bare", bare_url) as bare_pid,
        system.beside("bench.naive", stock_url),
    ):
        runs: dict[str, Callable[[], float]] = {
            "ours": partial(ours, system, accounts, nullcontext),
            "ours, told": partial(ours_told, system, accounts),
            "bare": partial(bare_tasks, system, bare_url, count, nullcontext),
            "stock": partial(stock_tasks, system, stock_url, count),
            "ours, filled": partial(ours, system, accounts, partial(system.frozen, our_pid)),
            "bare, filled": partial(
                bare_tasks, system, bare_url, count, partial(system.frozen, bare_pid)
            ),
        }
        # Connections, caches and pools are warm before the first run counts.
        ours(system, accounts[:100], nullcontext)
        bare_tasks(system, bare_url, 100, nullcontext)
        stock_tasks(system, stock_url, 100)
        for _ in range(scale.of(3, 1)):
            for name, run in runs.items():
                rates.setdefault(name, []).append(run())
    return figures({name: median(found) for name, found in rates.items()}, count)


def figures(rate: dict[str, float], count: int) -> list[Figure]:
    over = f"{count} connections"
    return [
        Figure(PART, f"ours, {over}, accepted and delivered", rate["ours"], "/s"),
        Figure(
            PART,
            "ours, while a webhook of each message is handled",
            rate["ours, told"],
            "/s",
            "the same machine receives them, journals them and makes the messages delivered",
        ),
        Figure(PART, "bare task on our transport", rate["bare"], "/s"),
        Figure(PART, "bare task on Celery's own transport", rate["stock"], "/s"),
        Figure(
            PART,
            "ours of the bare task",
            rate["ours"] / rate["bare"],
            against="accepting included: a row, its promise and its event each",
        ),
        Figure(PART, "ours, queue filled before", rate["ours, filled"], "/s"),
        Figure(PART, "bare task, queue filled before", rate["bare, filled"], "/s"),
        Figure(
            PART,
            "ours of the bare task, queue filled before",
            rate["ours, filled"] / rate["bare, filled"],
            against="the worker alone: admit, claim, begin, call, record",
        ),
    ]


def ours(system: BenchSystem, accounts: list[Account], held: Held) -> float:
    """One message to each account; the rate of their arrival."""
    before = system.sent_count(accounts)
    with arriving(system, held) as began:
        system.accept_many([(account, "Hello") for account in accounts])
    system.wait_sent(before + len(accounts), accounts)
    return rate_since(began, [one.at for one in system.arrivals(accounts)])


def ours_told(system: BenchSystem, accounts: list[Account]) -> float:
    """The same, with what the platform tells of each."""
    with system.told(len(accounts), accounts):
        return ours(system, accounts, nullcontext)


def bare_tasks(system: BenchSystem, url: str, count: int, held: Held) -> float:
    """As many bare tasks, published ten per request as our events are."""
    bus = SqsBus(system.settings_for(url))
    with arriving(system, held) as began:
        refused = bus.publish([request(text) for text in range(count)])
        assert not refused
    return rate_since(began, when_all_arrived(system, bare.ACCOUNT, count))


def stock_tasks(system: BenchSystem, url: str, count: int) -> float:
    """As many tasks through Celery's own transport, which publishes one by one."""
    settings = system.settings_for(url)
    post = naive.add_tasks(naive.make_app(settings), settings).post
    with arriving(system, nullcontext) as began:
        for number in range(count):
            post.delay(str(number))
    return rate_since(began, when_all_arrived(system, naive.ACCOUNT, count))


@contextmanager
def arriving(system: BenchSystem, held: Held) -> Iterator[list[float]]:
    """Publish in this block; the list then holds the instant from which the rate counts."""
    system.platform("DELETE", "ledger")
    began = [time.time()]
    with held():
        yield began
        filled = time.time()
    if held is not nullcontext:
        began[0] = filled


def rate_since(began: list[float], arrivals: list[float]) -> float:
    return len(arrivals) / (max(arrivals) - began[0])


def when_all_arrived(system: BenchSystem, account: str, count: int) -> list[float]:
    def arrived() -> list[float] | None:
        time.sleep(0.2)  # looking costs the receiver time
        found = [
            one["receivedMs"] / 1000 for one in system.platform("GET", f"ledger?account={account}")
        ]
        return found if len(found) >= count else None

    return eventually(arrived, f"{count} messages at {account}")


def request(number: int) -> Event:
    """A MessageRequested such as the API's, of no row."""
    payload = MessageRequested(
        message_id=uuid4(),
        user_id="1",
        recipient_id="fan_1",
        content=str(number),
        timestamp=datetime.now(UTC),
    )
    return Event(payload, group=str(number))

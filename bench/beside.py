"""What one writes first, and ours, one after the other, with the same backlog at the same pace:
`retry(countdown=...)`, Celery's `rate_limit` in one worker process and in two, and us.

Two accounts of one pace: the backlog of the first, and right behind it a quarter as many of the
second. `rate_limit` knows tasks and processes, not accounts.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from bench import naive
from bench.figures import Figure
from bench.measures import (
    carrying,
    fairness,
    most_within,
    over_limit,
    overtaken,
    percentile,
    used_since,
)
from bench.running import eventually
from bench.system import QUEUE, Account, Arrival, BenchSystem, Scale

PART = "naive"
# Six times the default pace: a scaled minute is ten seconds.
RATE = 60.0
INTERVAL = 60 / RATE
MINUTE = 10.0
LIMIT = 10
OURS = "ours"
PROMISE_MS = 2000
FIRST, SECOND = "naive_first", "naive_second"


@dataclass(frozen=True)
class Run:
    """What one way did with both backlogs; seconds since 1970, in the order of arrival. Only we
    promise."""

    requests: float
    began: float
    first: list[Arrival]
    second: list[Arrival]
    promise_errors: Sequence[float] = ()

    @property
    def times(self) -> list[list[float]]:
        return [[one.at for one in account] for account in (self.first, self.second)]

    @property
    def order(self) -> list[int]:
        """Of the long backlog."""
        return [int(one.text) for one in self.first]


def measure(system: BenchSystem, scale: Scale) -> list[Figure]:
    count = scale.of(60, 16)
    return [
        *rows("retry", naive_run(system, "send", 1, count)),
        *rows("rate_limit, one process", naive_run(system, "limited", 1, count)),
        *rows("rate_limit, two processes", naive_run(system, "limited", 2, count)),
        *rows(OURS, our_run(system, count)),
    ]


def naive_run(system: BenchSystem, task: str, processes: int, count: int) -> Run:
    url = system.bench_queue("naive")
    queue = url.rsplit("/", 1)[-1]
    system.platform("DELETE", "ledger")
    settings = system.settings_for(url)
    asked = getattr(naive.add_tasks(naive.make_app(settings), settings), task)
    accounts = [Account(0, name, []) for name in (FIRST, SECOND)]
    with workers(system, url, processes):
        before = system.queue_counts(queue)
        began = time.time()
        for account, size in ((FIRST, count), (SECOND, count // 4)):
            for number in range(size):
                asked.delay(account, str(number))

        def arrived() -> list[Arrival] | None:
            time.sleep(0.5)
            found = system.arrivals(accounts)
            return found if len(found) >= count + count // 4 else None

        found = eventually(arrived, "the naive worker")
        requests = sum(carrying(before, system.queue_counts(queue)).values())
    return run_of(found, FIRST, requests, began)


@contextmanager
def workers(system: BenchSystem, url: str, count: int) -> Iterator[None]:
    """So many naive processes on one queue; the block begins when all of them consume."""

    def ready() -> int:
        log = system.log("bench.naive")
        return log.read_text(errors="replace").count(naive.READY) if log.exists() else 0

    before = ready()
    with ExitStack() as started:
        for _ in range(count):
            started.enter_context(
                system.beside("bench.naive", url, RATE_LIMIT_PER_MINUTE=f"{RATE:g}")
            )
        eventually(lambda: ready() >= before + count, "every naive process")
        yield


def our_run(system: BenchSystem, count: int) -> Run:
    first, second = system.accounts(2, RATE)
    system.settle()
    before = system.queue_counts(QUEUE)
    began = time.time()
    for account, size in ((first, count), (second, count // 4)):
        for number in range(size):
            system.accept(account, str(number))
    system.wait_sent(count + count // 4, [first, second])
    system.settle()
    requests = sum(carrying(before, system.queue_counts(QUEUE)).values())
    found = system.arrivals([first, second])
    errors = system.promise_errors([first, second])
    return run_of(found, first.account_id, requests, began, errors)


def run_of(
    found: list[Arrival],
    first: str,
    requests: int,
    began: float,
    errors: Sequence[float] = (),
) -> Run:
    return Run(
        requests / len(found),
        began,
        [one for one in found if one.account == first],
        [one for one in found if one.account != first],
        errors,
    )


def rows(name: str, run: Run) -> list[Figure]:
    sizes = f"{len(run.first)} and {len(run.second)} waiting at {RATE:g}/min"
    first_of_second = min(run.times[1]) - run.began
    figures = [
        figure(name, "SQS requests per message", run.requests, sizes, limit=6),
        figure(
            name,
            "most in a scaled minute",
            max(most_within(times, MINUTE) for times in run.times),
            f"the limit is {LIMIT} an account",
            limit=LIMIT,
        ),
        figure(
            name,
            "messages over the limit",
            sum(over_limit(times, INTERVAL) for times in run.times),
            sizes,
            limit=0,
        ),
        figure(name, "% of pairs in the wrong order", overtaken(run.order) * 100, limit=0),
        figure(
            name,
            "slots used",
            used_since(run.times, run.began, INTERVAL),
            "of both accounts, each from the first acceptance to its last arrival",
        ),
        figure(
            name,
            "fairness while both wait",
            fairness(run.times),
            "Jain's index: 1 equal, 0.5 one account takes all",
        ),
        figure(
            name,
            "slots that the second account's first waits",
            first_of_second / INTERVAL,
            "its own are all free",
        ),
    ]
    if run.promise_errors:
        p95 = percentile([abs(error) for error in run.promise_errors], 0.95) * 1000
        told = "the others promise nothing"
        figures.append(figure(name, "promise error in ms, p95", p95, told, limit=PROMISE_MS))
    return figures


def figure(
    name: str, what: str, value: float, against: str = "", *, limit: float | None = None
) -> Figure:
    """Targets are ours alone."""
    limit = limit if name == OURS else None
    return Figure(PART, f"{name}: {what}", value, "", against, limit)

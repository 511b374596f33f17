"""The naive worker, `retry(countdown=...)` until the bucket has a token, and ours, one after the
other with the same backlog at the same time-scaled pace."""

import time
from dataclasses import dataclass

from bench import naive
from bench.figures import Figure
from bench.measures import carrying, most_within, over_limit, overtaken, utilisation
from bench.running import eventually
from bench.system import QUEUE, BenchSystem, Scale

PART = "naive"
# Six times the default pace: a scaled minute is ten seconds.
RATE = 60.0
MINUTE = 10.0
LIMIT = 10


@dataclass(frozen=True)
class Run:
    """What one worker did with the backlog; times in seconds, in the order of arrival."""

    requests: float
    times: list[float]
    order: list[int]


def measure(system: BenchSystem, scale: Scale) -> list[Figure]:
    count = scale.of(60, 15)
    return rows("naive", naive_run(system, count)) + rows("ours", our_run(system, count))


def naive_run(system: BenchSystem, count: int) -> Run:
    url = system.bench_queue("naive")
    queue = url.rsplit("/", 1)[-1]
    system.platform("DELETE", "ledger")
    settings = system.settings_for(url)
    _, send = naive.add_tasks(naive.make_app(settings), settings)
    with system.beside("bench.naive", url, RATE_LIMIT_PER_MINUTE=f"{RATE:g}"):
        before = system.queue_counts(queue)
        for number in range(count):
            send.delay(str(number))

        def arrived() -> list[dict[str, object]] | None:
            time.sleep(0.5)
            found: list[dict[str, object]] = system.platform(
                "GET", f"ledger?account={naive.ACCOUNT}"
            )
            return found if len(found) >= count else None

        found = eventually(arrived, "the naive worker")
        requests = carrying(before, system.queue_counts(queue))
    return Run(
        sum(requests.values()) / count,
        [float(str(one["receivedMs"])) / 1000 for one in found],
        [int(str(one["text"])) for one in found],
    )


def our_run(system: BenchSystem, count: int) -> Run:
    account = system.account(rate=RATE)
    system.settle()
    before = system.queue_counts(QUEUE)
    for number in range(count):
        system.accept(account, str(number))
    system.wait_sent(count, [account])
    system.settle()
    requests = carrying(before, system.queue_counts(QUEUE))
    found = system.arrivals([account])
    return Run(
        sum(requests.values()) / count, [one.at for one in found], [int(one.text) for one in found]
    )


def rows(name: str, run: Run) -> list[Figure]:
    ours = name == "ours"
    interval = 60 / RATE
    minute = f"{len(run.times)} waiting, {RATE:g}/min, a scaled minute is {MINUTE:g} s"
    return [
        Figure(
            PART, f"{name}: SQS requests per message", run.requests, "", minute, 6 if ours else None
        ),
        Figure(
            PART,
            f"{name}: most in a scaled minute",
            most_within(run.times, MINUTE),
            "",
            f"the limit is {LIMIT}",
            LIMIT if ours else None,
        ),
        Figure(
            PART,
            f"{name}: messages over the limit",
            over_limit(run.times, interval),
            "",
            "",
            0 if ours else None,
        ),
        Figure(
            PART,
            f"{name}: pairs in the wrong order",
            overtaken(run.order) * 100,
            "%",
            "",
            0 if ours else None,
        ),
        Figure(PART, f"{name}: slots used", utilisation(run.times, interval)),
    ]

"""The click: how soon a message arrives on an idle system, and how true the promised time is when
fifty people click at once."""

import time
from concurrent.futures import ThreadPoolExecutor

from bench import bare
from bench.delivery import request
from bench.figures import Figure
from bench.measures import percentile
from bench.system import Account, BenchSystem, Scale
from infra.bus.publisher import SqsBus

PART = "click"
CLICKS = 50
BREATH = 0.15  # between two clicks, so that each finds the system idle


def measure(system: BenchSystem, scale: Scale) -> list[Figure]:
    return idle_clicks(system, scale.of(100, 20)) + promises(system, scale.of(120, 600))


def idle_clicks(system: BenchSystem, count: int) -> list[Figure]:
    """One message at a time, each over HTTP to a connection with a free slot; between them the
    reference, an event straight to a bare task."""
    accounts = system.accounts(count, 10)
    url = system.bench_queue("click")
    bus = SqsBus(system.settings_for(url))
    clicks: list[float] = []
    events: list[float] = []
    system.platform("DELETE", "ledger")
    headers = system.login()
    with system.beside("bench.bare", url):
        for number, account in enumerate(accounts):
            clicks.append(time.time())
            system.click(headers, account.fans[0], f"click {number}")
            time.sleep(BREATH)
            events.append(time.time())
            bus.publish([request(number)])
            time.sleep(BREATH)
        system.wait_sent(count, accounts)
    ours = {one.account: one.at for one in system.arrivals(accounts)}
    parts = ways(system, accounts)
    reference = Account(0, bare.ACCOUNT, [])
    theirs = {one.text: one.at for one in system.arrivals([reference])}
    waits = [ours[one.account_id] - at for one, at in zip(accounts, clicks, strict=True)]
    hops = [theirs[str(number)] - at for number, at in enumerate(events)]
    p50, p95 = percentile(waits, 0.5), percentile(waits, 0.95)
    hop = percentile(hops, 0.5)
    return [
        Figure(PART, "click to receiver, idle, p50", p50 * 1000, "ms", f"of {count}"),
        Figure(PART, "click to receiver, idle, p95", p95 * 1000, "ms", f"of {count}", 1000),
        *parts,
        Figure(PART, "event to receiver by a bare task, p50", hop * 1000, "ms"),
        Figure(PART, "click of the bare event, p50", p50 / hop, "times"),
    ]


def ways(system: BenchSystem, accounts: list[Account]) -> list[Figure]:
    """The parts of the same clicks' way, as their rows tell."""
    found = system.sql(
        "SELECT extract(epoch FROM m.admitted_at - m.queued_at)::float8 AS taken,"
        " extract(epoch FROM a.started_at - m.admitted_at)::float8 AS called,"
        " extract(epoch FROM m.sent_at - m.queued_at)::float8 AS total"
        " FROM messages m JOIN message_attempts a ON a.message_id = m.id AND a.outcome = 'sent'"
        " WHERE m.connection_id = ANY(%s)",
        [one.id for one in accounts],
    )
    parts = (
        ("taken", "queue to worker", 1000),
        ("called", "worker to platform", 2000),
        ("total", "end to end", 3000),
    )
    return [
        Figure(
            PART,
            f"{name}, idle, p95",
            percentile([row[part] for row in found], 0.95) * 1000,
            "ms",
            f"p50 {percentile([row[part] for row in found], 0.5) * 1000:.0f} ms",
            limit,
        )
        for part, name, limit in parts
    ]


def promises(system: BenchSystem, rate: int) -> list[Figure]:
    """Fifty clicks at once for one connection; promise against the start of the call."""
    account = system.account(fans=CLICKS, rate=rate)

    headers = system.login()

    def click(number: int) -> str:
        return system.click(headers, account.fans[number], f"promise {number}")

    with ThreadPoolExecutor(CLICKS) as threads:
        promised = list(threads.map(click, range(CLICKS)))
    system.wait_sent(CLICKS, [account])
    errors = [abs(error) for error in system.promise_errors([account])]
    name = f"{CLICKS} clicks at once, {rate}/min"
    p95 = percentile(errors, 0.95) * 1000
    return [
        Figure(PART, f"promise error, {name}, p50", percentile(errors, 0.5) * 1000, "ms"),
        Figure(PART, f"promise error, {name}, p95", p95, "ms", "", 2000),
        Figure(PART, f"promise error, {name}, max", max(errors) * 1000, "ms"),
        Figure(PART, "different promises among them", len(set(promised)), "", "", CLICKS, True),
    ]

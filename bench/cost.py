"""What a delivered message costs, counted by the servers: SQS requests and Redis commands.

Under a backlog as many messages are accepted as leave, so that the backlog stays and every message
pays its whole way: announced, received, parked, released, received again.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.figures import Figure
from bench.measures import carrying, difference, empty_polls, inside_scripts
from bench.running import eventually
from bench.system import DEMO, QUEUE, Account, BenchSystem, Scale
from domain.connections import ConnectionId
from domain.pacing import interval_ms

PART = "cost"
RATE = 600  # sixty times the default
INTERVAL = interval_ms(RATE) / 1000
CHUNK = 500


@dataclass(frozen=True)
class Cost:
    """Per delivered message."""

    delivered: int
    sqs: dict[str, float]
    scripts: float
    commands_inside: float
    commands_beside: float


def measure(system: BenchSystem, scale: Scale) -> list[Figure]:
    found = unthrottled(system, scale.of(200, 40))
    figures = rows("nobody waits", found, 3)
    for backlog in (100, scale.of(10_000, 500)):
        found = throttled(system, backlog, scale.of(200, 50))
        figures += rows(f"{backlog:,} wait", found, 6)
    return figures + idle(system, scale.of(31, 11))


def rows(when: str, cost: Cost, limit: float) -> list[Figure]:
    parts = ", ".join(f"{action} {share:.2f}" for action, share in sorted(cost.sqs.items()))
    return [
        Figure(PART, f"SQS requests per message, {when}", sum(cost.sqs.values()), "", parts, limit),
        Figure(
            PART,
            f"Redis scripts per message, {when}",
            cost.scripts,
            "",
            f"running {cost.commands_inside:.1f} commands; beside them {cost.commands_beside:.2f}",
        ),
    ]


def unthrottled(system: BenchSystem, count: int) -> Cost:
    """One message to each of many connections, at the pace of the throttled runs."""
    accounts = system.accounts(count, 10)
    system.settle()

    def deliver() -> int:
        paced(count, lambda number: system.accept(accounts[number], f"free {number}"))
        system.wait_sent(count, accounts)
        return count

    return counted(system, deliver)


def throttled(system: BenchSystem, backlog: int, count: int) -> Cost:
    """One connection with a backlog that keeps its size."""
    account = system.account(rate=RATE)
    fill(system, account, backlog)
    eventually(lambda: not system.unadmitted(account), "an admitted backlog")
    kept = system.states([account])["queued"]

    def deliver() -> int:
        before = sent = system.sent_count([account])
        while sent < before + count:
            sent = system.sent_count([account])
            for _ in range(kept - system.states([account]).get("queued", 0)):
                system.accept(account, "new")
            time.sleep(INTERVAL / 4)
        return sent - before

    cost = counted(system, deliver)
    system.services.connections.pause(DEMO, ConnectionId(account.id))
    return cost


def fill(system: BenchSystem, account: Account, backlog: int) -> None:
    """Rows by SQL, each chunk announced by the one after it: a worker admits all rows up to the
    announced one."""
    for start in range(0, backlog, CHUNK):
        system.insert_rows(account, min(CHUNK, backlog - start))
        system.accept(account, f"announces {start}")


def paced(count: int, act: Callable[[int], None]) -> None:
    """Do something `count` times, an interval apart, so that no two share a request."""
    began = time.monotonic()
    for number in range(count):
        act(number)
        time.sleep(max(0.0, began + (number + 1) * INTERVAL - time.monotonic()))


def counted(system: BenchSystem, deliver: Callable[[], int]) -> Cost:
    """Count the servers' requests while `deliver` runs; it says how many were delivered."""
    sqs, commands = system.queue_counts(QUEUE), system.redis_counts()
    delivered = deliver()
    sqs_after, commands_after = system.queue_counts(QUEUE), system.redis_counts()
    added = difference(commands, commands_after)
    scripts = added.get("evalsha", 0)
    inside = inside_scripts(added)
    return Cost(
        delivered=delivered,
        sqs={action: n / delivered for action, n in carrying(sqs, sqs_after).items()},
        scripts=scripts / delivered,
        commands_inside=inside / delivered,
        commands_beside=(sum(added.values()) - inside - scripts) / delivered,
    )


def idle(system: BenchSystem, seconds: int) -> list[Figure]:
    """What the system asks for while it has nothing to do."""
    system.settle()
    sqs, commands, began = system.queue_counts(QUEUE), system.redis_counts(), time.monotonic()
    time.sleep(seconds)
    lasted = time.monotonic() - began
    polls = empty_polls(sqs, system.queue_counts(QUEUE)) / lasted * 3600
    scripts = difference(commands, system.redis_counts()).get("evalsha", 0) / lasted
    return [
        Figure(PART, "empty polls per hour and worker process", polls, "", f"of {QUEUE}"),
        Figure(PART, "Redis scripts per second, nothing to do", scripts, "/s"),
    ]

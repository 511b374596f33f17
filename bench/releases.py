"""How many permits a second one pacer hands out: released in Redis and published to SQS.

The pacer's own loop body runs in this process, on a waiting room and a queue of its own in the
system's servers, so that nothing consumes what is measured.
"""

import threading
import time
from dataclasses import replace

from bench.figures import Figure
from bench.measures import median
from bench.system import BenchSystem, Scale
from domain.connections import ConnectionId
from domain.messages import MessageId
from domain.pacing import Learned, Pace, Permit, Waiting
from infra.bus.publisher import SqsBus
from infra.redis.client import connect
from infra.redis.waiting_room import RedisWaitingRoom
from infra.wiring import Services, room_rules_of
from workers.pacer import Pacer, released_event

PART = "pacer"
INTERVAL_MS = 10.0  # short, since a rebuilt bucket starts empty


class Tally:
    """A journal that only counts what was released."""

    def __init__(self) -> None:
        self.released = 0

    def note(self, action: str, **facts: object) -> None:
        count = facts.get("count", 0)
        if action == "permits_released" and isinstance(count, int):
            self.released += count

    def alert(self, action: str, **facts: object) -> None:
        raise RuntimeError(f"{action}: {facts}")


def measure(system: BenchSystem, scale: Scale) -> list[Figure]:
    count = scale.of(3000, 300)
    releases, publishes = [], []
    for _ in range(scale.of(3, 1)):
        releases.append(count / seconds_to_release(system, count))
        publishes.append(count / seconds_to_publish(system, count))
    return [
        Figure(PART, f"releases, {count} connections due", median(releases), "/s"),
        Figure(PART, "the same events published alone", median(publishes), "/s"),
        Figure(PART, "ours of publishing alone", median(releases) / median(publishes)),
    ]


def seconds_to_release(system: BenchSystem, count: int) -> float:
    """Release and publish one due message of each of many connections."""
    tally = Tally()
    services = with_due_room(system, count)
    pacer = Pacer(replace(services, journal=tally), threading.Event())
    began = time.monotonic()
    while tally.released < count:
        pacer.release_once()
    return time.monotonic() - began


def with_due_room(system: BenchSystem, count: int) -> Services:
    """The system's services on a waiting room in which `count` connections are due."""
    settings = system.settings_for(system.bench_queue("releases"))
    prefix = f"bench-{time.monotonic_ns()}:{{0}}:"  # an open room is not rebuilt
    room = RedisWaitingRoom(
        connect(settings, prefix=prefix), room_rules_of(settings), prefix=prefix
    )
    rebuilt = room.rebuild(
        (
            Pace(ConnectionId(number), INTERVAL_MS),
            Learned(),
            [Waiting(MessageId(number), priority=5)],
        )
        for number in range(1, count + 1)
    )
    assert rebuilt == count
    time.sleep(1)  # an empty bucket's first slot is twice the lead away
    return replace(
        system.services, settings=settings, room=room, bus=SqsBus(settings, patient=True)
    )


def seconds_to_publish(system: BenchSystem, count: int) -> float:
    """Publish as many events, a hundred per call as the pacer does, and nothing else."""
    bus = SqsBus(system.settings_for(system.bench_queue("publish")), patient=True)
    permits = [
        Permit(ConnectionId(number), MessageId(number), "0" * 16) for number in range(1, count + 1)
    ]
    began = time.monotonic()
    for start in range(0, count, 100):
        refused = bus.publish([released_event(one) for one in permits[start : start + 100]])
        assert not refused
    return time.monotonic() - began

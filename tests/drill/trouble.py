"""Doing to the parts what the schedule says, and undoing it."""

import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from random import Random
from threading import Event, Thread
from uuid import uuid4

import httpx2
import psycopg
import redis
from system import Account

from drill.schedule import NETWORK, Disturbance
from drill.stand import Stand
from infra.local.services import QUEUE_NAMES

DELAY = 0.15
FLOODERS = 4
REPEATS = 300
# What a wake-up that comes again is made of: its queue, task, and the rows it speaks of.
WAKE_UPS = {
    "worker-messages": (
        "messages",
        "deliver_released",
        """SELECT id AS "messageId", connection_id AS "connectionId", 'gone' AS lease
        FROM messages WHERE direction = 'out' ORDER BY random() LIMIT %s""",
    ),
    "worker-campaigns": (
        "campaigns",
        "fan_out_campaign",
        'SELECT id AS "campaignId" FROM campaigns ORDER BY random() LIMIT %s',
    ),
    "worker-imports": (
        "imports",
        "import_csv",
        'SELECT id AS "importId" FROM imports ORDER BY random() LIMIT %s',
    ),
    "worker-inbound": (
        "inbound",
        "handle_platform_event",
        'SELECT id AS "eventId" FROM platform_events ORDER BY random() LIMIT %s',
    ),
    "worker-metrics": (
        "metrics",
        "count_campaign",
        'SELECT id AS "campaignId" FROM campaigns ORDER BY random() LIMIT %s',
    ),
}
Undo = Callable[[], None]


def nothing() -> None:
    """What heals by itself needs no end."""


@dataclass(frozen=True)
class Done:
    """A disturbance that took place, by the monotonic clock."""

    what: Disturbance
    began: float
    ended: float


class Trouble:
    """Runs a schedule from the main thread, which the services' processes belong to."""

    def __init__(
        self, stand: Stand, accounts: Sequence[Account], dice: Random, say: Callable[[str], None]
    ) -> None:
        self._stand, self._accounts, self._dice, self._say = stand, accounts, dice, say
        self._over = Event()
        self._floods: list[Thread] = []
        self.done: list[Done] = []

    def run(self, plan: Sequence[Disturbance]) -> None:
        """Return when the last disturbance is over."""
        began, numbers = time.monotonic(), count()
        due: list[tuple[float, int, Disturbance, tuple[float, Undo] | None]] = []
        for one in plan:
            heappush(due, (one.at, next(numbers), one, None))
        try:
            while due:
                at, _, one, begun = heappop(due)
                time.sleep(max(0.0, began + at - time.monotonic()))
                if begun is None:
                    self._say(str(one))
                    undo = self._begin(one)
                    heappush(due, (one.end, next(numbers), one, (time.monotonic(), undo)))
                else:
                    begun[1]()
                    self.done.append(Done(one, begun[0], time.monotonic()))
        finally:
            for _, _, _, begun in due:
                if begun is not None:
                    begun[1]()
            self._lift()

    def _lift(self) -> None:
        self._over.set()
        for flood in self._floods:
            flood.join()
        for proxy in self._stand.proxies.values():
            proxy.mend()
        self._stand.platform("DELETE", "faults")

    def _begin(self, one: Disturbance) -> Undo:
        """Do it; returns what ends it."""
        if one.victim == "platform":
            return self._platform_fails(one)
        if one.action in NETWORK:
            return self._partition(one)
        if one.action == "flood":
            return self._flood(one)
        if one.action == "empty":
            return self._empty_redis()
        if one.action == "freeze":
            return self._freeze(one.victim)
        return self._end(one)

    # The platform's answers

    def _platform_fails(self, one: Disturbance) -> Undo:
        account = self._dice.choice(self._accounts)
        fault = {
            "kind": one.action,
            "account": account.account_id,
            "times": self._dice.randint(1, 6),
            "seconds": min(one.seconds, 4),
        }
        if one.action == "rate_limit":
            fault["retryAfter"] = 2

        def clear() -> None:
            with suppress(httpx2.TransportError):
                self._stand.platform("DELETE", "faults")

        with suppress(httpx2.TransportError):
            self._stand.platform("POST", "faults", fault)
        return clear

    # The network

    def _partition(self, one: Disturbance) -> Undo:
        proxy = self._stand.proxies[one.victim]
        if one.action == "delay":
            proxy.delay = DELAY
        elif one.action == "drop":
            proxy.holding = True
        else:
            proxy.refusing = True
            proxy.reset()
        return proxy.mend

    # Processes

    def _end(self, one: Disturbance) -> Undo:
        """SIGKILL, or SIGTERM as a deployment does; a service stays away for a while."""
        service = self._stand.services.get(one.victim)
        if service is not None:
            (service.kill if one.action == "kill" else service.stop)()
            return service.start
        how = signal.SIGKILL if one.action == "kill" else signal.SIGTERM
        with suppress(KeyError, ProcessLookupError):
            os.kill(self._stand.processes()[one.victim], how)
        return nothing

    def _freeze(self, name: str) -> Undo:
        service = self._stand.services.get(name)
        pid = service.pid if service else self._stand.processes().get(name)
        pids = family(pid) if pid else []
        tell(pids, signal.SIGSTOP)
        return lambda: tell(pids, signal.SIGCONT)

    def _empty_redis(self) -> Undo:
        with suppress(redis.RedisError), closing(self._stand.redis()) as client:
            client.flushall()
        return nothing

    # Floods

    def _flood(self, one: Disturbance) -> Undo:
        end = time.monotonic() + one.seconds
        work = {
            "postgres": self._flood_postgres,
            "redis": self._flood_redis,
            "aws": self._flood_aws,
            "simulator": self._flood_simulator,
            "web": self._flood_web,
        }.get(one.victim, lambda _end: self._repeat(one.victim))
        flood = Thread(target=work, args=(end,), name=f"flood {one.victim}", daemon=True)
        flood.start()
        self._floods.append(flood)
        return nothing

    def _flooding(self, end: float) -> bool:
        return time.monotonic() < end and not self._over.is_set()

    def _flood_postgres(self, end: float) -> None:
        """Sessions that take its processes and its reads."""
        url = self._stand.environment["DATABASE_URL"]
        sessions = []
        with suppress(psycopg.OperationalError):
            sessions += [psycopg.connect(url, connect_timeout=3) for _ in range(40)]
            while self._flooding(end):
                for session in sessions[:FLOODERS]:
                    session.execute("SELECT count(*) FROM messages, generate_series(1, 50)")
        for session in sessions:
            session.close()

    def _flood_redis(self, end: float) -> None:
        with suppress(redis.RedisError), closing(self._stand.redis()) as client:
            while self._flooding(end):
                pipe = client.pipeline(transaction=False)
                for number in range(1000):
                    pipe.set(f"flood:{number}", "x" * 100, ex=60)
                pipe.execute()

    def _flood_aws(self, _end: float) -> None:
        for name in WAKE_UPS:
            self._repeat(name)

    def _repeat(self, name: str) -> None:
        """Tell a worker again of rows it may have done long ago."""
        queue, task, query = WAKE_UPS[name]
        payloads = [{"v": 1, **row} for row in self._stand.sql(query, REPEATS)]
        entries = [
            {
                "Id": str(number),
                "MessageBody": json.dumps(
                    {
                        "body": json.dumps([[payload], {}, {}]),
                        "headers": {"task": task, "id": uuid4().hex},
                    }
                ),
            }
            for number, payload in enumerate(payloads)
        ]
        with closing(self._stand.sqs()) as client, suppress(Exception):
            url = client.get_queue_url(QueueName=QUEUE_NAMES[queue])["QueueUrl"]
            for first in range(0, len(entries), 10):
                client.send_message_batch(QueueUrl=url, Entries=entries[first : first + 10])

    def _flood_simulator(self, end: float) -> None:
        path = f"api/{self._accounts[0].account_id}/chats"
        address = f"{self._stand.proxies['simulator'].url}/{path}"
        self._ask_much(address, {"Authorization": "Bearer flood"}, end)

    def _flood_web(self, end: float) -> None:
        address = f"{self._stand.proxies['web'].url}/api/onlyfans/messages/status"
        self._ask_much(address, {"Authorization": f"Bearer {self._stand.login()}"}, end)

    def _ask_much(self, address: str, headers: dict[str, str], end: float) -> None:
        def ask() -> None:
            with httpx2.Client(trust_env=False, timeout=2) as client:
                while self._flooding(end):
                    with suppress(httpx2.TransportError):
                        client.get(address, headers=headers)

        askers = [Thread(target=ask, daemon=True) for _ in range(FLOODERS)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()


def family(pid: int) -> list[int]:
    """A process with its children and theirs: PostgreSQL's have sessions of their own."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            after_name = entry.read_text().rpartition(")")[2].split()
            parents.setdefault(int(after_name[1]), []).append(int(entry.parent.name))
    found = [pid]
    for one in found:
        found += parents.get(one, [])
    return found


def tell(pids: Sequence[int], what: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, what)

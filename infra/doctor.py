"""What `huntaze doctor` looks at. Every finding says what was seen and, when bad, what to do.

Nothing here raises: a doctor that falls ill helps nobody.
"""

import json
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from redis import Redis
from redis.exceptions import AuthenticationError, RedisError
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from domain.events import Event, Probed
from domain.ports import RoomUnavailable, StatusCache
from infra.bus.client import SqsFailed, attempt, make_client
from infra.bus.publisher import SqsBus
from infra.bus.routing import MAX_RECEIVES
from infra.db.migrate import pending
from infra.redis.waiting_room import RedisWaitingRoom
from infra.settings import QUEUES, Settings

# Leases and slots never compare two machines' clocks, but people compare log lines.
CLOCK_TOLERANCE_SECONDS = 2.0
ROUND_TRIP_SECONDS = 8.0
SQS_TIMES = {"connect_timeout": 3, "read_timeout": 5, "connections": 2}


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    name: str
    ok: bool
    text: str
    remedy: str = ""


class Doctor:
    """Examines what the settings name."""

    def __init__(
        self,
        settings: Settings,
        *,
        engine: Engine,
        redis: Redis,
        room: RedisWaitingRoom,
        bus: SqsBus,
        cache: StatusCache,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._redis = redis
        self._room = room
        self._bus = bus
        self._cache = cache

    def examine(self) -> Sequence[Finding]:
        """Every finding, in the order in which things depend on each other."""
        looks: list[Callable[[], Iterator[Finding]]] = [
            self._postgres,
            self._waiting_room,
            self._clocks,
            self._queues,
            self._round_trips,
            self._platform,
        ]
        return [finding for look in looks for finding in look()]

    def _postgres(self) -> Iterator[Finding]:
        try:
            with self._engine.connect() as connection:
                version = connection.scalar(text("SHOW server_version"))
            missing = pending(self._engine)
        except (DBAPIError, ValueError) as problem:
            yield Finding("postgres", ok=False, text=first_line(problem), remedy=cure(problem))
            return
        yield Finding("postgres", ok=True, text=f"version {version}")
        yield Finding(
            "migrations",
            ok=not missing,
            text=f"{len(missing)} pending" if missing else "none pending",
            remedy="run `huntaze migrate`",
        )

    def _waiting_room(self) -> Iterator[Finding]:
        try:
            version = self._redis.info("server")["redis_version"]
            cold = self._room.cold()
        except AuthenticationError:
            remedy = "set REDIS_AUTH_TOKEN to the server's password"
            yield Finding("redis", ok=False, text="it refuses our password", remedy=remedy)
        except (RedisError, RoomUnavailable) as problem:
            remedy = f"is {self._settings.redis_endpoint} right (REDIS_ENDPOINT), and open to us?"
            yield Finding("redis", ok=False, text=first_line(problem), remedy=remedy)
        else:
            yield Finding("redis", ok=True, text=f"version {version}")
            yield Finding(
                "waiting room",
                ok=not cold,
                text="cold: nothing is sent" if cold else "open",
                remedy="start the pacer: it rebuilds the room from PostgreSQL within seconds",
            )

    def _clocks(self) -> Iterator[Finding]:
        ours = datetime.now(UTC).timestamp()
        clocks: dict[str, Callable[[], float]] = {
            "postgres": self._postgres_time,
            "redis": self._redis_time,
        }
        for name, read in clocks.items():
            try:
                off = read() - ours
            except (DBAPIError, RedisError):
                continue  # Its own finding says that it is away.
            yield Finding(
                f"clock of {name}",
                ok=abs(off) < CLOCK_TOLERANCE_SECONDS,
                text=f"{off:+.2f} s from this machine's",
                remedy="let both machines follow a time server",
            )

    def _postgres_time(self) -> float:
        with self._engine.connect() as connection:
            return float(
                connection.scalar(text("SELECT extract(epoch FROM clock_timestamp())")) or 0
            )

    def _redis_time(self) -> float:
        seconds, micros = self._redis.time()
        return float(seconds) + float(micros) / 1_000_000

    def _queues(self) -> Iterator[Finding]:
        client = make_client(self._settings, **SQS_TIMES)
        for queue in QUEUES:
            url = self._settings.queue_url(queue)
            try:
                found = attempt(client.get_queue_attributes, QueueUrl=url, AttributeNames=["All"])
                attempt(client.get_queue_attributes, QueueUrl=f"{url}-dlq", AttributeNames=["All"])
            except SqsFailed as problem:
                remedy = f"do {url} and {url}-dlq exist, and may these credentials use them?"
                yield Finding(f"queue {queue}", ok=False, text=str(problem), remedy=remedy)
                continue
            yield redrive(queue, found["Attributes"])

    def _round_trips(self) -> Iterator[Finding]:
        """A probe through every queue to its worker and back; never to a fan."""
        token = secrets.token_hex(8)
        probes = [Event(Probed(token=token, queue=queue), group="doctor") for queue in QUEUES]
        refused = {event.event_id for event in self._bus.publish(probes)}
        waiting = {
            queue: probe_key(token, queue)
            for queue, event in zip(QUEUES, probes, strict=True)
            if event.event_id not in refused
        }
        started = time.monotonic()
        while waiting and time.monotonic() - started < ROUND_TRIP_SECONDS:
            for queue, key in list(waiting.items()):
                if self._cache.get(key):
                    took = time.monotonic() - started
                    yield Finding(f"round trip {queue}", ok=True, text=f"{took * 1000:.0f} ms")
                    del waiting[queue]
            time.sleep(0.02)
        for queue in waiting:
            yield Finding(
                f"round trip {queue}",
                ok=False,
                text=f"no answer in {ROUND_TRIP_SECONDS:.0f} s",
                remedy=f"is a process `python -m workers.app {queue}` running?",
            )

    def _platform(self) -> Iterator[Finding]:
        parts = urlsplit(self._settings.onlyfans_api_url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            socket.create_connection((parts.hostname or "", port), timeout=3).close()
        except OSError as problem:
            remedy = "is ONLYFANS_API_URL right, and may this machine reach it?"
            yield Finding("platform", ok=False, text=first_line(problem), remedy=remedy)
        else:
            yield Finding("platform", ok=True, text=f"{parts.hostname}:{port} answers")


def redrive(queue: str, attributes: Mapping[Any, str]) -> Finding:
    """Whether a message that fails for good ends in the dead-letter queue."""
    policy = json.loads(attributes.get("RedrivePolicy", "{}"))
    receives = int(policy.get("maxReceiveCount", 0))
    waits = attributes.get("ApproximateNumberOfMessages", "?")
    return Finding(
        f"queue {queue}",
        ok=receives == MAX_RECEIVES,
        text=f"{waits} waiting, redrive after {receives or 'no'} receives",
        remedy=f"give it a redrive policy to its -dlq with maxReceiveCount {MAX_RECEIVES}",
    )


def probe_key(token: str, queue: str) -> str:
    """Where a worker leaves its answer."""
    return f"probe:{token}:{queue}"


def first_line(problem: Exception) -> str:
    """The gist of an error, without the statement or the address with its password."""
    words = str(getattr(problem, "orig", None) or problem).strip().splitlines()
    return words[0] if words else type(problem).__name__


def cure(problem: Exception) -> str:
    """What to do about a PostgreSQL error."""
    said = str(problem)
    if "password authentication failed" in said:
        return "correct the user or the password in DATABASE_URL"
    if "does not exist" in said:
        return "create the database, or correct its name in DATABASE_URL"
    return "is the host and port in DATABASE_URL right, and open to us?"

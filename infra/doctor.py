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
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from botocore.config import Config
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from domain.events import Event, Probed
from domain.ports import RoomUnavailable, StatusCache
from infra.aws import aws_session
from infra.bus.client import SqsFailed, attempt, make_client
from infra.bus.publisher import SqsBus
from infra.bus.routing import MAX_RECEIVES
from infra.db.migrate import pending
from infra.redis.waiting_room import RedisWaitingRoom
from infra.remedies import AWS, POSTGRES, REDIS, remedy
from infra.settings import QUEUES, Settings

# Leases and slots never compare two machines' clocks, but people compare log lines.
CLOCK_TOLERANCE_SECONDS = 2.0
ROUND_TRIP_SECONDS = 8.0
SQS_TIMES = {"connect_timeout": 3, "read_timeout": 5, "connections": 2}
AWS_TIMES = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 1})


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
            self._bucket,
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
            cure = remedy(
                str(problem),
                POSTGRES,
                "is the host and port in DATABASE_URL right, and open to us?",
            )
            yield Finding("postgres", ok=False, text=first_line(problem), remedy=cure)
            return
        yield Finding("postgres", ok=True, text=f"version {version}")
        yield Finding(
            "migrations",
            ok=not missing,
            text=f"{len(missing)} pending: {', '.join(missing)}" if missing else "none pending",
            remedy="run `huntaze migrate`, before the new processes start",
        )

    def _waiting_room(self) -> Iterator[Finding]:
        try:
            version = self._redis.info("server")["redis_version"]
            cold = self._room.cold()
        except (RedisError, RoomUnavailable) as problem:
            asked = f"is {self._settings.redis_endpoint} right (REDIS_ENDPOINT), and open to us?"
            said = f"{type(problem).__name__} {problem} {problem.__cause__}"
            cure = remedy(said, REDIS, asked)
            yield Finding("redis", ok=False, text=first_line(problem), remedy=cure)
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
            "aws": self._aws_time,
        }
        for name, read in clocks.items():
            try:
                off = read() - ours
            except (DBAPIError, RedisError, SqsFailed):
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

    def _aws_time(self) -> float:
        """By the head of an answer, in whole seconds: AWS refuses a clock that is minutes off."""
        client = make_client(self._settings, **SQS_TIMES)
        url = self._settings.sqs_rate_limiter_queue_url
        told = attempt(client.get_queue_attributes, QueueUrl=url, AttributeNames=["QueueArn"])
        said = told["ResponseMetadata"]["HTTPHeaders"].get("date")
        if not said:
            raise SqsFailed("no date")
        return parsedate_to_datetime(said).timestamp() + 0.5

    def _queues(self) -> Iterator[Finding]:
        client = make_client(self._settings, **SQS_TIMES)
        for queue in QUEUES:
            url = self._settings.queue_url(queue)
            bad = False
            for name, address in ((f"queue {queue}", url), (f"queue {queue}-dlq", f"{url}-dlq")):
                try:
                    told = attempt(
                        client.get_queue_attributes, QueueUrl=address, AttributeNames=["All"]
                    )
                except SqsFailed as problem:
                    cure = f"{address}: " + remedy(str(problem), AWS, "may we use it, is it right?")
                    yield Finding(name, ok=False, text=str(problem), remedy=cure)
                    bad = True
                    continue
                if address == url:
                    found = told["Attributes"]
            if not bad:
                yield redrive(queue, found)
                yield from self._other_readers(queue, found["QueueArn"])

    def _other_readers(self, queue: str, arn: str) -> Iterator[Finding]:
        """A Lambda function that still reads our queue takes messages away from our workers."""
        client = aws_session(self._settings).client(
            "lambda", endpoint_url=self._settings.aws_endpoint_url, config=AWS_TIMES
        )
        try:
            told = attempt(client.list_event_source_mappings, EventSourceArn=arn)
        except SqsFailed:
            return  # Nobody has to be allowed to look; docs/operations.md says how to look oneself.
        for one in told["EventSourceMappings"]:
            reader = str(one.get("FunctionArn", "?")).rsplit(":", 1)[-1]
            if one.get("State") in {"Disabled", "Disabling", "Deleting"}:
                continue
            yield Finding(
                f"queue {queue}",
                ok=False,
                text=f"the Lambda function {reader} reads it as well",
                remedy="aws lambda update-event-source-mapping --no-enabled"
                f" --uuid {one['UUID']}, before a worker starts (docs/operations.md, cut-over)",
            )

    def _bucket(self) -> Iterator[Finding]:
        bucket = self._settings.s3_bucket
        client = aws_session(self._settings).client(
            "s3",
            endpoint_url=self._settings.aws_endpoint_url,
            config=AWS_TIMES.merge(
                Config(
                    s3={"addressing_style": "path" if self._settings.aws_endpoint_url else "auto"}
                )
            ),
        )
        try:
            attempt(client.head_bucket, Bucket=bucket)
        except SqsFailed as problem:
            cure = f"bucket {bucket} (S3_BUCKET): " + remedy(
                str(problem), AWS, "does it exist, and may we use it?"
            )
            yield Finding("files", ok=False, text=str(problem), remedy=cure)
        else:
            yield Finding("files", ok=True, text=f"bucket {bucket}")

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
        remedy=f"give it a redrive policy to its -dlq with maxReceiveCount {MAX_RECEIVES}: without"
        " one a message that always fails comes back for days",
    )


def probe_key(token: str, queue: str) -> str:
    """Where a worker leaves its answer."""
    return f"probe:{token}:{queue}"


def first_line(problem: Exception) -> str:
    """The gist of an error, without the statement or the address with its password."""
    words = str(getattr(problem, "orig", None) or problem).strip().splitlines()
    return words[0] if words else type(problem).__name__

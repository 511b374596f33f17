"""`huntaze dev` in a throwaway directory, and the doors to its services: SQL, SQS, Redis, the
platform simulator, its processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import boto3
import httpx2
import psycopg
from mypy_boto3_sqs import SQSClient
from psycopg.rows import dict_row
from redis import Redis

from infra.local.child import Child, free_ports
from infra.settings import Settings

T = TypeVar("T")
Counts = dict[str, dict[str, int]]

CHECKOUT = Path(__file__).resolve().parents[1]
PATIENCE = 120.0


class Running:
    """One running product; the block starts it and ends it as Ctrl-C does."""

    def __init__(self, directory: Path, given: Mapping[str, str]) -> None:
        self.directory = directory
        self._given = dict(given)
        self.web = httpx2.Client(trust_env=False, timeout=30)
        for name in ("Procfile", "api"):
            (directory / name).symlink_to(CHECKOUT / name)

    def __enter__(self) -> Self:
        [port] = free_ports(1)
        huntaze = Path(sys.executable).with_name("huntaze")
        line = f'cd "{self.directory}" && exec "{huntaze}" dev'
        self._process = self.start_child("huntaze", line, PORT=str(port), **self._given)
        try:
            eventually(self._is_ready, f"the system: {self.log('huntaze')}")
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.web.close()
        self._end()

    def start_child(self, name: str, line: str, **given: str) -> subprocess.Popen[bytes]:
        """A process that ends when this one does, with its output in a log beside the system's."""
        child = Child(
            name=name,
            command=("/bin/sh", "-c", line),
            environment=bare_environment() | given,
            stop_signal=signal.SIGINT,
        )
        with self.log(name).open("ab") as output:
            return child.start(output)

    def log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def _end(self) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait()

    def _is_ready(self) -> bool:
        said = self.log("huntaze").read_text(encoding="utf-8", errors="replace")
        if self._process.poll() is not None:
            raise RuntimeError(f"`huntaze dev` ended with {self._process.returncode}:\n{said}")
        return "Huntaze is ready" in said

    @property
    def environment(self) -> dict[str, str]:
        """The settings of the running system."""
        found: dict[str, str] = json.loads((self.directory / ".local/env.json").read_text())
        return found

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.environment['PORT']}"

    # Its services

    def sql(self, query: str, *values: object) -> list[dict[str, Any]]:
        """Ask PostgreSQL itself."""
        url = self.environment["DATABASE_URL"]
        with psycopg.connect(url, connect_timeout=5, row_factory=dict_row) as database:
            cursor = database.execute(query.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def platform(self, method: str, path: str, body: object = None) -> Any:
        """The simulator's own endpoints below /_admin."""
        url = self.environment["ONLYFANS_API_URL"].removesuffix("/api")
        answer = self.web.request(method, f"{url}/_admin/{path}", json=body)
        answer.raise_for_status()
        return answer.json()

    def sqs(self) -> SQSClient:
        """A client of its SQS; close it."""
        given = self.environment
        return boto3.client(
            "sqs",
            endpoint_url=given["AWS_ENDPOINT_URL"],
            region_name=given["AWS_REGION"],
            aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
        )

    def queue_counts(self, queue: str) -> Counts:
        """What the SQS server counted of a queue since it started: action -> counts."""
        answer = self.web.get(f"{self.environment['AWS_ENDPOINT_URL']}/_huntaze/requests")
        found: Counts = answer.json()["queues"].get(queue, {})
        return found

    def redis_counts(self) -> dict[str, int]:
        """How often the Redis server ran each command, in scripts or not."""
        host, _, port = self.environment["REDIS_ENDPOINT"].rpartition(":")
        with Redis(host, int(port), decode_responses=True) as client:
            stats: dict[str, Any] = client.info("commandstats")
        return {name.removeprefix("cmdstat_"): row["calls"] for name, row in stats.items()}

    # Its processes

    def processes(self) -> dict[str, int]:
        """The supervised processes: name -> pid."""
        told = json.loads((self.directory / ".local/processes.json").read_text())
        return {one["name"]: one["pid"] for one in told}

    @contextmanager
    def frozen(self, pid: int) -> Iterator[None]:
        """SIGSTOP a process and its children for a block."""
        os.killpg(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(pid, signal.SIGCONT)


def eventually(look: Callable[[], T | None], what: str, pause: float = 0.05) -> T:
    """What `look` returns once it is true; the deadline is only a safety net."""
    end = time.monotonic() + PATIENCE
    while not (found := look()):
        if time.monotonic() > end:
            raise RuntimeError(f"waited {PATIENCE:g} s for {what}")
        time.sleep(pause)
    return found


def bare_environment() -> dict[str, str]:
    """This shell's, without any setting of ours: the bench says what it sets."""
    ours = {name.upper() for name in Settings.model_fields}
    return {name: value for name, value in os.environ.items() if name not in ours}

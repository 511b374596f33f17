"""The SQS emulator, events and worker processes for tests; the fixtures are in `sqs_fixtures`."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from domain.events import Event, MessageReleased, MessageRequested
from infra.bus.client import make_client
from infra.bus.publisher import SqsBus
from infra.local.services import (
    ACCOUNT,
    QUEUE_NAMES,
    emulator_environment,
    messages_queue_url,
)
from infra.settings import Settings, load_settings

WORKER = Path(__file__).parent / "integration" / "bus_worker.py"


class Sqs:
    """The emulator's queues, looked at directly, past any fault."""

    def __init__(self, url: str) -> None:
        self.url, self.port = url, int(url.rsplit(":", 1)[1])
        self.client = make_client(
            settings_for(url), connect_timeout=5, read_timeout=30, connections=4
        )

    def queue_url(self, name: str) -> str:
        return f"{self.url}/{ACCOUNT}/{QUEUE_NAMES[name.removesuffix('-dlq')]}" + (
            "-dlq" if name.endswith("-dlq") else ""
        )

    def purge(self) -> None:
        for name in QUEUE_NAMES:
            self.client.purge_queue(QueueUrl=self.queue_url(name))
            self.client.purge_queue(QueueUrl=self.queue_url(f"{name}-dlq"))

    def set_visibility(self, seconds: int) -> None:
        """Of the queue `messages`: when an unsettled message is handed out again. A poll that
        waits already keeps to the one before."""
        self.client.set_queue_attributes(
            QueueUrl=self.queue_url("messages"), Attributes={"VisibilityTimeout": str(seconds)}
        )

    def publish(self, *events: Event) -> None:
        """As the product does."""
        assert SqsBus(settings_for(self.url), patient=True).publish(events) == []

    def send(self, body: str, queue: str = "messages") -> None:
        self.client.send_message(QueueUrl=self.queue_url(queue), MessageBody=body)

    def take(self, queue: str = "messages") -> list[dict[str, Any]]:
        """Everything visible, with attributes."""
        found: list[Any] = []
        while more := self.client.receive_message(
            QueueUrl=self.queue_url(queue),
            MaxNumberOfMessages=10,
            WaitTimeSeconds=0,
            VisibilityTimeout=60,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        ).get("Messages"):
            found += more
        return found

    def left(self, queue: str = "messages") -> tuple[int, int]:
        """(visible, in flight)"""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found: Any = self.client.get_queue_attributes(
            QueueUrl=self.queue_url(queue),
            AttributeNames=names,  # type: ignore[arg-type]  # literals
        )["Attributes"]
        return int(found[names[0]]), int(found[names[1]])

    def requests(self) -> dict[str, dict[str, int]]:
        """Counts by action since `forget_requests`."""
        with urllib.request.urlopen(f"{self.url}/_huntaze/requests") as answer:
            return dict(json.load(answer)["actions"])

    def forget_requests(self) -> None:
        question = urllib.request.Request(f"{self.url}/_huntaze/requests", method="DELETE")
        urllib.request.urlopen(question).close()


def environment_for(url: str) -> dict[str, str]:
    return {
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "REDIS_ENDPOINT": "127.0.0.1:1",
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "SQS_RATE_LIMITER_QUEUE_URL": messages_queue_url(url),
        "JWT_SECRET": "test-secret",
    }


def settings_for(url: str) -> Settings:
    return load_settings(environment_for(url))


def requested(content: str = "hello", **changes: Any) -> Event:
    payload = MessageRequested(
        message_id=uuid4(),
        user_id="7",
        recipient_id="u42",
        content=content,
        timestamp="2026-01-02T03:04:05Z",
        **changes,
    )
    return Event(payload, group="3", row=1, correlation_id=uuid4().hex)


def released(number: int) -> Event:
    return Event(MessageReleased(message_id=number, connection_id=3, lease="l"), group="3")


def eventually(met: Callable[[], bool], seconds: float = 20) -> None:
    """Return once it is so; fails the test if it never is."""
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


class Worker:
    """A worker process whose tasks do what the message's text says, noting each run."""

    def __init__(self, url: str, place: Path, threads: int = 4) -> None:
        self._runs, self._log = place / "runs", place / "log"
        self._forgotten = {self._runs: 0, self._log: 0}
        self._runs.touch()
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, str(WORKER), str(self._runs), str(threads)],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**emulator_environment(os.environ), **environment_for(url)},
            )
        eventually(lambda: "worker_started" in self.log())

    def runs(self) -> list[str]:
        """The text of each message that a task began with, once per run."""
        return self._said(self._runs).splitlines()

    def log(self) -> str:
        return self._said(self._log)

    def forget(self) -> None:
        """Let `runs` and `log` begin here."""
        self._forgotten = {file: file.stat().st_size for file in self._forgotten}

    def _said(self, file: Path) -> str:
        whole = file.read_bytes()[self._forgotten[file] :]
        return whole[: whole.rfind(b"\n") + 1].decode()

    def lines(self, action: str) -> list[dict[str, Any]]:
        said = [json.loads(one) for one in self.log().splitlines()]
        return [one for one in said if one["action"] == action]

    def is_running(self) -> bool:
        return self._process.poll() is None

    def terminate(self) -> None:
        self._process.terminate()

    def wait(self) -> int:
        return self._process.wait(30)

    def close(self) -> None:
        """End it so that no poll of its stays behind to swallow another test's message."""
        self.terminate()
        try:
            self.wait()
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

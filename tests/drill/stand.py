"""The system under drill: as the other end-to-end tests run it, with a network that can fail between
it and everything it needs, and between it and its callers."""

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
from faults import FaultProxy
from running import HUNTAZE, bare_environment
from system import FAST, System

from infra.local.child import Child, answers_http, free_ports
from infra.local.postgres import url
from infra.local.services import ACCOUNT, QUEUE_NAMES, LocalServices, Service

SECRET = "drill-webhook-secret"
SETTINGS = FAST | {
    "IMPORT_LEASE_SECONDS": "4",
    "STATEMENT_TIMEOUT_SECONDS": "3",
    "SYNC_EVERY_SECONDS": "20",
    "ONLYFANS_API_KEY": "drill",
    "ONLYFANS_WEBHOOK_SECRET": SECRET,
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
}
SEND = re.compile(rb"POST /api/([^/ ]+)/chats/[^/ ]+/messages HTTP")


class Door:
    """Where the platform begins: each call is stamped here, before a network may delay it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, float]] = []

    def hear(self, data: bytes) -> None:
        if found := SEND.match(data):
            self.calls.append((found[1].decode(), time.monotonic()))


class Stand(System):
    """A running product whose dependencies are `services`, each behind its proxy; callers and the
    platform's webhooks reach the web process through a proxy too."""

    def __init__(self, directory: Path, local: LocalServices) -> None:
        local.postgres(), local.redis(), local.aws(visibility_timeout_seconds=8)
        self.door = Door()
        self.services = dict(local.services)
        self.proxies = {name: FaultProxy(one.port) for name, one in self.services.items()}
        self.proxies["web"] = FaultProxy(0)
        self.ledger = directory / "simulator.jsonl"
        simulator = self.services["simulator"] = self._simulator(directory)
        self.proxies["simulator"] = FaultProxy(simulator.port, self.door.hear)
        ports = {name: proxy.port for name, proxy in self.proxies.items()}
        super().__init__(directory / "system", SETTINGS | addresses(ports))

    def _simulator(self, directory: Path) -> Service:
        [port] = free_ports(1)
        hook = f"{self.proxies['web'].url}/api/webhooks/onlyfans"
        words = ("--port", str(port), "--ledger", str(self.ledger), "--webhook-url", hook)
        child = Child(
            "simulator",
            (str(HUNTAZE), "simulator", *words),
            {**bare_environment(), "ONLYFANS_WEBHOOK_SECRET": SECRET, "PATH": os.defpath},
            port,
            is_ready=lambda: answers_http(port, "/_admin/health"),
        )
        return Service(child, directory / "simulator.log")

    def start(self, **changed: str) -> None:
        super().start(**changed)
        self.proxies["web"].target_port = int(self.environment["PORT"])

    @property
    def environment(self) -> dict[str, str]:
        """Its settings, but past the proxies: what a drill asks itself must not fail."""
        return super().environment | addresses({name: s.port for name, s in self.services.items()})

    def platform(self, method: str, path: str, body: object = None) -> Any:
        """As ever, but soon given up: the simulator may be frozen."""
        answer = httpx2.request(
            method,
            f"http://127.0.0.1:{self.services['simulator'].port}/_admin/{path}",
            json=body,
            timeout=3,
            trust_env=False,
        )
        assert answer.status_code < 300, answer.text
        return answer.json()

    def accepted(self) -> list[dict[str, Any]]:
        """What lies in the platform's chats, from its ledger's file: a kill forgets none of it."""
        return [line["message"] for line in self._lines() if "message" in line]

    def money(self) -> list[dict[str, Any]]:
        notes = [line["note"] for line in self._lines() if "note" in line]
        return [note["money"] for note in notes if "money" in note]

    def _lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.ledger.read_text().splitlines(keepends=True)]


def addresses(ports: dict[str, int]) -> dict[str, str]:
    """The settings that name the dependencies."""
    given = {
        "DATABASE_URL": url(ports["postgres"]),
        "REDIS_ENDPOINT": f"127.0.0.1:{ports['redis']}",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports['aws']}",
        "ONLYFANS_API_URL": f"http://127.0.0.1:{ports['simulator']}/api",
    }
    queue = f"{given['AWS_ENDPOINT_URL']}/{ACCOUNT}/{QUEUE_NAMES['messages']}"
    return given | {"SQS_RATE_LIMITER_QUEUE_URL": queue}


@contextmanager
def standing(directory: Path) -> Iterator[Stand]:
    """The whole of it, started and ended; call it from the main thread."""
    with ExitStack() as stack:
        local = stack.enter_context(LocalServices(directory / "services", durable=True))
        stand = Stand(directory, local)
        for proxy in stand.proxies.values():
            stack.enter_context(proxy)
        stack.callback(stand.services["simulator"].stop)
        stand.services["simulator"].start()
        yield stack.enter_context(stand)

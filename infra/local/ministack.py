"""A second SQS, by other hands than moto's, so that the tests do not rest on one emulator's habits.

It stands behind the emulator's own address: S3 and the counting of requests stay where they are.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import boto3
import httpcore2
from botocore.config import Config
from mypy_boto3_sqs import SQSClient

from infra.local.child import Child, answers_http, free_ports
from infra.local.services import ACCOUNT, emulator_environment

START_SECONDS = 60
CONNECTIONS = 64  # as many as the emulator has threads: each may hold a long poll
HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "date"})


class Ministack:
    """Its process, and the WSGI application that hands requests on as they came."""

    def __init__(self, data: Path, region: str) -> None:
        [port] = free_ports(1)
        self._url, self._region = f"http://127.0.0.1:{port}", region
        self._connections = httpcore2.ConnectionPool(
            max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS
        )
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        child = Child(
            name="ministack",
            command=(str(Path(sys.executable).with_name("ministack")),),
            environment=emulator_environment(os.environ)
            | {
                "BIND_HOST": "127.0.0.1",
                "GATEWAY_PORT": str(port),
                "LOG_LEVEL": "WARNING",
                "MINISTACK_ACCOUNT_ID": ACCOUNT,
                "MINISTACK_REGION": region,
                "SERVICES": "sqs",
                "TMPDIR": str(data),
            },
            stop_signal=signal.SIGKILL,  # it has nothing to keep, and takes its time to end
        )
        self._process = child.start(sys.stdout.fileno())
        end = time.monotonic() + START_SECONDS
        while not answers_http(port, "/_ministack/health"):
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("ministack did not start: is it installed (requirements.lock)?")
            time.sleep(0.05)

    def client(self) -> SQSClient:
        return boto3.client(
            "sqs",
            endpoint_url=self._url,
            region_name=self._region,
            aws_access_key_id="local",
            aws_secret_access_key="local",  # noqa: S106  # no secret of anybody
            config=Config(retries={"total_max_attempts": 1}),
        )

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        headers: dict[str | bytes, str | bytes] = {
            name.removeprefix("HTTP_").replace("_", "-"): value
            for name, value in environ.items()
            if name.startswith("HTTP_") and name not in {"HTTP_CONNECTION", "HTTP_EXPECT"}
        }
        answer = self._connections.request(
            environ["REQUEST_METHOD"],
            self._url + environ["PATH_INFO"],
            headers=headers | {"Content-Type": environ.get("CONTENT_TYPE", "")},
            content=environ["wsgi.input"].read(),
        )
        told = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.headers]
        start_response(
            f"{answer.status} {'OK' if answer.status < 300 else 'Refused'}",
            [(name, value) for name, value in told if name.lower() not in HOP_BY_HOP],
        )
        return [answer.content]

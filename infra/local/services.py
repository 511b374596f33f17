"""The embedded services as children, and a throwaway set of them for tests."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from infra.local.child import Child, answers_http, free_ports
from infra.local.postgres import postgres, url
from infra.local.redis import redis
from infra.settings import QUEUES

QUEUE_NAMES = {
    name: "huntaze-rate-limiter-queue" if name == "messages" else f"huntaze-{name}"
    for name in QUEUES
}
ACCOUNT = "123456789012"  # the emulator's, for any credentials
START_SECONDS, RETRY_SECONDS = 60, 5


def aws(
    data: Path,
    port: int,
    *,
    region: str = "us-east-1",
    bucket: str = "huntaze-uploads",
    visibility_timeout_seconds: int = 120,
) -> Child:
    """The AWS emulator; `data` keeps its S3 objects."""
    options = {
        "port": port,
        "data": data,
        "region": region,
        "bucket": bucket,
        "visibility-timeout": visibility_timeout_seconds,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return Child(
        name="aws",
        command=(sys.executable, "-m", "infra.local.aws", *words),
        environment={**emulator_environment(os.environ), "MOTO_DISABLE_GLOBAL_CORS": "true"},
        port=port,
        is_ready=lambda: answers_http(port, "/_huntaze/requests"),
    )


def emulator_environment(given: Mapping[str, str]) -> dict[str, str]:
    """`given` with nothing in it that could reach, or name, a real AWS account."""
    without = {name: value for name, value in given.items() if not name.startswith("AWS_")}
    region = given.get("AWS_REGION") or "us-east-1"
    return {
        **without,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def messages_queue_url(endpoint: str) -> str:
    return f"{endpoint}/{ACCOUNT}/{QUEUE_NAMES['messages']}"


class Service:
    """One running service of a test: kill it, stop it, start it again on its port and data."""

    def __init__(self, child: Child, log: Path) -> None:
        self.child, self._log = child, log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError(f"{self.child.name} is not running")
        return self._process.pid

    @property
    def port(self) -> int:
        return self.child.port or 0

    def start(self) -> None:
        """Return when it answers; raises RuntimeError with its last words if it never does.

        Retries a little: a killed server's own children may hold the place for a moment.
        """
        began = time.monotonic()
        while time.monotonic() < began + RETRY_SECONDS:
            with self._log.open("ab") as output:
                self._process = self.child.start(output)
            while self._process.poll() is None and time.monotonic() < began + START_SECONDS:
                if self.child.is_ready():
                    return
                time.sleep(0.02)
            time.sleep(0.1)
        self.stop()
        said = self._log.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise RuntimeError(f"{self.child.name} did not start:\n{said}")

    def kill(self) -> None:
        """As a crash would: nothing is told, nothing is saved."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(self.child.stop_signal)

    def restart(self) -> None:
        self.stop()
        self.start()

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


class LocalServices:
    """Real services under `data`, ended with the block. Start them from the main thread.

    Several sets live beside each other: each has its own directory and free ports.
    """

    def __init__(self, data: Path, *, durable: bool = False) -> None:
        self._data, self._durable = data.resolve(), durable
        self.services: dict[str, Service] = {}

    def __enter__(self) -> Self:
        self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for service in reversed(self.services.values()):
            service.stop()

    def postgres(self) -> str:
        """Start PostgreSQL; returns the URL of its database `huntaze`."""
        [port] = free_ports(1)
        self._start(postgres(self._data / "pg", port, durable=self._durable))
        return url(port)

    def redis(self) -> str:
        """Start Redis; returns host:port."""
        [port] = free_ports(1)
        self._start(redis(self._data / "redis", port, durable=self._durable))
        return f"127.0.0.1:{port}"

    def aws(self, *, bucket: str = "huntaze-uploads", visibility_timeout_seconds: int = 120) -> str:
        """Start the AWS emulator with its queues and the bucket; returns its endpoint URL."""
        [port] = free_ports(1)
        self._start(
            aws(
                self._data / "s3",
                port,
                bucket=bucket,
                visibility_timeout_seconds=visibility_timeout_seconds,
            )
        )
        return f"http://127.0.0.1:{port}"

    def _start(self, child: Child) -> None:
        service = Service(child, self._data / f"{child.name}.log")
        self.services[child.name] = service
        service.start()

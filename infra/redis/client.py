"""Connections to Redis. Every new one first makes sure that the epoch it will trust was written
by this very run of the server; nothing is retried, since a release repeated is a second release."""

from pathlib import Path
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from infra.settings import Settings

GUARD = (Path(__file__).parent / "guard.lua").read_text()
PREFIX = "room:{0}:"  # the hash tag keeps all keys of the room in one slot of a cluster
CONNECT_SECONDS = 0.3


def connect(
    settings: Settings, *, timeout_seconds: float | None = None, prefix: str = PREFIX
) -> Redis:
    """A thread-safe client with short timeouts; `timeout_seconds` replaces the setting's."""
    host, _, port = settings.redis_endpoint.rpartition(":")
    token = settings.redis_auth_token
    timeout = timeout_seconds or settings.redis_timeout_seconds
    return Redis(
        host=host.strip("[]"),
        port=int(port),
        password=token.get_secret_value() if token else None,
        ssl=token is not None,
        decode_responses=True,
        protocol=2,
        socket_timeout=timeout,
        socket_connect_timeout=min(CONNECT_SECONDS, timeout),
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
        max_connections=4 * settings.worker_threads + 32,
        redis_connect_func=_guarded(f"{prefix}epoch"),
    )


def _guarded(epoch_key: str) -> Any:  # the driver's types know no argument and no connection
    def on_connect(connection: Any) -> None:
        connection.on_connect()
        connection.send_command("EVAL", GUARD, 1, epoch_key)
        connection.read_response()

    return on_connect

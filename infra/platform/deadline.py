"""HTTP calls that end in time. httpcore times each recv apart, so a server that drips one byte a
second never times out; here the "timeouts" of a call are instants, and each recv gets what is left.

It stands on httpcore2, the engine of httpx2: the client above it would add cookies shared between
accounts, proxies from the environment, redirects and decompression, none of which a send wants.
"""

import socket
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import Any

import httpcore2

from infra import tracing

# host, port, seconds -> addresses
Resolve = Callable[[str, int, float], list[str]]
ANSWER_MAX_BYTES = 1024 * 1024
CONNECT_SECONDS = 3.0
# Below the 60 s after which common load balancers close an idle connection, above the 6 s between
# two messages of one account.
KEEP_ALIVE_SECONDS = 45.0

# What these mean for a request: it never left.
NEVER_LEFT = (
    httpcore2.ConnectError,
    httpcore2.ConnectTimeout,
    httpcore2.PoolTimeout,
    httpcore2.UnsupportedProtocol,
)


class AnswerTooLarge(Exception):
    """The answer is longer than ANSWER_MAX_BYTES; the rest was not read."""


# A call that ended without a usable answer, in any of these ways.
NO_ANSWER = (
    AnswerTooLarge,
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.TimeoutException,
    httpcore2.UnsupportedProtocol,
)


@dataclass(frozen=True)
class Answer:
    """A complete HTTP answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class DeadlineClient:
    """A warm pool of HTTP/1.1 connections for many threads: no retries, redirects or cookies.

    With at most half of `max_connections` threads calling, none ever waits for the pool."""

    def __init__(self, max_connections: int) -> None:
        self._pool = httpcore2.ConnectionPool(
            ssl_context=httpcore2.default_ssl_context(),
            max_connections=max_connections,
            max_keepalive_connections=max_connections,
            keepalive_expiry=KEEP_ALIVE_SECONDS,
            network_backend=DeadlineBackend(),
        )

    def call(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | Iterator[bytes] | None,
        ends_at: float,
    ) -> Answer:
        """One exchange that is over at `ends_at` (monotonic seconds), whatever the server does.
        Content in parts needs a Content-Length among the headers.

        Raises one of NEVER_LEFT when no request left, AnswerTooLarge, or another exception of
        httpcore2 when the request may have arrived."""
        facts = {"http.request.method": method}
        with (
            tracing.span("platform_call", facts, kind="CLIENT"),
            self._pool.stream(
                method,
                url,
                headers=list(headers.items()),
                content=content,
                extensions={"timeout": instants(ends_at)},
            ) as response,
        ):
            tracing.tell({"http.response.status_code": response.status})
            if response.status >= 400:
                tracing.tell({"error.type": str(response.status)})
            body = bytearray()
            for part in response.iter_stream():
                body += part
                if len(body) > ANSWER_MAX_BYTES:
                    raise AnswerTooLarge
        names = {name.decode("latin-1").lower(): value for name, value in response.headers}
        return Answer(
            response.status,
            {name: value.decode("latin-1") for name, value in names.items()},
            bytes(body),
        )

    def close(self) -> None:
        self._pool.close()


class _DeadlineStream(httpcore2.NetworkStream):
    """A connection whose `timeout` arguments are instants of the monotonic clock."""

    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout, httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # Not the inner write: it gives every partial send the whole time anew.
        sock: socket.socket = self._inner.get_extra_info("socket")
        view = memoryview(buffer)
        try:
            while view:
                sock.settimeout(_left(timeout, httpcore2.WriteTimeout))
                view = view[sock.send(view) :]
        except TimeoutError as problem:
            raise httpcore2.WriteTimeout(str(problem)) from problem
        except OSError as problem:
            raise httpcore2.WriteError(str(problem)) from problem

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        try:
            left = _left(timeout, httpcore2.ConnectTimeout)
            return _DeadlineStream(self._inner.start_tls(ssl_context, server_hostname, left))
        except Exception:
            self.close()
            raise

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class DeadlineBackend(httpcore2.NetworkBackend):
    """Connects by an instant, name resolution and all addresses of the name included.

    `resolve` gives the addresses, in the order to try: nothing else is ever connected to."""

    def __init__(self, resolve: Resolve | None = None) -> None:
        self._tcp = httpcore2.SyncBackend()
        self._resolve = resolve or addresses_of

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        addresses = self._resolve(host, port, _left(timeout, httpcore2.ConnectTimeout))
        problem: Exception = httpcore2.ConnectError("the name has no address")
        for number, address in enumerate(addresses):
            # A black hole among the addresses leaves time for those after it.
            share = _left(timeout, httpcore2.ConnectTimeout) / (len(addresses) - number)
            try:
                return _DeadlineStream(
                    self._tcp.connect_tcp(address, port, share, local_address, socket_options)
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                problem = error
        raise problem


def instants(ends_at: float) -> dict[str, float]:
    """The "timeouts" of one exchange that is over at `ends_at`, for a DeadlineBackend."""
    now = monotonic()
    return {
        "connect": min(ends_at, now + CONNECT_SECONDS),
        "write": ends_at,
        "read": ends_at,
        "pool": max(0.0, min(ends_at - now, 1.0)),  # the only duration: the pool's own
    }


def _left(ends_at: float | None, error: type[Exception]) -> float:
    assert ends_at is not None  # every call of this client gives all its instants
    left = ends_at - monotonic()
    if left <= 0:
        raise error("the deadline has passed")
    return left


def addresses_of(host: str, port: int, seconds: float) -> list[str]:
    """The name's addresses; getaddrinfo knows no timeout, so a thread may outlive the wait."""
    found: SimpleQueue[list[str] | OSError | UnicodeError] = SimpleQueue()

    def look_up() -> None:
        try:
            rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.put(list(dict.fromkeys(str(row[4][0]) for row in rows)))
        except (OSError, UnicodeError) as problem:
            found.put(problem)

    Thread(target=look_up, daemon=True, name="resolve").start()
    try:
        result = found.get(timeout=seconds)
    except Empty:
        raise httpcore2.ConnectTimeout("the name was not resolved in time") from None
    if isinstance(result, list):
        return result
    raise httpcore2.ConnectError(str(result)) from result

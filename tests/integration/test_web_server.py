"""What the real web server does to a connection after a refusal; no test client knows."""

import os
import socket
import sys
from collections.abc import Iterator
from http.client import HTTPResponse

import pytest

from infra.local.child import Child, answers_http, free_ports
from infra.local.services import Service

SEND, UPLOAD = "/api/onlyfans/messages/send", "/api/onlyfans/import/csv"
LARGE = 50_000_000


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Of a web server whose dependencies are away: what is refused first needs none."""
    [port] = free_ports(1)
    environment = {
        **os.environ,
        "PORT": str(port),
        "DATABASE_URL": "postgresql://127.0.0.1:1/nowhere",
        "REDIS_ENDPOINT": "127.0.0.1:1",
        "SQS_RATE_LIMITER_QUEUE_URL": "http://127.0.0.1:1/0/q",
        "JWT_SECRET": "a key of at least thirty-two bytes for tests",
    }
    command = ("-m", "gunicorn", "--config", "python:api.gunicorn_conf", "api.app:create_app()")
    web = Service(
        Child(
            name="web",
            command=(sys.executable, *command),
            environment=environment,
            port=port,
            is_ready=lambda: answers_http(port, "/nothing/here"),
        ),
        tmp_path_factory.mktemp("web") / "log",
    )
    web.start()
    yield port
    web.stop()


@pytest.fixture
def connection(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        yield connection


def head(path: str, *lines: str) -> bytes:
    return "\r\n".join((f"POST {path} HTTP/1.1", "Host: x", *lines, "", "")).encode()


def answer(connection: socket.socket) -> HTTPResponse:
    found = HTTPResponse(connection)
    found.begin()
    found.read()
    return found


def send_all(connection: socket.socket, piece: bytes, times: int) -> int:
    """Send until the other side refuses to take more; how many bytes it took."""
    sent = 0
    for _ in range(times):
        try:
            connection.sendall(piece)
        except OSError:
            break
        sent += len(piece)
    return sent


@pytest.mark.parametrize(
    ("path", "kind", "length", "status"),
    [
        (SEND, "application/json", 70_000, 413),
        (UPLOAD, "multipart/form-data; boundary=x", LARGE, 413),
        (SEND, "application/json", 60_000, 401),
    ],
)
def test_only_a_refusal_that_leaves_much_unread_ends_the_connection(
    connection: socket.socket, path: str, kind: str, length: int, status: int
) -> None:
    connection.sendall(head(path, f"Content-Type: {kind}", f"Content-Length: {length}"))
    if status != 413:
        connection.sendall(b"x" * length)
    found = answer(connection)

    assert found.status == status
    assert found.headers["Connection"] == ("close" if status == 413 else "keep-alive")
    if status == 413:
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    else:
        connection.sendall(head(path, "Content-Length: 0"))
        assert answer(connection).status == 401


def test_who_sends_on_after_a_refusal_hears_it_and_is_not_read_to_the_end(
    connection: socket.socket,
) -> None:
    lines = ("Content-Type: multipart/form-data; boundary=x", f"Content-Length: {LARGE}")
    connection.sendall(head(UPLOAD, *lines))
    # All that is under way between two sockets, sent before anything is listened to.
    assert send_all(connection, b"x" * 100_000, 10) == 1_000_000
    found = answer(connection)

    assert (found.status, found.headers["Connection"]) == (413, "close")
    assert send_all(connection, b"x" * 100_000, LARGE // 100_000) < LARGE - 1_000_000


def test_a_refused_body_of_unknown_length_ends_the_connection(connection: socket.socket) -> None:
    connection.sendall(head(UPLOAD, "Content-Type: text/csv", "Transfer-Encoding: chunked"))
    found = answer(connection)

    assert (found.status, found.headers["Connection"]) == (401, "close")

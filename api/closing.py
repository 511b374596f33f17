"""Which answers end their connection, and how that is done so that the client hears the answer.

The server reads only a little of a body that nobody wanted, then hangs up. It must say so before: a
client that believes the connection lives on would lose its next request. And it must not hang up on
one that is still sending, who would see a broken connection in place of the answer."""

import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Request
from gunicorn.http.wsgi import Response as ServerResponse
from werkzeug.wsgi import ClosingIterator

ENDS = ("Connection", "close")
# What the server reads of a body by itself, to reach the next request.
READ_ANYWAY = 64 * 1024
# What is read of a body after its refusal, at most: more than is under way between two sockets.
DRAINED_BYTES, DRAINED_SECONDS = 4 * 1024 * 1024, 1.0

ErrorInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]


def leaves_body(request: Request, status: int) -> bool:
    """Whether an answer of this status may come before the whole body was read."""
    if status < 400:
        return False
    is_of_unknown_length = "Transfer-Encoding" in request.headers
    return status == 413 or is_of_unknown_length or (request.content_length or 0) >= READ_ANYWAY


def closing(application: WSGIApplication) -> WSGIApplication:
    """`application`, whose answers with the header ENDS end the connection. Gunicorn drops that
    header, as WSGI has it, and announces what it means to do itself."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        server = getattr(start_response, "__self__", None)
        ends = False

        def start(
            status: str, headers: list[tuple[str, str]], problem: ErrorInfo | None = None, /
        ) -> Any:
            nonlocal ends
            if ENDS in headers and isinstance(server, ServerResponse):
                ends = True
                server.force_close()  # type: ignore[no-untyped-call]  # gunicorn has no types
            return start_response(status, headers, problem)

        body = application(environ, start)
        # The server closes what it iterates once the last byte is sent.
        return ClosingIterator(body, lambda: _drain(environ["gunicorn.socket"])) if ends else body

    return answer


def _drain(connection: socket.socket) -> None:
    """Read on for a moment, so that a client that sends before it listens comes to listen."""
    end, left = time.monotonic() + DRAINED_SECONDS, DRAINED_BYTES
    try:
        connection.shutdown(socket.SHUT_WR)
        while left > 0 and (seconds := end - time.monotonic()) > 0:
            connection.settimeout(seconds)
            piece = connection.recv(min(left, READ_ANYWAY))
            if not piece:
                break
            left -= len(piece)
    except OSError:
        pass  # It is gone, or says nothing more.
    # The server listens once more before it hangs up, in the thread that all others need.
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RD)

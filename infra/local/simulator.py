"""A platform that speaks the OFAPI wire, counts what it is sent and fails on demand.

Built on http.server with a thread per connection, because a fault may hang, drip or reset its
connection. Tests and the bench measure with its ledger, so a request is stamped on arrival.
"""

import os
import re
import socket
import struct
import sys
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from infra.local.simulator_calls import Call, Disturbed, State
from infra.local.simulator_faults import Fault, Faults, How, Reply, error_reply
from infra.local.simulator_ledger import Ledger, clock
from infra.local.simulator_routes import ROUTES
from infra.local.simulator_webhooks import Webhooks
from infra.local.simulator_world import World

BODY_MAX_BYTES = 1024 * 1024
UPLOAD_MAX_BYTES = 256 * 1024 * 1024
_ACCOUNT = re.compile("/api/([^/]+)/.*")


class Simulator:
    """The server with its state; `start` serves from a thread, `serve` from the caller's."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        ledger_path: Path | None = None,
        *,
        webhook_url: str | None = None,
        webhook_secret: str | None = None,
        has_demo: bool = False,
    ) -> None:
        ledger = Ledger(ledger_path)
        self.state = State(
            ledger=ledger,
            faults=Faults(),
            world=World(ledger, has_demo=has_demo),
            webhooks=Webhooks(webhook_url, webhook_secret),
        )
        self._server = _Server((host, port), _Handler)
        self._server.state = self.state
        self._thread: Thread | None = None

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def api_url(self) -> str:
        """What ONLYFANS_API_URL is set to on this machine."""
        return f"http://127.0.0.1:{self.port}/api"

    def start(self) -> None:
        self._thread = Thread(target=self.serve, name="simulator", daemon=True)
        self._thread.start()

    def serve(self) -> None:
        self._server.serve_forever(poll_interval=0.1)

    def stop(self) -> None:
        """Let hanging calls go, stop listening, close the ledger."""
        self.state.faults.clear()
        self.state.webhooks.stop()
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        self.state.ledger.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024
    state: State

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that hangs up is part of the game; anything else is a fault of ours."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """One connection, kept alive between requests."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        arrived_at = clock()
        body = self._body()
        result = body if isinstance(body, Reply) else self._route(arrived_at, body)
        if isinstance(result, Reply):
            self.connection.sendall(self._raw(result))
        elif result.how is How.DRIP and result.reply is not None:
            self._drip(self._raw(result.reply), len(result.reply.body), result.fault)
        else:
            if result.how is How.HANG:
                result.fault.over.wait(result.fault.seconds)
            self._reset()

    def _route(self, arrived_at: float, body: bytes) -> Reply | Disturbed:
        target = urlsplit(self.path)
        if target.path.startswith("/api/") and not self._has_key():
            return error_reply(401, "Unauthorized. Go to the console for a key.")
        if target.path.startswith("/_admin/") and not self._is_local():
            return error_reply(403, "FORBIDDEN")
        if (account := _ACCOUNT.fullmatch(target.path)) is not None and (
            self.server.state.world.is_ended(unquote(account[1]))
        ):
            return error_reply(401, "ONLYFANS_SESSION_EXPIRED", "Please sign in again.")
        for method, pattern, route in ROUTES:
            match = pattern.fullmatch(target.path) if method == self.command else None
            if match is not None:
                query = {name: values[-1] for name, values in parse_qs(target.query).items()}
                key = self.headers.get("Idempotency-Key")
                call = Call(
                    self.server.state,
                    arrived_at,
                    target.path,
                    query,
                    key,
                    body,
                    self.headers.get("Content-Type", ""),
                )
                return route(call, *(unquote(part) for part in match.groups()))
        return error_reply(404, "NOT_FOUND")

    def _body(self) -> bytes | Reply:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal():
            self.close_connection = True
            return error_reply(411, "LENGTH_REQUIRED")
        is_upload = "/media/" in self.path
        if int(length) > (UPLOAD_MAX_BYTES if is_upload else BODY_MAX_BYTES):
            self.close_connection = True
            return error_reply(413, "TOO_LARGE")
        return self.rfile.read(int(length))

    def _has_key(self) -> bool:
        return bool(re.fullmatch(r"Bearer \S+", self.headers.get("Authorization", "")))

    def _is_local(self) -> bool:
        return ip_address(self.client_address[0]).is_loopback

    def _raw(self, reply: Reply) -> bytes:
        """The answer as bytes, to be sent at once or slowly."""
        headers = {
            "Content-Type": reply.content_type,
            "Content-Length": str(len(reply.body)),
            "Connection": "close" if self.close_connection else "keep-alive",
            **reply.headers,
        }
        lines = [f"HTTP/1.1 {reply.status} {responses.get(reply.status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + reply.body

    def _drip(self, raw: bytes, body_length: int, fault: Fault) -> None:
        start = len(raw) - body_length if fault.drip_from == "body" else 0
        self.connection.sendall(raw[:start])
        for position in range(start, len(raw)):
            self.connection.sendall(raw[position : position + 1])
            fault.dripped += 1
            if fault.over.wait(fault.every):
                self.connection.sendall(raw[position + 1 :])
                return

    def _reset(self) -> None:
        """Close without an answer and without a farewell: the caller sees a reset."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Silence: the page and the ledger tell what happened."""

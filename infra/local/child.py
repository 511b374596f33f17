"""What a process of the local stack is, and how it starts, whoever looks after it.

The kernel ends a child when the *thread* that started it ends: start from one that stays.
"""

import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from importlib.util import find_spec
from pathlib import Path
from typing import IO

LAUNCH = Path(__file__).with_name("launch.py")


def nothing() -> None:
    """The default of `before_start`."""


def started() -> bool:
    """The default of `is_ready`: a process that runs is ready."""
    return True


@dataclass(frozen=True)
class Child:
    """One process: everything needed to start it again on the same port and data."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    port: int | None = None
    is_ready: Callable[[], bool] = started
    before_start: Callable[[], None] = nothing
    stop_signal: signal.Signals = signal.SIGTERM
    refuses_root: Path | None = None  # its data directory, for a server that does

    @property
    def shown(self) -> str:
        """The command line for people: a Procfile's own words."""
        if self.command[:2] == ("/bin/sh", "-c"):
            return self.command[2].removeprefix("exec ")
        return " ".join(self.command)

    def launched(self) -> list[str]:
        """The command behind the launcher that ties it to this process."""
        python = [sys.executable, "-I", "-S", str(LAUNCH)]
        ties = [str(os.getpid()), str(int(self.stop_signal)), str(self.refuses_root or "-")]
        return [*python, *ties, *self.command]

    def start(self, output: int | IO[bytes] = subprocess.PIPE) -> subprocess.Popen[bytes]:
        """Start it in a session of its own, so that a terminal's Ctrl-C reaches only us."""
        self.before_start()
        return subprocess.Popen(
            self.launched(),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def run(self, text: str = "") -> None:
        """Run it to its end with `text` as input; raises RuntimeError with what it said."""
        done = subprocess.run(
            self.launched(),
            env=self.environment,
            input=text.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode != 0:
            said = done.stdout.decode(errors="replace").strip()
            raise RuntimeError(f"{self.name} failed ({done.returncode}): {said}")


def package_directory(name: str) -> Path:
    """Where a package lies, without importing it: some do things when imported."""
    found = find_spec(name)
    if found is None or not found.submodule_search_locations:
        raise RuntimeError(f"{name} is not installed: run `make run`, or install requirements.lock")
    return Path(found.submodule_search_locations[0])


def is_free(port: int) -> bool:
    """Whether nothing listens on `port`; closed connections lingering there do not count."""
    for host in ("127.0.0.1", ""):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((host, port))
            except OSError:
                return False
    with socket.socket() as caller:
        caller.settimeout(1)
        return caller.connect_ex(("127.0.0.1", port)) != 0


def free_ports(count: int, *promised: int) -> list[int]:
    """Distinct free ports below the range from which outgoing connections take theirs.

    `promised` are ports that somebody else will listen on but does not yet.
    """
    found: list[int] = []
    for port in random.sample(range(20_000, 32_768), 1_000):
        if len(found) == count:
            return found
        if port not in promised and is_free(port):
            found.append(port)
    raise RuntimeError("no free ports between 20000 and 32767")


def answers_http(port: int, path: str) -> bool:
    """Whether a server answers there, with anything but its own failure."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=1)) as connection:
        try:
            connection.request("GET", path)
            return connection.getresponse().status < 500
        except (OSError, HTTPException):
            return False

"""`huntaze dev` in a throwaway directory: started, ended, killed and frozen like the real thing."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import httpx2

from infra.local.child import Child, free_ports
from infra.settings import Settings

T = TypeVar("T")

CHECKOUT = Path(__file__).resolve().parents[2]
HUNTAZE = Path(sys.executable).with_name("huntaze")
PATIENCE = 120.0


class Running:
    """One running product; the block starts it and ends it as Ctrl-C does."""

    def __init__(self, directory: Path, settings: Mapping[str, str]) -> None:
        self.directory = directory
        self._given = dict(settings)
        self._process: subprocess.Popen[bytes] | None = None
        self._web = httpx2.Client(trust_env=False, timeout=10)
        directory.mkdir(exist_ok=True)
        for name in ("Procfile", "api"):
            if not (directory / name).exists():
                (directory / name).symlink_to(CHECKOUT / name)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._kill_everything()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._web.close()
        if self._process is not None:
            self.stop()

    # Running

    def start(self, **changed: str) -> None:
        """Start, and return when every process answers."""
        self._given |= changed
        [port] = free_ports(1)
        with self.log.open("wb") as output:
            self._process = self.child(PORT=str(port)).start(output)
        eventually(self._has_started, f"a system in {self.directory}")
        eventually(lambda: self._answers("/ready"), "/ready")

    def child(self, *words: str, **changed: str) -> Child:
        """`huntaze dev`, or another command, in this directory; ends when the test run does."""
        line = f'cd "{self.directory}" && exec "{HUNTAZE}" {" ".join(words) or "dev"}'
        return Child(
            name="huntaze",
            command=("/bin/sh", "-c", line),
            environment=bare_environment() | self._given | changed,
            stop_signal=signal.SIGINT,
        )

    def stop(self) -> None:
        """End it as Ctrl-C does: exit code 0, and no process left behind."""
        assert self._process is not None
        process, self._process = self._process, None
        process.send_signal(signal.SIGINT)
        try:
            code = process.wait(PATIENCE)
            left = self.processes_left()
        finally:
            self._kill_everything()
        assert code == 0, f"exit code {code}\n{self.tails()}"
        assert left == {}, f"still running: {left}\n{self.tails()}"

    def command(self, *words: str, **changed: str) -> subprocess.CompletedProcess[str]:
        """Run a `huntaze` command beside the running system."""
        return subprocess.run(
            [HUNTAZE, *words],
            cwd=self.directory,
            env=bare_environment() | changed,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    def _has_started(self) -> bool:
        assert self._process is not None
        said = self.log.read_text(encoding="utf-8", errors="replace")
        if self._process.poll() is not None:
            raise AssertionError(f"`huntaze dev` ended with {self._process.returncode}:\n{said}")
        return "Huntaze is ready" in said

    def _answers(self, path: str) -> bool:
        with suppress(httpx2.TransportError):
            return self._web.get(self.address + path).status_code == 200
        return False

    def processes_left(self) -> dict[int, str]:
        """Everything that still works in this directory, by its working directory."""
        return {
            pid: command
            for pid, command in processes_in(self.directory)
            if self._process is None or pid != self._process.pid
        }

    def _kill_everything(self) -> None:
        for pid in processes_in(self.directory):
            with suppress(ProcessLookupError):
                os.kill(pid[0], signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    # What it says of itself

    @property
    def log(self) -> Path:
        return self.directory / "huntaze.log"

    @property
    def environment(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.directory / ".local/env.json").read_text())
        return found

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.environment['PORT']}"

    def tails(self, lines: int = 20) -> str:
        """The last lines of every process, for a failed test's report."""
        files = [self.log, *sorted((self.directory / ".local/logs").glob("*.log"))]
        return "\n".join(
            "\n".join([f"--- {file.name}", *file.read_text(errors="replace").splitlines()[-lines:]])
            for file in files
            if file.exists()
        )

    # Breaking things

    def processes(self) -> dict[str, int]:
        """The supervised processes: name -> pid."""
        told = json.loads((self.directory / ".local/processes.json").read_text())
        return {one["name"]: one["pid"] for one in told}

    def kill(self, name: str) -> None:
        """kill -9 one process, and wait until the supervisor has started it again."""
        pid = self.processes()[name]
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: self.processes().get(name, pid) != pid, f"a new {name}")

    def end(self, name: str) -> float:
        """SIGTERM one process, as a deployment does, and wait until the supervisor has started it
        again; returns the seconds that took."""
        pid, began = self.processes()[name], time.monotonic()
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: self.processes().get(name, pid) != pid, f"a new {name}")
        return time.monotonic() - began

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """SIGSTOP a process and its children for a block."""
        pid = self.processes()[name]
        os.killpg(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(pid, signal.SIGCONT)


def bare_environment() -> dict[str, str]:
    """This shell's, without any setting of ours: a test says what it sets."""
    ours = {name.upper() for name in Settings.model_fields}
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ours and not name.startswith(("AWS_", "PG"))
    }


def eventually(
    look: Callable[[], T | None],
    what: str,
    tell: Callable[[], object] = lambda: "",
    *,
    allow_empty: bool = False,
) -> T:
    """What `look` returns once it is true (or, if empty may be, not None)."""
    end = time.monotonic() + PATIENCE
    while True:
        found = look()
        if found or (allow_empty and found is not None):
            assert found is not None
            return found
        if time.monotonic() > end:
            raise AssertionError(f"waited {PATIENCE:g} s for {what}: {tell()}")
        time.sleep(0.05)


def processes_in(directory: Path) -> list[tuple[int, str]]:
    """The processes whose working directory is in `directory`: pid and command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            where = (entry / "cwd").readlink()
            if where.is_relative_to(directory.resolve()):
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if command:  # a zombie has none
                    found.append((int(entry.name), command))
    return found

"""Keeps processes running: prefixed lines, restarts with back-off, a graceful end, in one thread.

Only a leader is asked to end: its own children are its business. `processes.json` always tells
which process has which pid and port. When this process dies, the kernel ends the children.
"""

import contextlib
import json
import os
import queue
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Self

from infra.local.child import Child

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 30.0
SETTLED_SECONDS = 10  # after this long a restart is the first one again
LOUD_RESTARTS = 3  # a process that dies more often in a row is heard only in its log
READY_CHECK_SECONDS = 0.05
PIECE_BYTES, PIPE_BYTES = 65_536, 1_048_576
COLOURS = (36, 32, 33, 35, 34, 96, 92, 93, 95, 94)


class Stopped(Exception):
    """Somebody asked for the end while we waited for something else."""


class NotReady(Exception):
    """A process did not come up, or a step failed; the text says which."""


@dataclass
class _Post:
    """A child and what became of it."""

    child: Child
    stage: int
    colour: int
    log: IO[bytes]
    once: bool = False
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_due: float = 0.0
    deaths: int = 0  # in a row
    is_ready: bool = False
    rest: bytes = b""  # the part of a line that came so far
    code: int | None = None

    @property
    def is_muted(self) -> bool:
        return self.deaths > LOUD_RESTARTS


class Console:
    """Lines for people, written from a thread: a reader that stalls must not stall the stack.

    Past the buffer of `sys.stdout`, whose lock a stalled thread would hold at the very end.
    """

    def __init__(self) -> None:
        self.is_coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self._lines: queue.Queue[str | None] = queue.Queue(maxsize=10_000)
        self._writer = threading.Thread(target=self._write, daemon=True)
        self._writer.start()

    def say(self, text: str) -> None:
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(text)

    def _write(self) -> None:
        while (text := self._lines.get()) is not None:
            left = f"{text}\n".encode()
            with contextlib.suppress(OSError):
                while left:
                    left = left[os.write(1, left) :]

    def close(self) -> None:
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(None)
        self._writer.join(timeout=2)


class Supervisor:
    """Use as a block, from the main thread; leaving it ends every child, the latest stage first."""

    def __init__(self, state: Path, *, grace_seconds: float = 60) -> None:
        self._state, self._grace_seconds = state, grace_seconds
        self._posts: list[_Post] = []
        self._selector = selectors.DefaultSelector()
        self._console = Console()
        self._is_stopping = self._is_hurried = False
        self._asked_at = 0.0
        self._stages = 0

    def __enter__(self) -> Self:
        (self._state / "logs").mkdir(mode=0o700, parents=True, exist_ok=True)
        self._wakeup = os.pipe()
        for end in self._wakeup:
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._wakeup[1], warn_on_full_buffer=False)
        self._selector.register(self._wakeup[0], selectors.EVENT_READ)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._stop_asked)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only to wake the selector
        self._tell_processes()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        self._selector.close()
        for end in self._wakeup:
            os.close(end)
        for post in self._posts:
            post.log.close()
        self._console.close()

    def _stop_asked(self, number: int, _frame: FrameType | None) -> None:
        # make passes a signal on to us that we may have had already: only a later Ctrl-C hurries.
        now = time.monotonic()
        if self._is_stopping and number == signal.SIGINT and now - self._asked_at > 1:
            self._is_hurried = True
        if not self._is_stopping:
            self._is_stopping, self._asked_at = True, now

    def say(self, text: str) -> None:
        self._console.say(text)

    def start(self, children: Iterable[Child]) -> None:
        """Start them together, as the next stage."""
        self._stages += 1
        for child in children:
            self._posts.append(self._post(child))
        self._start_due()

    def run_once(self, child: Child) -> None:
        """Run a step to its end; raises NotReady when it fails."""
        self._stages += 1
        post = self._post(child)
        post.once = True
        self._posts.append(post)
        self._start_due()
        while post.code is None:
            self._turn()
            self._heed()
        self._posts.remove(post)
        if post.code != 0:
            raise NotReady(f"{child.name} {described(post.code)}, see {post.log.name}")

    def wait_until_ready(self, seconds: float) -> None:
        """Return when every process answers; raises NotReady naming those that do not."""
        end = time.monotonic() + seconds
        while late := [post for post in self._posts if not post.is_ready]:
            self._turn(READY_CHECK_SECONDS)
            self._heed()
            for post in late:
                post.is_ready = post.process is not None and post.child.is_ready()
            if time.monotonic() > end:
                names = ", ".join(f"{post.child.name} (see {post.log.name})" for post in late)
                raise NotReady(f"not ready within {seconds:g} s: {names}")

    def serve(self) -> None:
        """Look after the processes until SIGINT or SIGTERM."""
        while not self._is_stopping:
            self._turn()

    def _heed(self) -> None:
        if self._is_stopping:
            raise Stopped

    def _post(self, child: Child) -> _Post:
        log = (self._state / "logs" / f"{child.name}.log").open("wb", buffering=0)
        return _Post(child, self._stages, COLOURS[len(self._posts) % len(COLOURS)], log)

    def _turn(self, seconds: float = 1) -> None:
        """Wait a moment for something to happen, and deal with all that did."""
        for key, _ in self._selector.select(min(seconds, self._next_start_in())):
            if isinstance(key.data, _Post):
                self._read(key.data)
            else:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wakeup[0], 4096)
        for post in self._posts:
            if post.process is not None and post.process.poll() is not None:
                self._bury(post)
        if not self._is_stopping:
            self._start_due()

    def _waiting(self) -> list[_Post]:
        if self._is_stopping:
            return []
        return [post for post in self._posts if post.process is None and post.code is None]

    def _next_start_in(self) -> float:
        now = time.monotonic()
        return max(0.0, min((post.start_due - now for post in self._waiting()), default=1))

    def _start_due(self) -> None:
        for post in self._waiting():
            if post.start_due <= time.monotonic():
                self._launch(post)

    def _launch(self, post: _Post) -> None:
        try:
            process = post.child.start()
        except (OSError, RuntimeError) as problem:
            raise NotReady(f"{post.child.name} cannot start: {problem}") from problem
        post.process, post.started_at, post.is_ready = process, time.monotonic(), False
        output = _output(process)
        os.set_blocking(output.fileno(), False)
        self._selector.register(output, selectors.EVENT_READ, post)
        self._tell_processes()

    def _read(self, post: _Post) -> bool:
        """Pass on the whole lines of one piece, so that a chatterer starves nobody."""
        output = _output(post.process)
        piece = output.read(PIECE_BYTES)
        if piece == b"":  # it closed its output, and need not have ended
            self._forget_output(output)
        *lines, post.rest = (post.rest + (piece or b"")).split(b"\n")
        for line in lines:
            self._line(post, line)
        return bool(piece)

    def _forget_output(self, output: IO[bytes]) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(output)

    def _line(self, post: _Post, line: bytes) -> None:
        post.log.write(line + b"\n")
        if post.is_muted and time.monotonic() - post.started_at < SETTLED_SECONDS:
            return
        self._say_for(post, line.decode(errors="replace").rstrip("\r"))

    def _say_for(self, post: _Post, text: str) -> None:
        head = f"{post.child.name:<16} | "
        if self._console.is_coloured:
            head = f"\033[{post.colour}m{head}\033[0m"
        self.say(head + text)

    def _bury(self, post: _Post) -> None:
        """The leader ended: pass on its last words, end what it left, and plan the next start."""
        process, output = post.process, _output(post.process)
        if process is None:
            return
        for _ in range(PIPE_BYTES // PIECE_BYTES):  # its own children may go on writing
            if not self._read(post):
                break
        if post.rest:
            self._line(post, post.rest)
            post.rest = b""
        self._forget_output(output)
        output.close()
        post.process, post.is_ready = None, False
        lasted = time.monotonic() - post.started_at
        post.deaths = 1 if lasted > SETTLED_SECONDS else post.deaths + 1
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGTERM)  # a killed leader's own children hold its port
        if post.once or self._is_stopping:
            post.code = process.returncode
        else:
            pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** (post.deaths - 1))
            post.start_due = time.monotonic() + pause
            quiet = f"; its lines are in {post.log.name}" if post.is_muted else ""
            how = described(process.returncode)
            self._say_for(post, f"{how}, starts again in {pause:.1f} s{quiet}")
        self._tell_processes()

    def _tell_processes(self) -> None:
        told = [
            {
                "name": post.child.name,
                "pid": post.process.pid,
                "port": post.child.port,
                "command": post.child.shown,
            }
            for post in self._posts
            if post.process is not None
        ]
        half = self._state / "processes.half"
        half.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        half.replace(self._state / "processes.json")

    def _stop(self) -> None:
        """Ask stage by stage, the latest first: what drains still has its services."""
        self._is_stopping = True
        for stage in range(self._stages, 0, -1):
            staged = [post for post in self._posts if post.stage == stage and post.process]
            for post in staged:
                if post.process:
                    post.process.send_signal(post.child.stop_signal)
            end = time.monotonic() + self._grace_seconds
            while any(post.process for post in staged):
                self._turn()
                if self._is_hurried or time.monotonic() > end:
                    self._kill(staged)

    def _kill(self, posts: list[_Post]) -> None:
        for post in posts:
            if post.process:
                self._say_for(post, "did not end and is killed")
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(post.process.pid, signal.SIGKILL)
                post.process.wait()


def described(code: int) -> str:
    """An exit code as people say it."""
    return f"ended with {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"


def _output(process: subprocess.Popen[bytes] | None) -> IO[bytes]:
    if process is None or process.stdout is None:
        raise RuntimeError("the process was started without a pipe")
    return process.stdout

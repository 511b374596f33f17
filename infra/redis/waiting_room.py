"""The WaitingRoom port on Redis: each method is one Lua script, atomic there and timed by Redis.

Nothing is retried here: the row waits in PostgreSQL, and what a lost reply took, a lease returns.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from redis import Redis
from redis.client import PubSub
from redis.exceptions import ReadOnlyError, RedisError

from domain.campaigns import CampaignId
from domain.connections import ConnectionId
from domain.messages import MessageId, RoomSignal
from domain.pacing import (
    Admission,
    Beginning,
    Begun,
    BucketView,
    LaneVerb,
    Learned,
    Pace,
    Permit,
    Release,
    RoomRules,
    Waiting,
)
from domain.ports import RoomCold, RoomUnavailable
from infra import tracing
from infra.redis.client import PREFIX

# How long a waiting message's trace is remembered: longer, and only the trace is cut in two.
TRACE_SECONDS = 86_400
BATCH = 1_000  # messages in one script call, which is a few milliseconds of Redis
SCRIPTS = ("admit", "release", "begin", "done", "lane", "remove", "place", "view", "beat")

T = TypeVar("T")
Argument = str | int | float
Restored = tuple[Pace, Learned, Sequence[Waiting]]


class RedisWaitingRoom:
    """One room per prefix, shared by every process; thread-safe except `wait_for_wake` and `beat`,
    which belong to the pacer's one thread. `now_ms` replaces Redis TIME in tests."""

    def __init__(
        self,
        client: Redis,
        rules: RoomRules,
        *,
        prefix: str = PREFIX,
        now_ms: Callable[[], float] = lambda: 0,
    ) -> None:
        self._client: Any = client  # the driver's types mix its asyncio half into every answer
        self._prefix = prefix
        self._keys = [prefix]
        self._now_ms = now_ms
        self._scripts = {
            name: client.register_script(text) for name, text in _script_texts(rules).items()
        }
        self._wakes: PubSub | None = None
        self._last_beat: list[str] = ["", "0"]

    def admit(self, pace: Pace, waiting: Sequence[Waiting], *, go: bool = False) -> Admission:
        permit, estimates = None, {}
        for arguments in _admissions(pace, waiting, go=go):
            message_id, lease, *pairs = self._run("admit", *arguments)
            if message_id:
                permit = Permit(pace.connection_id, MessageId(int(message_id)), lease)
            for waiting_id, estimate in zip(pairs[::2], pairs[1::2], strict=True):
                estimates[MessageId(int(waiting_id))] = float(estimate)
        self._remember_trace(estimates)
        return Admission(permit, estimates)

    def release(self, limit: int) -> Release:
        now, due, *fields = self._run("release", limit)
        permits = [
            Permit(ConnectionId(int(connection_id)), MessageId(int(message_id)), lease)
            for connection_id, message_id, lease in zip(*[iter(fields)] * 3, strict=True)
        ]
        permits = self._with_traces(permits)
        return Release(permits, max(0, float(due) - float(now)) if due else None)

    def begin(self, permit: Permit) -> Begun:
        status, slot, now, interval = self._run("begin", *_fields(permit))
        return Begun(Beginning(status), float(slot), float(now), float(interval))

    def done(
        self,
        permit: Permit,
        signal: RoomSignal | None,
        *,
        put_back: bool = False,
        retry_after: timedelta | None = None,
    ) -> Learned:
        wait_ms = retry_after.total_seconds() * 1000 if retry_after else 0
        reply = self._run("done", signal or "", int(put_back), wait_ms, *_fields(permit))
        if not reply:
            return Learned()
        slowdown, failures, blocked_until, changed = reply
        return Learned(int(slowdown), int(failures), float(blocked_until), changed == "1")

    def give_back(self, permits: Sequence[Permit]) -> None:
        fields = [field for permit in permits for field in _fields(permit)]
        self._run("done", "", 1, 0, *fields)

    def remove(self, connection_id: ConnectionId, waiting: Waiting) -> bool:
        return self._run("remove", connection_id, _lane(waiting), waiting.message_id) == ["1"]

    def lane(self, connection_id: ConnectionId, campaign_id: CampaignId, verb: LaneVerb) -> int:
        return int(self._run("lane", connection_id, campaign_id, verb)[0])

    def place(self, connection_id: ConnectionId, waiting: Waiting) -> tuple[int, float] | None:
        reply = self._run("place", connection_id, _lane(waiting), waiting.message_id)
        return (int(reply[0]), float(reply[1])) if reply else None

    def view(self, connection_ids: Sequence[ConnectionId]) -> Sequence[BucketView]:
        now, *rows = self._run("view", *connection_ids)
        return [
            _view(connection_id, float(now), row)
            for connection_id, row in zip(connection_ids, rows, strict=True)
        ]

    def cold(self) -> bool:
        with _named_errors(self._client):
            return not self._client.exists(f"{self._prefix}epoch")

    def beat(self) -> None:
        """Count one more second; raises RoomCold when the count went back, which means that Redis
        lost writes and that its slots cannot be trusted any more."""
        self._last_beat = self._run("beat", *self._last_beat)

    def wait_for_wake(self, timeout_seconds: float) -> bool:
        """Sleep until something became due sooner than `release` said, at most `timeout_seconds`;
        True when woken. The first call only begins to listen. Never raises."""
        deadline = time.monotonic() + timeout_seconds
        try:
            if self._wakes is None:
                self._wakes = self._client.pubsub(ignore_subscribe_messages=True)
                self._wakes.subscribe(f"{self._prefix}wake")
                self._wakes.get_message(timeout=timeout_seconds)
                return True
            woken = self._wakes.get_message(timeout=timeout_seconds)
            while self._wakes.get_message(timeout=0):
                pass  # several wakes are one
            return woken is not None
        except RedisError:
            self._forget_wakes()
            time.sleep(max(0, deadline - time.monotonic()))
            return False

    def rebuild(self, rows: Iterable[Restored]) -> int:
        started = self._call("rebuild", "start", uuid4().hex)
        if not started:
            return 0
        ticket = started[0]
        try:
            self._wipe(ticket)
            count = self._restore(rows, ticket)
            self._call("rebuild", "open", ticket)
        except BaseException:
            with suppress(RoomUnavailable):
                self._call("rebuild", "abandon", ticket)
            raise
        return count

    def _remember_trace(self, waiting: Iterable[MessageId]) -> None:
        """The trace around us goes on when the message is released, in another process."""
        traceparent = tracing.traceparent()
        if not traceparent:
            return
        with suppress(RedisError), self._client.pipeline(transaction=False) as pipe:
            for message_id in waiting:
                pipe.set(self._trace_key(message_id), traceparent, ex=TRACE_SECONDS)
            pipe.execute()

    def _with_traces(self, permits: list[Permit]) -> list[Permit]:
        if not permits or not tracing.is_on():
            return permits
        with suppress(RedisError):
            found = self._client.mget([self._trace_key(one.message_id) for one in permits])
            return [
                replace(one, traceparent=traceparent or "")
                for one, traceparent in zip(permits, found, strict=True)
            ]
        return permits

    def _trace_key(self, message_id: MessageId) -> str:
        return f"{self._prefix}trace:{message_id}"

    def _wipe(self, ticket: str) -> None:
        """Remove what an older epoch left, all but the lock itself."""
        with _named_errors(self._client):
            found = self._client.scan_iter(match=f"{self._prefix}*", count=BATCH)
            keys = [str(key) for key in found if key != f"{self._prefix}building"]
        for chunk in _chunks(keys):
            self._call("rebuild", "wipe", ticket, *chunk)

    def _restore(self, rows: Iterable[Restored], ticket: str) -> int:
        """Admit everything under the lock, about a batch of messages per round trip."""
        total = pending = 0
        with _named_errors(self._client), self._client.pipeline(transaction=False) as pipe:
            for pace, learned, waiting in rows:
                if not waiting and learned == Learned():
                    continue  # an unknown bucket says the same
                for arguments in _admissions(pace, waiting, learned=learned):
                    self._scripts["admit"](self._keys, [self._now(), ticket, *arguments], pipe)
                total += len(waiting)
                pending += 1 + len(waiting)
                if pending >= BATCH:
                    _refuse_cold(pipe.execute())
                    pending = 0
            _refuse_cold(pipe.execute())
        return total

    def _run(self, name: str, *arguments: Argument) -> list[Any]:
        return self._call(name, "", *arguments)

    def _call(self, name: str, second: str, *arguments: Argument) -> list[Any]:
        """Run a script; ARGV[2] is empty except for a rebuild."""
        with _named_errors(self._client):
            reply: list[Any] = self._scripts[name](self._keys, [self._now(), second, *arguments])
        _refuse_cold([reply])
        return reply

    def _now(self) -> str:
        return repr(self._now_ms())

    def _forget_wakes(self) -> None:
        if self._wakes:
            with suppress(RedisError):
                self._wakes.close()
        self._wakes = None


@contextmanager
def _named_errors(client: Any) -> Iterator[None]:
    try:
        yield
    except RedisError as problem:
        if isinstance(problem, ReadOnlyError):
            # A failover made this server a replica: new connections will find the new primary.
            client.connection_pool.disconnect()
        raise RoomUnavailable(f"{type(problem).__name__}: {problem}") from problem


def _refuse_cold(replies: Iterable[Sequence[str]]) -> None:
    if any(reply[:1] == ["COLD"] for reply in replies):
        raise RoomCold("the waiting room must be rebuilt first")


def _script_texts(rules: RoomRules) -> dict[str, str]:
    """Every script with its prelude, the room's numbers in front."""
    folder = Path(__file__).parent
    clock, room = (folder / "clock.lua").read_text(), (folder / "room.lua").read_text()
    numbers = (
        "local LEAD, PERMIT_LEASE, SEND_LEASE, DEFAULT_BASE, DEFAULT_BURST = "
        f"{rules.lead_ms!r}, {rules.permit_lease_ms!r}, {rules.send_lease_ms!r}, "
        f"{rules.interval_ms!r}, {rules.burst}\n"
    )
    texts = {
        name: f"{numbers}{clock}\n{room}\n" + (folder / f"{name}.lua").read_text()
        for name in SCRIPTS
    }
    return {**texts, "rebuild": f"{clock}\n" + (folder / "rebuild.lua").read_text()}


def _admissions(
    pace: Pace, waiting: Sequence[Waiting], *, go: bool = False, learned: Learned | None = None
) -> Iterator[list[Argument]]:
    """The arguments of `admit`, a batch at a time in id order; only the last one may go."""
    oldest_first = sorted(waiting, key=lambda one: one.message_id)
    chunks = list(_chunks(oldest_first)) or [[]]
    kept = learned or Learned()
    for number, chunk in enumerate(chunks, start=1):
        arguments: list[Argument] = [
            pace.connection_id,
            repr(pace.interval_ms),
            pace.burst,
            int(pace.paused),
            int(go and number == len(chunks)),
            kept.slowdown,
            kept.failures,
            repr(kept.blocked_until_ms),
        ]
        for one in chunk:
            arguments += (one.campaign_id or 0, one.priority, one.message_id)
        yield arguments


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))


def _lane(waiting: Waiting) -> str:
    return f"{waiting.campaign_id or 0}:{waiting.priority}"


def _fields(permit: Permit) -> tuple[int, int, str]:
    return permit.connection_id, permit.message_id, permit.lease


def _view(connection_id: ConnectionId, now: float, row: Sequence[str]) -> BucketView:
    next_free, full_at, interval, burst, paused, slowdown, failures, blocked, *rest = row
    permits, in_flight, passed_over = (int(field) for field in rest[:3])
    waiting = {priority: int(count) for priority, count in enumerate(rest[3:13], start=1)}
    return BucketView(
        connection_id=connection_id,
        now_ms=now,
        next_free_ms=float(next_free),
        full_at_ms=float(full_at),
        interval_ms=float(interval),
        burst=int(burst),
        paused=paused == "1",
        slowdown=int(slowdown),
        failures=int(failures),
        blocked_until_ms=float(blocked),
        waiting={priority: count for priority, count in waiting.items() if count},
        permits_out=permits,
        in_flight=in_flight,
        begun=frozenset(MessageId(int(message_id)) for message_id in rest[13:]),
        passed_over=passed_over,
    )

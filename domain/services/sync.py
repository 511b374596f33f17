"""The periodic synchronisation: what webhooks missed is found in the platform's own lists.

A run reads a page, closes the call, applies the page's facts in one transaction with the marks that
say so, and reads the next. Facts may come twice, so a crash anywhere costs a page at most.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Protocol, TypeVar

from domain.connections import Connection, ConnectionId, ConnectionState
from domain.errors import Conflict, NotFound
from domain.events import Event, SyncDue
from domain.inbound import Fact, MessageSeen
from domain.messages import RULES, Outcome
from domain.ports import (
    Chat,
    Journal,
    Listed,
    PlatformAccounts,
    PlatformMessage,
    PlatformRefused,
    PlatformUnavailable,
    RoomUnavailable,
    WaitingRoom,
)
from domain.repositories import OpenUnitOfWork, SyncLease, UnitOfWork
from domain.services.rules import SendingRules
from domain.sync import ChatMarks, FanMarks, MoneyMarks, instant
from domain.users import Caller, Permission

SWEEP_LIMIT = 100
CALL = timedelta(seconds=10)
# A run ends after so many calls or seconds, whatever is left, and the next goes on.
RUN_CALLS, RUN_SECONDS = 60, 60.0
LEASE = timedelta(seconds=110)
# Paused by hand is only about sending.
READABLE = frozenset({ConnectionState.ACTIVE, ConnectionState.PAUSED})
BACKOFF, BACKOFF_MAX = timedelta(seconds=30), timedelta(hours=1)


class AppliedFacts(Protocol):
    """What became of some facts."""

    @property
    def waits(self) -> Sequence[Fact]:
        """Those that are to be told again later: a send may still claim them."""
        ...


class Facts(Protocol):
    """Who makes rows of facts (services.inbound)."""

    def apply(
        self, work: UnitOfWork, connection: Connection, facts: Sequence[Fact], now: datetime
    ) -> AppliedFacts:
        """Apply facts inside the caller's transaction; repeating them changes nothing."""
        ...


class Marks(Protocol):
    """How far one list was read."""

    def as_json(self) -> dict[str, Any]: ...


M = TypeVar("M", bound=Marks)


class _Stopped(Exception):
    """The lease is lost, or the connection may no longer be read."""


@dataclass
class _Run:
    """One run: its lease, its limits, and what it did."""

    lease: SyncLease
    ends_at: float
    calls: int = 0
    facts: int = 0
    skipped: int = 0
    error: str | None = None
    marks: dict[str, Any] = field(default_factory=dict)

    def goes_on(self) -> bool:
        return self.calls < RUN_CALLS and monotonic() < self.ends_at


class SyncService:
    """The use cases of synchronising."""

    def __init__(
        self,
        open_unit_of_work: OpenUnitOfWork,
        *,
        accounts: PlatformAccounts,
        inbound: Facts,
        room: WaitingRoom,
        rules: SendingRules,
        journal: Journal,
        every: timedelta = timedelta(minutes=5),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._open = open_unit_of_work
        self._accounts = accounts
        self._inbound = inbound
        self._room = room
        self._rules = rules
        self._journal = journal
        self._every = every
        self._now = now

    def ask(self, caller: Caller, connection_id: ConnectionId) -> None:
        """Synchronise a connection soon, its list of fans included. Raises NotFound, Conflict (it
        cannot be read: disconnected, paused_auth, paused_quota)."""
        caller.require(Permission.MANAGE)
        with self._open() as work:
            connection = work.connections.get(caller.owner_id, connection_id)
            if connection is None:
                raise NotFound(f"no connection {connection_id}")
            if connection.state not in READABLE:
                raise Conflict(
                    f"it is {connection.state}: connect or resume it first",
                    code=str(connection.state),
                )
            work.sync.ask(connection_id)
            work.audit.add(caller, "connection.sync_asked", "connection", connection_id)
            work.emit(_due(connection_id))
            work.commit()

    def announce_due(self) -> int:
        """Emit what is due, at most SWEEP_LIMIT; a lost event is announced again in a minute."""
        with self._open() as work:
            due = work.sync.due(SWEEP_LIMIT)
            for connection_id in due:
                work.emit(_due(connection_id))
            work.commit()
        return len(due)

    def run(self, connection_id: ConnectionId) -> bool:
        """Synchronise a connection that is due, as far as one run may go; False when it is not due
        or somebody else does it. Raises Unavailable while PostgreSQL is away."""
        with self._open() as work:
            lease = work.sync.begin(connection_id, LEASE)
            work.commit()
        if lease is None:
            return False
        run = _Run(lease, monotonic() + RUN_SECONDS, marks=dict(lease.marks))
        with contextlib.suppress(_Stopped):
            self._finish(run, self._read(run))
        self._journal.note(
            "connection_synced",
            connectionId=connection_id,
            calls=run.calls,
            facts=run.facts,
            skipped=run.skipped,
            failed=run.error is not None,
        )
        return True

    def _read(self, run: _Run) -> timedelta:
        """Read all three lists; returns when to go on. A run that its limits end is followed by
        one that begins with the next list, so that a long one does not hold up the others."""
        failures, turn = int(run.marks.get("failures") or 0), int(run.marks.get("turn") or 0)
        parts = (self._chats, self._money, self._fans)
        for number in range(turn, turn + len(parts)):
            try:
                if not parts[number % len(parts)](run):
                    run.marks["turn"] = (number + 1) % len(parts)
                    return timedelta(0)
            except PlatformUnavailable:
                run.error = "the platform's gateway does not answer"
                run.marks["failures"] = failures + 1
                return backoff(failures)
            except PlatformRefused as refusal:
                run.error = refusal.detail
                if RULES[refusal.outcome].pauses:
                    self._pause(run, refusal)
                    return self._every
                if refusal.outcome is Outcome.RATE_LIMITED:
                    return max(refusal.retry_after or BACKOFF, BACKOFF)
        run.marks |= {"failures": 0, "turn": 0}
        return self._every

    # Chats

    def _chats(self, run: _Run) -> bool:
        """Whether the pass is through."""
        now, marks = self._now(), ChatMarks.of(run.marks)
        while run.goes_on():
            page = self._call(run, self._accounts.chats(run.lease.account, marks.page, CALL))
            newest = max((_last_at(chat) for chat in page.items), default=None)
            if marks.top is None and newest is not None:
                marks = replace(marks, top=newest.isoformat())
            held = self._held(run, page)
            for chat in page.items:
                if chat.fan.platform_user_id in marks.read or chat.last_message is None:
                    continue
                if _is_new(chat, marks, held, marks.stop_at(now)):
                    marks, is_through = self._chat(run, marks, chat, marks.floor(now))
                    if not is_through:
                        return False
                else:
                    marks = self._look(run, marks, chat)
            is_last = page.next_mark is None or newest is None or newest < marks.stop_at(now)
            marks = marks.passed() if is_last else replace(marks, page=page.next_mark, read=())
            self._apply(run, (), marks)
            if is_last:
                return True
        return False

    def _held(self, run: _Run, page: Listed[Chat]) -> frozenset[str]:
        """The last messages of these chats that we hold."""
        ids = [chat.last_message.id for chat in page.items if chat.last_message]
        with self._open() as work:
            return work.queue.holds_platform_id(run.lease.connection.id, ids)

    def _chat(
        self, run: _Run, marks: ChatMarks, chat: Chat, floor: datetime
    ) -> tuple[ChatMarks, bool]:
        """Read one chat down to `floor`, a page at a time; whether it is through."""
        fan_id, last = chat.fan.platform_user_id, chat.last_message
        assert last is not None
        mark = marks.mark if marks.at == fan_id else None
        believed = _is_believed(chat, marks)
        while run.goes_on():
            page = self._call(run, self._accounts.messages(run.lease.account, fan_id, mark, CALL))
            new = [one for one in page.items if one.created_at > floor or one.id == last.id]
            is_through = page.next_mark is None or len(new) < len(page.items)
            if is_through:
                marks = marks.chat_read(fan_id, last.id)
            else:
                marks = replace(marks, at=fan_id, mark=page.next_mark)
            facts: list[Fact] = [chat.fan, *(_seen(chat, one) for one in reversed(new))]
            read = chat if is_through and believed else None
            marks = self._apply(run, facts, marks, read, lambda m: m.must_return(fan_id))
            if is_through:
                return marks, True
            mark = page.next_mark
        return marks, False

    def _look(self, run: _Run, marks: ChatMarks, chat: Chat) -> ChatMarks:
        """A chat with nothing new may have been read on the platform."""
        assert chat.last_message is not None
        was_listed = marks.listed.get(chat.fan.platform_user_id) == chat.last_message.id
        if was_listed and chat.unread_count and not marks.keeps_unread:
            marks = replace(marks, keeps_unread=True)
        if _is_believed(chat, marks):
            self._apply(run, (), marks, chat)
        return marks

    # Money and fans

    def _money(self, run: _Run) -> bool:
        marks = MoneyMarks.of(run.marks).begin(self._now())
        since = instant(marks.since)
        assert since is not None
        while run.goes_on():
            page = self._call(
                run, self._accounts.transactions(run.lease.account, since, marks.page, CALL)
            )
            is_last = page.next_mark is None
            if is_last:
                marks = MoneyMarks(done_to=marks.top, looked_back_at=marks.looked_back_at)
            else:
                marks = replace(marks, page=page.next_mark)
            self._apply(run, tuple(reversed(page.items)), marks)
            if is_last:
                return True
        return False

    def _fans(self, run: _Run) -> bool:
        now, marks = self._now(), FanMarks.of(run.marks)
        if not marks.is_due(now, instant(run.marks.get("asked_at"))):
            return True
        marks = replace(marks, began_at=marks.began_at or now.isoformat())
        while run.goes_on():
            page = self._call(run, self._accounts.fans(run.lease.account, marks.page, CALL))
            is_last = page.next_mark is None
            if is_last:
                marks = FanMarks(done_at=marks.began_at)
            else:
                marks = replace(marks, page=page.next_mark)
            self._apply(run, page.items, marks)
            if is_last:
                return True
        return False

    # Writing

    @staticmethod
    def _call(run: _Run, page: Listed[Any]) -> Listed[Any]:
        run.calls += 1
        run.skipped += page.skipped
        return page

    def _apply(
        self,
        run: _Run,
        facts: Sequence[Fact],
        marks: M,
        read: Chat | None = None,
        if_waits: Callable[[M], M] | None = None,
    ) -> M:
        """Make rows of a page, and say how far that is: both or neither. Facts that must be told
        again change the marks by `if_waits`. Raises _Stopped."""
        with self._open() as work:
            connection = work.connections.lock(run.lease.connection.id)
            if connection.state not in READABLE:
                raise _Stopped
            if facts and self._inbound.apply(work, connection, facts, self._now()).waits:
                marks = if_waits(marks) if if_waits else marks
            if read is not None and read.last_message is not None:
                work.sync.read_elsewhere(
                    connection.id,
                    read.fan.platform_user_id,
                    read.last_message.created_at,
                    read.unread_count,
                )
            if not work.sync.save(run.lease, marks.as_json()):
                raise _Stopped
            work.commit()
        run.marks |= marks.as_json()
        run.facts += len(facts)
        return marks

    def _pause(self, run: _Run, refusal: PlatformRefused) -> None:
        """As a delivery does when the account's session or the credits are gone."""
        state = RULES[refusal.outcome].pauses
        assert state is not None
        with self._open() as work:
            connection = work.connections.lock(run.lease.connection.id)
            if connection.state in READABLE:
                work.connections.set_state(connection.id, state, refusal.detail)
            work.commit()
            paused = work.connections.by_id(connection.id)
        if paused is not None:
            with contextlib.suppress(RoomUnavailable):
                self._room.admit(self._rules.pace(paused), [])

    def _finish(self, run: _Run, again_in: timedelta) -> None:
        with self._open() as work:
            kept = {name: run.marks.get(name) or 0 for name in ("failures", "turn")}
            work.sync.save(run.lease, kept)
            work.sync.finish(run.lease, again_in, run.error)
            work.commit()


def _due(connection_id: ConnectionId) -> Event:
    return Event(SyncDue(connection_id=connection_id), group=str(connection_id))


def backoff(failures: int) -> timedelta:
    """How long to rest after so many failures in a row, and one more."""
    return min(timedelta(seconds=30 * 2 ** min(failures, 7)), BACKOFF_MAX)


def _last_at(chat: Chat) -> datetime:
    return chat.last_message.created_at if chat.last_message else datetime.min.replace(tzinfo=UTC)


def _is_new(chat: Chat, marks: ChatMarks, held: frozenset[str], stop_at: datetime) -> bool:
    """Whether the chat may hold something that we do not."""
    assert chat.last_message is not None
    if marks.listed.get(chat.fan.platform_user_id) == chat.last_message.id:
        return False
    return chat.last_message.id not in held or chat.last_message.created_at >= stop_at


def _is_believed(chat: Chat, marks: ChatMarks) -> bool:
    """Whether the platform's unread count is the creator's doing, not that of our listing."""
    assert chat.last_message is not None
    was_listed = marks.listed.get(chat.fan.platform_user_id) == chat.last_message.id
    return marks.keeps_unread or not was_listed


def _seen(chat: Chat, message: PlatformMessage) -> MessageSeen:
    return MessageSeen(
        fan=chat.fan,
        platform_message_id=message.id,
        from_us=message.from_us,
        text=message.text,
        price_cents=message.price_cents,
        attachments=message.attachments,
        created_at=message.created_at,
        is_opened=message.is_opened,
    )

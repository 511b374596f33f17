"""What comes in from the platform: webhooks are stored raw once, then made into rows by a worker.

Twice, late and out of order must not matter: a fact is applied as a rule over what is known, never
as a step. One connection's facts are applied one after another, under its lock."""

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from domain.connections import Connection, ConnectionId, ConnectionState
from domain.errors import Conflict, NotFound, Unavailable
from domain.events import Event, PlatformEventReceived
from domain.fans import FanId
from domain.inbound import (
    AccountChanged,
    Fact,
    FanSeen,
    MessageDeleted,
    MessagePurchased,
    MessageSeen,
    MoneyMoved,
)
from domain.messages import Message
from domain.money import Source
from domain.paging import Page
from domain.ports import (
    EventReader,
    Journal,
    PlatformMessage,
    RoomUnavailable,
    Unreadable,
    WaitingRoom,
)
from domain.repositories import (
    NewPlatformEvent,
    Once,
    OpenUnitOfWork,
    PlatformEvent,
    UnitOfWork,
)
from domain.services.inbound_fans import fan_of, known, people, was_erased
from domain.services.inbound_messages import (
    match_purchases,
    message_deleted,
    message_purchased,
    message_seen,
    platform_message,
)
from domain.services.rules import SendingRules
from domain.users import Caller, Permission

SWEEP_LIMIT = 500
# How long `messages.sent` waits for the answer to the send that it may belong to.
WAITS = (timedelta(seconds=5), timedelta(seconds=30), timedelta(seconds=120))
# By then any send of ours has its answer: what no row holds was sent elsewhere.
ANSWERED_AFTER = timedelta(minutes=5)
# An event that fails for a reason of ours is tried this often, then left for a person.
TRIES_MAX = 8
BODIES_KEPT = timedelta(days=30)


@dataclass(frozen=True)
class Applied:
    """What became of some facts: those that wait, about whom, and whether the account's state
    changed (then the waiting room is told after the commit)."""

    waits: Sequence[Fact] = ()
    fan_id: FanId | None = None
    state_changed: bool = False


@dataclass
class _Applying:
    """The facts of one transaction."""

    work: UnitOfWork
    connection: Connection
    now: datetime
    source: Source
    is_final: bool
    others: Sequence[MessageSeen] = ()
    waits: list[Fact] = field(default_factory=list)
    fan_id: FanId | None = None
    state_changed: bool = False


class InboundService:
    """The use cases of what the platform tells."""

    def __init__(
        self,
        open_unit_of_work: OpenUnitOfWork,
        *,
        reader: EventReader,
        room: WaitingRoom,
        rules: SendingRules,
        journal: Journal,
    ) -> None:
        self._open = open_unit_of_work
        self._reader = reader
        self._room = room
        self._rules = rules
        self._journal = journal

    # Receiving

    def genuine(self, body: bytes, signature: str | None) -> bool:
        """Whether the platform signed exactly these bytes; False for all without a secret."""
        return self._reader.genuine(body, signature)

    def receive(self, body: bytes, key: str | None, redelivery_of: str | None) -> int | None:
        """Store a genuine webhook once and announce it; None when there is nothing to store: known
        already, or of the moment only. Raises Invalid and Unavailable."""
        envelope = self._reader.envelope(body)
        if key is None and envelope.is_ephemeral:
            return None
        with self._open() as work:
            connection = work.platform_events.connection(envelope.account_id)
            connection_id = connection.id if connection else None
            new = NewPlatformEvent(
                key=key or f"sha256:{hashlib.sha256(body).hexdigest()}",
                account_id=envelope.account_id,
                event=envelope.event,
                body=body.decode(),
                redelivery_of=redelivery_of,
                connection_id=connection_id,
            )
            event_id = work.platform_events.add(new, self._rules.wake_after)
            if event_id is not None:
                work.emit(received(event_id, connection_id))
            work.commit()
        return event_id

    # Handling

    def handle(self, event_id: int, now: datetime) -> str | None:
        """Make rows of a stored event; returns its outcome, or None when it waits, was handled, or
        is being handled. Raises Unavailable: the event is then handled later."""
        try:
            outcome, applied, connection = self._handle(event_id, now)
        except Unavailable:
            raise
        except Exception as problem:  # noqa: BLE001  # one bad event must not stop the others
            return self._failed(event_id, problem)
        if connection is not None:
            self.tell_room(connection.id, applied)
        if outcome == "unreadable":
            self._journal.alert("platform_event_unreadable", eventId=event_id)
        elif outcome is not None:
            self._journal.note("platform_event_handled", eventId=event_id, outcome=outcome)
        return outcome

    def _handle(
        self, event_id: int, now: datetime
    ) -> tuple[str | None, Applied, Connection | None]:
        with self._open() as work:
            account_id = work.platform_events.account_of(event_id)
            connection = work.platform_events.connection(account_id) if account_id else None
            if connection is not None:
                # Before the event: erasing a fan empties its events under the connection's lock.
                work.connections.lock(connection.id)
            event = work.platform_events.take(event_id)
            if event is None:
                return None, Applied(), None
            outcome, applied = "no_connection", Applied()
            if connection is not None:
                outcome, applied = self._read(work, event, connection, now)
            connection_id = connection.id if connection else None
            if applied.waits:
                wait = WAITS[min(event.wake_tries, len(WAITS) - 1)]
                work.platform_events.wait(event_id, applied.fan_id, wait)
                work.commit()
                return None, applied, connection
            work.platform_events.finish(event_id, outcome, connection_id, applied.fan_id)
            work.commit()
        return outcome, applied, connection

    def _read(
        self, work: UnitOfWork, event: PlatformEvent, connection: Connection, now: datetime
    ) -> tuple[str, Applied]:
        if not event.body:
            return "ignored", Applied()  # Its fan was erased meanwhile.
        try:
            facts = self._facts(work, event)
        except Unreadable:
            return "unreadable", Applied()
        if not facts:
            return "ignored", Applied()
        is_final = event.wake_tries >= len(WAITS)
        return "handled", self.apply(
            work, connection, facts, now, source=Source.WEBHOOK, is_final=is_final
        )

    def _facts(self, work: UnitOfWork, event: PlatformEvent) -> Sequence[Fact]:
        told_at = work.platform_events.told_at(event)
        return self._reader.facts(event.event, event.body, told_at)

    def _failed(self, event_id: int, problem: Exception) -> str | None:
        """Look at it again later, a few times; then a person must."""
        with self._open() as work:
            event = work.platform_events.take(event_id)
            gone = event is not None and event.wake_tries + 1 >= TRIES_MAX
            if event is not None and gone:
                work.platform_events.finish(event_id, "failed", event.connection_id)
            elif event is not None:
                work.platform_events.wait(event_id, None, timedelta(seconds=2**event.wake_tries))
            work.commit()
        self._journal.alert(
            "platform_event_failed", eventId=event_id, error=type(problem).__name__, final=gone
        )
        return "failed" if gone else None

    # Applying: also what the periodic sync calls

    def apply(
        self,
        work: UnitOfWork,
        connection: Connection,
        facts: Sequence[Fact],
        now: datetime,
        *,
        source: Source = Source.SYNC,
        is_final: bool = False,
    ) -> Applied:
        """Make rows of facts, in the caller's transaction. A message of ours that no row holds is
        left alone while a send to that fan has no answer yet; ask again later, at last with
        `is_final`. After the commit call `tell_room`."""
        locked = work.connections.lock(connection.id)
        if len(facts) > 1:
            work.inbound.lock_fans(connection.id, people(facts))
        applying = _Applying(work, locked, now, source, is_final)
        for fact in facts:
            self._apply(applying, fact)
        return Applied(applying.waits, applying.fan_id, applying.state_changed)

    def _apply(self, to: _Applying, fact: Fact) -> None:
        work, connection, now = to.work, to.connection, to.now
        fan = None
        if isinstance(fact, FanSeen):
            fan = fan_of(work, connection, fact, now)
        elif isinstance(fact, MessageSeen):
            is_final = to.is_final or (
                to.source is Source.SYNC and fact.created_at < now - ANSWERED_AFTER
            )
            others = self._waiting(work, connection, fact) if is_final and fact.from_us else ()
            fan, found = message_seen(work, connection, fact, now, others=others, is_final=is_final)
            if not found:
                to.waits.append(fact)
        elif isinstance(fact, MessageDeleted):
            message_deleted(work, connection, fact, now)
        elif isinstance(fact, MessagePurchased):
            fan = message_purchased(work, connection, fact, now)
        elif isinstance(fact, MoneyMoved):
            self._money(to, fact)
        else:
            to.state_changed |= self._account(work, connection, fact, now)
        to.fan_id = fan.id if fan else to.fan_id

    def _money(self, to: _Applying, money: MoneyMoved) -> None:
        work, connection = to.work, to.connection
        fan = None
        who = money.platform_user_id
        if who and was_erased(work, connection, who, money.happened_at):
            # Its sums are kept, and whose they were is not told again.
            money = replace(money, description=None, platform_user_id=None, fan=None)
        elif money.fan is not None and money.fan.username:
            fan = fan_of(work, connection, money.fan, to.now)
        elif money.platform_user_id:
            # An id alone makes no fan: its money waits for one to be named.
            fan = known(work, connection, money.platform_user_id)
        stored = work.transactions.tell(
            connection, fan.id if fan else None, money, to.source, to.now
        )
        to.fan_id = stored.fan_id or to.fan_id
        if fan is not None and stored.type == "message":
            match_purchases(work, connection, fan, stored.gross_cents)

    @staticmethod
    def _account(
        work: UnitOfWork, connection: Connection, fact: AccountChanged, now: datetime
    ) -> bool:
        at = fact.told_at or now
        if at < work.platform_events.state_at(connection.id):
            return False
        changed = False
        if fact.state is not None and connection.state is ConnectionState.ACTIVE:
            changed = work.connections.set_state(connection.id, fact.state, fact.reason)
        elif fact.state is None and connection.state is ConnectionState.PAUSED_AUTH:
            changed = work.connections.set_state(connection.id, ConnectionState.ACTIVE, None)
        work.platform_events.account_told(connection.id, at)
        return changed

    def tell_room(self, connection_id: ConnectionId, applied: Applied) -> None:
        """After the commit: the waiting room hears of a changed state. It may miss it: the claim
        refuses whatever the row does not allow."""
        if not applied.state_changed:
            return
        with self._open() as work:
            connection = work.connections.by_id(connection_id)
        if connection is not None:
            with contextlib.suppress(RoomUnavailable):
                self._room.admit(self._rules.pace(connection), [])

    # Proofs

    def _waiting(
        self, work: UnitOfWork, connection: Connection, seen: MessageSeen
    ) -> Sequence[MessageSeen]:
        fan = known(work, connection, seen.fan.platform_user_id)
        return self._sent_events(work, fan.id) if fan else ()

    def proofs(self, work: UnitOfWork, message: Message) -> Sequence[PlatformMessage]:
        """Messages of ours that the platform told of, and that wait for their rows."""
        return [platform_message(one) for one in self._sent_events(work, message.fan_id)]

    def _sent_events(self, work: UnitOfWork, fan_id: FanId) -> Sequence[MessageSeen]:
        found: list[MessageSeen] = []
        for event in work.platform_events.waiting(fan_id):
            with contextlib.suppress(Unreadable):
                facts = self._facts(work, event)
                found += [one for one in facts if isinstance(one, MessageSeen) and one.from_us]
        return found

    # Looking after

    def wake_events(self) -> int:
        """Announce again what waits or was lost."""
        with self._open() as work:
            due = work.platform_events.due(SWEEP_LIMIT, self._rules.wake_after)
            for event_id, connection_id in due:
                work.emit(received(event_id, connection_id))
            work.commit()
        return len(due)

    def forget_bodies(self) -> int:
        """Empty what was handled a month ago: its rows say all that is needed."""
        with self._open() as work:
            count = work.platform_events.forget(BODIES_KEPT, SWEEP_LIMIT)
            work.commit()
        return count

    # Looking

    def list_events(
        self, caller: Caller, connection_id: ConnectionId | None, limit: int, cursor: str | None
    ) -> Page[PlatformEvent]:
        """The journal of what the platform told, newest first, without the bodies."""
        caller.require(Permission.MANAGE)
        with self._open() as work:
            return work.platform_events.page(caller.owner_id, connection_id, limit, cursor)

    def replay(
        self, caller: Caller, event_id: int, once: Once | None = None
    ) -> tuple[PlatformEvent, bool]:
        """Handle a stored event again, whatever became of it; True = an Idempotency-Key says that
        it was asked for before. Raises NotFound, and Conflict when its body was forgotten."""
        caller.require(Permission.MANAGE)
        with self._open() as work:
            replayed = once is not None and work.idempotency.claim(caller.user_id, once) is not None
            event = work.platform_events.lock(caller.owner_id, event_id)
            if event is None:
                raise NotFound("no such event")
            if replayed:
                return event, True
            if not event.body:
                raise Conflict(
                    "it was handled long ago and its body is no longer kept", code="event_forgotten"
                )
            work.platform_events.reopen(event_id, self._rules.wake_after)
            work.audit.add(caller, "event.replayed", "event", event_id, {"event": event.event})
            work.emit(received(event_id, event.connection_id))
            if once:
                work.idempotency.store(caller.user_id, once, str(event_id))
            reopened = work.platform_events.lock(caller.owner_id, event_id)
            work.commit()
        assert reopened is not None
        return reopened, False


def received(event_id: int, connection_id: ConnectionId | None) -> Event:
    """The event that wakes a worker for a stored webhook."""
    return Event(PlatformEventReceived(event_id=event_id), group=str(connection_id or 0))

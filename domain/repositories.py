"""Rows, as the domain needs them: one repository per kind, and the unit of work that holds them.

Each docstring is a contract: `tests/contract` runs one suite on PostgreSQL and on the fake."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, Self
from uuid import UUID

from domain.connections import Connection, ConnectionId, ConnectionState
from domain.conversations import ConversationId
from domain.events import Event
from domain.fans import Fan, FanId
from domain.messages import (
    Attempt,
    Claim,
    Delay,
    Message,
    MessageId,
    NewMessage,
    Outcome,
    PublicId,
    State,
)
from domain.pacing import (
    Learned,
    Waiting,
)
from domain.users import OwnerId, Role, User, UserId


@dataclass(frozen=True)
class Recipient:
    """A fan with what sending needs: the linked connection and the conversation (made if new)."""

    fan: Fan
    connection: Connection | None


@dataclass(frozen=True)
class Result:
    """What record writes about one attempt; instants are on the waiting room's clock."""

    outcome: Outcome
    slot_at: datetime | None = None
    interval_ms: float | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    http_status: int | None = None
    error_code: str | None = None
    detail: str | None = None
    platform_message_id: str | None = None


@dataclass(frozen=True)
class Unsettled:
    """An `unknown` message with its account's keys and its attempts, oldest first."""

    message: Message
    claim: Claim
    attempts: Sequence[Attempt]


@dataclass(frozen=True)
class StatusCounts:
    """One owner's messages, counted from rows; the day begins at `day_start`."""

    queued: int
    sending: int
    unknown: int
    dead_lettered: int
    last_sent_at: datetime | None
    queued_today: int
    sent_today: int
    failed_today: int


@dataclass(frozen=True)
class FanPage:
    """One page of fans."""

    fans: Sequence[Fan]
    total: int
    next_cursor: str | None


@dataclass(frozen=True)
class Once:
    """A caller's Idempotency-Key, with where it was used and a digest of the body."""

    key: str
    route: str
    fingerprint: str


class UserRepository(Protocol):
    """Accounts. Emails are compared without regard to case."""

    def by_email(self, email: str) -> tuple[User, str] | None:
        """The user and the password's hash."""
        ...

    def get(self, user_id: UserId) -> User | None: ...

    def add(
        self, email: str, password_hash: str, role: Role, owner_id: OwnerId | None, time_zone: str
    ) -> User:
        """Raises Conflict when the email is taken. Without `owner_id` the user owns itself."""
        ...


class ConnectionRepository(Protocol):
    """Connected accounts."""

    def get(self, owner_id: OwnerId, connection_id: ConnectionId) -> Connection | None: ...

    def by_id(self, connection_id: ConnectionId) -> Connection | None:
        """For workers, which act for nobody in particular."""
        ...

    def lock(self, connection_id: ConnectionId) -> Connection:
        """Until the transaction ends, nobody else is numbered, counted or promised."""
        ...

    def list_of(self, owner_id: OwnerId) -> Sequence[Connection]: ...

    def set_state(
        self, connection_id: ConnectionId, state: ConnectionState, reason: str | None
    ) -> bool:
        """Also stops the wake-ups of its queued rows, which are PAUSED from then on (not active),
        or makes them due (active). False when it already was in that state."""
        ...

    def learn(
        self, connection_id: ConnectionId, learned: Learned, reason: str | None, delay: Delay | None
    ) -> None:
        """Mirror what the waiting room learned of the platform's wishes; `delay` is why the rows
        that wait leave later."""
        ...

    def last_slot(self, connection_id: ConnectionId) -> datetime | None:
        """The latest slot in the ledger: the estimate's anchor while Redis is away."""
        ...


class FanRepository(Protocol):
    """Fans that are not deleted."""

    def recipient(self, owner_id: OwnerId, fan_id: FanId) -> Recipient | None: ...

    def page(self, owner_id: OwnerId, limit: int, cursor: str | None) -> FanPage:
        """Newest first; raises Invalid for a cursor that is none of ours."""
        ...

    def conversation(self, fan: Fan) -> ConversationId:
        """The fan's conversation, created when there is none; safe under concurrency."""
        ...


class MessageRepository(Protocol):
    """Messages, their claims and their ledger. Leases and wake-ups run on the database's clock."""

    def add(self, new: NewMessage, wake_in: timedelta) -> Message:
        """Store as queued and set the conversation's `last_message_at`. Raises Conflict when the
        public id exists."""
        ...

    def get(self, owner_id: OwnerId, public_id: UUID) -> Message | None: ...

    def by_public_id(self, public_id: UUID) -> Message | None:
        """For workers, which act for nobody in particular."""
        ...

    def lock(self, owner_id: OwnerId, public_id: UUID) -> Message | None:
        """Like get; the row stays as it is until the transaction ends."""
        ...

    def attempts(self, message_id: MessageId) -> Sequence[Attempt]: ...

    def claim(self, message_id: MessageId, lease: timedelta) -> Claim | None:
        """queued -> sending, if the row is not held and its connection and campaign are active;
        opens the attempt. None: somebody else has it, or it may not go."""
        ...

    def not_called(self, claim: Claim, wake_in: timedelta) -> bool:
        """sending -> queued under the fence, with RETRY as its delay unless it has one; the attempt
        is closed as NOT_CALLED."""
        ...

    def record(
        self,
        claim: Claim,
        result: Result,
        state: State,
        *,
        failures: int,
        key_no: int,
        delay: Delay | None,
        wake_in: timedelta | None,
    ) -> State | None:
        """Close the attempt and move the message, if the fence holds (state sending or unknown, and
        `attempt_no` still ours). Proof of SENT moves it from any state in PROVABLE whatever the
        fence says. Returns the new state, or None when only the ledger was written."""
        ...

    def move(
        self,
        message: Message,
        state: State,
        *,
        error_code: str | None = None,
        error_detail: str | None = None,
        delay: Delay | None = None,
        platform_message_id: str | None = None,
        sent_at: datetime | None = None,
        key_no: int | None = None,
        estimated_send_at: datetime | None = None,
        wake_in: timedelta | None = None,
    ) -> bool:
        """A change decided outside a call (cancel, retry, settle, queue_unavailable), if the row
        still is in `message.state` with `message.attempt_no`. To queued: admission and tries
        start anew, and after `failed` the failures too. Raises IllegalTransition."""
        ...

    def dead_letter(self, public_id: UUID) -> None:
        """Remember that a queue message about this row was given up."""
        ...

    def status(self, owner_id: OwnerId, day_start: datetime) -> StatusCounts: ...


class QueueRepository(Protocol):
    """Which messages wait, and which must be looked after."""

    def ahead(self, connection_id: ConnectionId, begun: frozenset[MessageId]) -> Mapping[int, int]:
        """Priority -> rows queued, or sending and not in `begun`: who goes before a new one."""
        ...

    def admissible(
        self, connection_id: ConnectionId, up_to: MessageId, limit: int
    ) -> Sequence[Waiting]:
        """The first direct rows, queued, not held and never admitted, with ids up to `up_to`, in id
        order."""
        ...

    def admitted(
        self,
        send_at: Mapping[MessageId, datetime | None],
        slack: timedelta,
        late: Delay = Delay.OVERTAKEN,
    ) -> None:
        """Mark rows as admitted. A known instant becomes the estimate (one later than promised
        keeps the row's recorded delay, else it is `late`) and the wake-up is `slack` after it;
        with None the estimate stays and the wake-up is `slack` from now."""
        ...

    def overtaken(self, connection_id: ConnectionId, priority: int, older_than: MessageId) -> None:
        """Less urgent queued rows that were promised a time leave later now, and say why."""
        ...

    def expire_leases(self, limit: int, grace: timedelta) -> int:
        """sending past the lease -> unknown, to be settled after `grace`."""
        ...

    def unsettled(self, limit: int) -> Sequence[Unsettled]:
        """unknown rows due for settling, on active connections; each is put off so that no second
        process takes it."""
        ...

    def twins(self, message: Message) -> int:
        """How many rows, this one included, look the same to the platform (same fan, text and
        price) and may have reached it: `sending`, `unknown`, or queued after an attempt."""
        ...

    def put_off(self, message_id: MessageId, wake_in: timedelta | None) -> None:
        """Look again later; None: not before a person acts."""
        ...

    def holds_platform_id(
        self, connection_id: ConnectionId, platform_ids: Sequence[str]
    ) -> frozenset[str]:
        """Those of the ids that some row of the connection already has."""
        ...

    def overdue(self, limit: int) -> Sequence[Message]:
        """queued rows of active connections whose wake-up is due, oldest first, not held; each is
        put off so that no second process takes it."""
        ...

    def refused(self, message_ids: Sequence[MessageId], wake_in: timedelta) -> None:
        """Their publish was refused: count a try and look again in `wake_in`."""
        ...

    def wake(self, message_ids: Sequence[MessageId], wake_in: timedelta) -> None:
        """Look at queued rows in `wake_in`, without counting a try."""
        ...

    def recovering(self) -> None:
        """Queued rows leave later than promised after a rebuild, and say why."""
        ...

    def waiting(self) -> Iterable[tuple[Connection, Sequence[Waiting]]]:
        """Every connection that is not disconnected with its queued, admitted or admissible rows in
        id order, streamed: what a rebuild admits."""
        ...


class IdempotencyRepository(Protocol):
    """Stored replies, kept 24 h."""

    def claim(self, user_id: UserId, once: Once) -> str | None:
        """Take the key in this transaction (None), or return the stored reply. Waits at most 2 s
        for a twin that is still running, then raises Conflict; raises Conflict, code
        `idempotency_key_reused`, when the key came with another body."""
        ...

    def store(self, user_id: UserId, once: Once, reply: str) -> None:
        """Keep the reply with the key, in the transaction of its effect."""
        ...

    def forget_old(self) -> int:
        """Delete keys older than 24 h."""
        ...


@dataclass(frozen=True)
class LedgerCall:
    """One call of the ledger: when it started, and how far away the next slot was put."""

    connection_id: ConnectionId
    burst: int | None
    started_at: datetime
    interval_ms: float


@dataclass(frozen=True)
class SentMessage:
    """A message that counts as sent, with what the platform should show of it."""

    public_id: PublicId
    claim: Claim
    platform_message_id: str | None
    sent_at: datetime


class LedgerRepository(Protocol):
    """What an audit reads; nothing here changes anything."""

    def calls(self, since: datetime) -> Iterable[LedgerCall]:
        """Every call made since, by connection and in the order of their start."""
        ...

    def stuck(self, since: datetime, overdue: timedelta) -> Sequence[PublicId]:
        """Accepted messages that nothing will move: queued on an active connection without a
        wake-up or overdue by that long, sending with a lease that ended that long ago, or sent
        without any attempt that proves it."""
        ...

    def doubles(self, since: datetime) -> Sequence[PublicId]:
        """Messages that the platform accepted under more than one id."""
        ...

    def promises(self, since: datetime) -> Iterable[tuple[datetime, datetime]]:
        """(promised, sent) of every message that nothing delayed."""
        ...

    def delayed(self, since: datetime) -> Mapping[Delay, int]:
        """How many sent messages have a recorded reason for being later than promised."""
        ...

    def sent(self, since: datetime) -> Iterable[SentMessage]:
        """Every message that counts as sent, by connection and fan."""
        ...


class UnitOfWork(AbstractContextManager["UnitOfWork"], Protocol):
    """One transaction: leaving the block without commit rolls back."""

    users: UserRepository
    connections: ConnectionRepository
    fans: FanRepository
    messages: MessageRepository
    queue: QueueRepository
    idempotency: IdempotencyRepository
    ledger: LedgerRepository

    def __enter__(self) -> Self: ...

    def emit(self, event: Event) -> None:
        """Publish after commit; a refused one sets its row's `wake_after` to one second."""
        ...

    def commit(self) -> None: ...


class OpenUnitOfWork(Protocol):
    """Makes units of work."""

    def __call__(self) -> UnitOfWork: ...

"""Outgoing messages: their claims, their ledger, and who waits."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from domain.connections import Connection, ConnectionId
from domain.messages import (
    Attempt,
    Claim,
    Delay,
    Message,
    MessageId,
    NewMessage,
    Outcome,
    State,
)
from domain.pacing import Waiting
from domain.users import OwnerId


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
class Doubtful:
    """A message that may be on the platform, with its attempts, oldest first."""

    message: Message
    attempts: Sequence[Attempt]


@dataclass(frozen=True)
class Unsettled(Doubtful):
    """An `unknown` message, with its account's keys."""

    claim: Claim


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


# What a person does not notice.
KEPT_WITHIN = timedelta(seconds=5)


@dataclass(frozen=True)
class PromiseReport:
    """How true the promised times were. A promise is kept when the message began no later than
    KEPT_WITHIN after it; the errors are seconds late, below zero for early, None without any."""

    kept: int
    late: int
    median_error: float | None
    p95_error: float | None


@dataclass(frozen=True)
class WaitingLine:
    """What waits at one connection, by lane; `due_at` is the
    earliest announced time among those that nothing but their turn holds back."""

    connection_id: ConnectionId
    direct: int
    campaigns: int
    oldest_at: datetime | None
    oldest_direct_at: datetime | None
    due_at: datetime | None


class MessageRepository(Protocol):
    """Messages, their claims and their ledger. Leases and wake-ups run on the database's clock."""

    def promise_report(self, owner_id: OwnerId, since: datetime) -> PromiseReport:
        """Of the messages whose first call began since then."""
        ...

    def waiting_lines(self, owner_id: OwnerId) -> Sequence[WaitingLine]:
        """One for each connection at which something waits."""
        ...

    def add(self, new: NewMessage, wake_in: timedelta) -> Message:
        """Store as queued, to be looked at in `wake_in`, and set the conversation's
        `last_message_at`. Raises Conflict when the public id exists."""
        ...

    def get(self, owner_id: OwnerId, public_id: UUID) -> Message | None: ...

    def by_public_id(self, public_id: UUID) -> Message | None:
        """For workers, which act for nobody in particular."""
        ...

    def lock(self, owner_id: OwnerId, public_id: UUID) -> Message | None:
        """Like get; the row stays as it is until the transaction ends."""
        ...

    def attempts(self, message_id: MessageId) -> Sequence[Attempt]: ...

    def claim(
        self, message_id: MessageId, lease: timedelta, *, cleared: bool = False
    ) -> Claim | None:
        """queued -> sending, if the row is not held, each of its attachments is in the vault, and
        its connection and campaign are active; opens the attempt. None: somebody else has it, or
        it may not go."""
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
        fence says; one that is `delivered` stays so. A row made from the platform's word about
        the same message becomes part of this one. Returns the new state, or None when only the
        ledger was written."""
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
        start anew, and after `failed` the failures too. To sent or delivered: with the platform's
        id, which a row made from the platform's word gives up. Raises IllegalTransition."""
        ...

    def dead_letter(self, message: UUID | MessageId, reason: str | None = None) -> None:
        """Remember that a queue message about this row was given up, and by which fault."""
        ...

    def status(self, owner_id: OwnerId, day_start: datetime) -> StatusCounts: ...

    def queued_count(self, owner_id: OwnerId) -> int:
        """`status(...).queued` alone, for a fraction of its cost."""
        ...


class QueueRepository(Protocol):
    """Which messages wait, and which must be looked after."""

    def unfinished(self, connection_id: ConnectionId) -> int:
        """How many of its messages wait, or are being sent."""
        ...

    def ahead(
        self,
        connection_id: ConnectionId,
        begun: frozenset[MessageId],
        before: tuple[int, MessageId] | None = None,
    ) -> Mapping[int, int]:
        """Priority -> rows queued, or sending and not in `begun`: who goes before a new one, or of
        this priority before the message with this id. What a campaign holds back is not counted."""
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
        """Those of the ids that some row of the connection already has as its own; a row made from
        the platform's word alone gives its id up to the message it turns out to be."""
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

"""Delivering a message: admit, claim, begin, call, record. The order is the exactly-once argument.

PostgreSQL decides whether a message may be sent (the claim), the waiting room only when (begin).
The row is `sending` before the call and the ledger holds the attempt, so a crash at any line leaves
either a queued row or an `unknown` one that `healing` settles. No transaction is open during the
call, and nothing here retries a call.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from domain.connections import ConnectionId
from domain.errors import Conflict, Unavailable
from domain.events import MessageRequested
from domain.messages import (
    RULES,
    Claim,
    Delay,
    MessageId,
    Outcome,
    State,
    next_state,
)
from domain.pacing import Beginning, LaneVerb, Permit, Waiting
from domain.ports import (
    Journal,
    Platform,
    RoomUnavailable,
    SendAnswer,
    SendRequest,
    WaitingRoom,
)
from domain.repositories import Lanes, OpenUnitOfWork, Result, UnitOfWork
from domain.services.bulk_limits import BulkLimitService
from domain.services.messages import MessageService
from domain.services.promises import estimates, instant
from domain.services.rules import SendingRules

T = TypeVar("T")

# A worker that wakes later than this after its slot gives the slot up: with 0.3 s of slack in a
# minute, a call this late could put an eleventh message into somebody's minute.
LATEST = 0.25
BEGIN_TRIES = 3
# Rows admitted in one script and one UPDATE.
ADMIT_BATCH = 1000
# Kept of the task's deadline for writing down what the call proved.
RECORDING = timedelta(seconds=2)
# While an earlier call with the same key runs, its answer is asked for again soon.
ASK_AGAIN = timedelta(seconds=5)

DELAYS: Mapping[Outcome, Delay] = {
    Outcome.RATE_LIMITED: Delay.RATE_LIMITED,
    Outcome.NOT_SENT: Delay.RETRY,
    Outcome.UNREACHABLE: Delay.BREAKER,
    Outcome.AUTH_LOST: Delay.PAUSED,
    Outcome.QUOTA_EXHAUSTED: Delay.PAUSED,
    Outcome.IN_PROGRESS: Delay.RETRY,
    Outcome.UNCLEAR: Delay.RETRY,
    Outcome.KEY_REJECTED: Delay.RETRY,
}


@dataclass(frozen=True)
class Slot:
    """The moment a call may start, and what clock it was read from (both Redis TIME, in ms)."""

    slot_ms: float
    start_ms: float
    interval_ms: float


@dataclass(frozen=True)
class Call:
    """One finished call."""

    slot: Slot
    answer: SendAnswer
    duration_ms: float


def _error_code(answer: SendAnswer, state: State) -> str | None:
    """The platform's word for it, except where our own count of its proofs decided."""
    if state is State.SENT:
        return None
    if state is State.FAILED and RULES[answer.outcome].counts:
        return answer.outcome
    return answer.error_code or answer.outcome


class DeliveryService:
    """What a worker does with MessageRequested and MessageReleased."""

    def __init__(
        self,
        open_unit_of_work: OpenUnitOfWork,
        *,
        room: WaitingRoom,
        platform: Platform,
        messages: MessageService,
        rules: SendingRules,
        journal: Journal,
        limits: BulkLimitService | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._open = open_unit_of_work
        self._room = room
        self._platform = platform
        self._messages = messages
        self._limits = limits
        self._rules = rules
        self._journal = journal
        self._monotonic = monotonic
        self._sleep = sleep

    def requested(self, payload: MessageRequested, now: datetime) -> None:
        """Admit every row of the message's connection up to its id, and deliver the head of the
        queue if it may go at once. Running it twice finds nothing left to do.

        Raises Invalid, NotFound or Conflict for another producer's message that breaks a rule."""
        with self._open() as work:
            message = work.messages.by_public_id(payload.message_id)
        if message is None:
            try:
                message = self._messages.accept_foreign(payload, now)
            except Conflict as problem:
                if problem.code != "message_exists":
                    raise
                return  # Its twin was faster and admits it.
        if not self._rules.enabled:
            return  # The row waits; once sending is on, healing finds its wake-up overdue.
        permit = self._admit(message.connection_id, message.id)
        if permit is not None:
            self.deliver(permit)

    def _admit(self, connection_id: ConnectionId, up_to: MessageId) -> Permit | None:
        permit: Permit | None = None
        while True:
            waiting, given = self._admit_batch(connection_id, up_to, go=permit is None)
            permit = permit or given
            if len(waiting) < ADMIT_BATCH:
                return permit

    def _admit_batch(
        self, connection_id: ConnectionId, up_to: MessageId, *, go: bool
    ) -> tuple[Sequence[Waiting], Permit | None]:
        """The rows admitted, and the permit of the head of the queue if it may go now."""
        with self._open() as work:
            connection = work.connections.by_id(connection_id)
            waiting = work.queue.admissible(connection_id, up_to, ADMIT_BATCH)
            if waiting:
                most_urgent = min(one.priority for one in waiting)
                work.queue.overtaken(connection_id, most_urgent, up_to)
                work.commit()
        if connection is None or not waiting:
            return [], None
        try:
            admission = self._room.admit(self._rules.pace(connection), waiting, go=go)
        except RoomUnavailable as problem:
            # The rebuild admits every queued row; until then nothing may leave anyway.
            self._journal.note("admission_postponed", reason=str(problem))
            return [], None
        going = admission.go.message_id if admission.go else None
        waits = [one for one in waiting if one.message_id != going]
        if waits:
            self._mark_admitted(estimates(admission, waits))
        return waiting, admission.go

    def _mark_admitted(self, send_at: Mapping[MessageId, datetime | None]) -> None:
        try:
            with self._open() as work:
                work.queue.admitted(send_at, self._rules.overdue_after)
                work.commit()
        except Unavailable as problem:
            # Their wake-up admits them again, which changes nothing; a permit must not be lost.
            self._journal.note("admission_unmarked", reason=str(problem))

    def deliver(self, permit: Permit) -> None:
        """Send the permit's message, unless it is no longer to be sent. A permit delivered twice
        finds the row claimed and ends."""
        if not self._rules.enabled:
            self._free(permit, put_back=True)
            return
        started = self._monotonic()
        patience = (self._rules.deadline - self._rules.platform_timeout).total_seconds()
        try:
            claim = self._patiently(lambda: self._claim(permit.message_id), started + patience)
        except Unavailable as problem:
            self._journal.note("claim_postponed", reason=str(problem))
            self._free(permit, put_back=True)
            return
        if claim is None or isinstance(claim, Lanes):
            if claim and self._limits:  # First the lanes: else it is handed out again at once.
                self._limits.tell_room(claim, LaneVerb.PAUSE)
            self._free(permit, put_back=claim is not None)
            return
        slot = self._begin(permit, claim)
        if slot is None:
            return
        call = self._call(claim, slot, until=started + self._rules.deadline.total_seconds())
        self._record(permit, claim, call, until=started + self._rules.deadline.total_seconds())

    def _claim(self, message_id: MessageId) -> Claim | Lanes | None:
        with self._open() as work:
            claim: Claim | Lanes | None = work.messages.claim(message_id, self._rules.lease)
            if claim is None and self._limits:
                claim = self._limits.claim(work, message_id, self._rules.lease)
            work.commit()
        return claim

    def _begin(self, permit: Permit, claim: Claim) -> Slot | None:
        """Take a slot and wait for it; None when the row went back to the queue instead."""
        for _ in range(BEGIN_TRIES):
            asked = self._monotonic()
            try:
                begun = self._room.begin(permit)
            except RoomUnavailable:
                self._not_called(claim, "room_unavailable")
                return None
            heard = self._monotonic()
            if begun.status is not Beginning.OK:
                self._not_called(claim, begun.status)
                return None
            ahead = (begun.slot_ms - begun.now_ms) / 1000
            # Redis read its clock between `asked` and `heard`: counting from `heard` is never
            # early, counting from `asked` never overlooks that we were frozen in between.
            self._sleep(max(0.0, heard + ahead - self._monotonic()))
            now = self._monotonic()
            if now - asked - ahead <= LATEST:
                return Slot(begun.slot_ms, begun.now_ms + (now - heard) * 1000, begun.interval_ms)
        self._not_called(claim, "too_late")
        self._free(permit, put_back=True)
        return None

    def _call(self, claim: Claim, slot: Slot, until: float) -> Call:
        called = self._monotonic()
        left = timedelta(seconds=until - called) - RECORDING
        answer = self._platform.send(
            SendRequest(
                account_id=claim.account_id,
                access_key=claim.access_key,
                platform_user_id=claim.platform_user_id,
                text=claim.text,
                price_cents=claim.price_cents,
                media_ids=claim.media_ids,
                send_key=claim.send_key,
            ),
            min(self._rules.platform_timeout, left),
        )
        return Call(slot, answer, (self._monotonic() - called) * 1000)

    def _not_called(self, claim: Claim, reason: str) -> None:
        def put_back(work: UnitOfWork) -> None:
            work.messages.not_called(claim, self._rules.wake_after)

        self._write(put_back, until=self._monotonic() + RECORDING.total_seconds())
        self._journal.note("delivery_not_called", messageId=str(claim.public_id), reason=reason)

    def _record(self, permit: Permit, claim: Claim, call: Call, until: float) -> None:
        slot, answer = call.slot, call.answer
        rule = RULES[answer.outcome]
        failures = claim.failures + rule.counts
        state = next_state(answer.outcome, failures, self._rules.max_failures)
        result = Result(
            outcome=answer.outcome,
            slot_at=instant(slot.slot_ms),
            interval_ms=slot.interval_ms,
            started_at=instant(slot.start_ms),
            finished_at=instant(slot.start_ms + call.duration_ms),
            http_status=answer.http_status,
            error_code=_error_code(answer, state),
            detail=answer.detail,
            platform_message_id=answer.platform_message_id,
        )

        def write(work: UnitOfWork) -> State | None:
            # The connection's row first, as everybody does: nobody then waits in a circle.
            if rule.pauses:
                work.connections.set_state(claim.connection_id, rule.pauses, answer.detail)
            return work.messages.record(
                claim,
                result,
                state,
                failures=failures,
                key_no=claim.key_no + rule.stored,
                delay=DELAYS.get(answer.outcome),
                wake_in=self._wake_in(answer.outcome, state),
            )

        moved = self._write(write, until)
        self._tell_room(permit, claim, answer, moved)
        self._note(claim, call, moved)

    def _wake_in(self, outcome: Outcome, state: State) -> timedelta | None:
        if state is State.QUEUED:
            return self._rules.overdue_after
        if state is State.UNKNOWN:
            grace = self._rules.unknown_grace
            return min(ASK_AGAIN, grace) if outcome is Outcome.IN_PROGRESS else grace
        return None

    def _tell_room(
        self, permit: Permit, claim: Claim, answer: SendAnswer, moved: State | None
    ) -> None:
        """The pace learns from the answer; a lost message to the room costs a lease at most."""
        rule = RULES[answer.outcome]
        try:
            if rule.pauses:
                with self._open() as work:
                    connection = work.connections.by_id(claim.connection_id)
                if connection is not None:
                    self._room.admit(self._rules.pace(connection), [])
            learned = self._room.done(
                permit,
                rule.signal,
                put_back=moved is State.QUEUED,
                retry_after=answer.retry_after,
            )
            if learned.changed:
                with self._open() as work:
                    delay = DELAYS.get(answer.outcome)
                    work.connections.learn(claim.connection_id, learned, answer.outcome, delay)
                    work.commit()
        except (RoomUnavailable, Unavailable) as problem:
            self._journal.note("pace_not_told", reason=str(problem))

    def _note(self, claim: Claim, call: Call, moved: State | None) -> None:
        slot, answer = call.slot, call.answer
        total_ms = slot.start_ms + call.duration_ms - claim.queued_at.timestamp() * 1000
        facts: dict[str, object] = {
            "messageId": str(claim.public_id),
            "userId": str(claim.owner_id),
            "recipientId": f"fan_{claim.fan_id}",
            "connectionId": claim.connection_id,
            "attemptNo": claim.attempt_no,
            "outcome": str(answer.outcome),
            "httpStatus": answer.http_status,
            "state": str(moved) if moved else "unchanged",
            "callMs": round(call.duration_ms),
            "slotLateMs": round(slot.start_ms - slot.slot_ms),
            "totalMs": round(total_ms),
            "replayed": answer.replayed,
        }
        if RULES[answer.outcome].alert:
            self._journal.alert("message_key_rejected", **facts)
        else:
            self._journal.note(f"message_{answer.outcome}", **facts)

    def _free(self, permit: Permit, *, put_back: bool = False) -> None:
        try:
            self._room.done(permit, None, put_back=put_back)
        except RoomUnavailable:
            return  # Its lease frees it.

    def _write(self, write: Callable[[UnitOfWork], T], until: float) -> T:
        def transaction() -> T:
            with self._open() as work:
                written = write(work)
                work.commit()
            return written

        return self._patiently(transaction, until)

    def _patiently(self, attempt: Callable[[], T], until: float) -> T:
        """The result, trying again while PostgreSQL is away and time is left; a restart of the
        database then costs a second, not a settling. Raises Unavailable at the end."""
        pause = 0.1
        while True:
            try:
                return attempt()
            except Unavailable:
                if self._monotonic() + pause > until:
                    raise
            self._sleep(pause)
            pause = min(pause * 2, 1.0)

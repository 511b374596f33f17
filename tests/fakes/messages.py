"""Messages and their attempts in memory."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from domain.campaigns import CampaignStatus
from domain.connections import Connection, ConnectionId, ConnectionState
from domain.errors import Conflict
from domain.messages import (
    PROVABLE,
    Attempt,
    Claim,
    Delay,
    Message,
    MessageId,
    NewMessage,
    Outcome,
    State,
    check_transition,
    send_key,
)
from domain.pacing import Waiting
from domain.ports import Result, StatusCounts, Unsettled
from domain.users import OwnerId
from tests.fakes.tables import Session, claim_of, waiting_of

CALLED = {State.SENDING, State.UNKNOWN}
MAY_BE_DEAD = {State.QUEUED, State.SENDING, State.UNKNOWN, State.FAILED}
WORKING = timedelta(seconds=60)
TOLERANCE = timedelta(seconds=2)


class FakeMessageRepository:
    """MessageRepository in memory."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def _all(self) -> list[Message]:
        return list(self._session.rows.messages.values())

    def _change(self, message: Message, **changes: object) -> Message:
        changed = replace(message, **changes)
        self._session.write().messages[message.id] = changed
        return changed

    def _due(self, wake_in: timedelta | None) -> datetime | None:
        return None if wake_in is None else self._session.now + wake_in

    # Storing and reading

    def add(self, new: NewMessage, wake_in: timedelta) -> Message:
        rows = self._session.write()
        if self.by_public_id(new.public_id):
            raise Conflict("this messageId exists already", code="message_exists")
        message = Message(
            id=MessageId(self._session.next_id()),
            **vars(new),
            state=State.QUEUED,
            estimated_send_at=new.promised_at,
            delay=None,
            admitted_at=None,
            wake_after=None if new.hold else self._due(wake_in),
            wake_tries=0,
            lease_until=None,
            attempt_no=0,
            failures=0,
            key_no=0,
            platform_message_id=None,
            error_code=None,
            error_detail=None,
            sent_at=None,
            dead_lettered_at=None,
        )
        rows.messages[message.id] = message
        last = rows.last_message_at.get(new.conversation_id, new.queued_at)
        rows.last_message_at[new.conversation_id] = max(last, new.queued_at)
        return message

    def get(self, owner_id: OwnerId, public_id: UUID) -> Message | None:
        found = self.by_public_id(public_id)
        return found if found and found.owner_id == owner_id else None

    def by_public_id(self, public_id: UUID) -> Message | None:
        return next((one for one in self._all if one.public_id == public_id), None)

    def lock(self, owner_id: OwnerId, public_id: UUID) -> Message | None:
        self._session.write()
        return self.get(owner_id, public_id)

    def attempts(self, message_id: MessageId) -> Sequence[Attempt]:
        return list(self._session.rows.attempts.get(message_id, ()))

    # Waiting

    def _queued(self, connection_id: ConnectionId) -> list[Message]:
        return [
            one
            for one in self._all
            if one.connection_id == connection_id and one.state is State.QUEUED and not one.hold
        ]

    def ahead(self, connection_id: ConnectionId, begun: frozenset[MessageId]) -> Mapping[int, int]:
        return Counter(
            one.priority
            for one in self._all
            if one.connection_id == connection_id
            and one.state in {State.QUEUED, State.SENDING}
            and not one.hold
            and one.id not in begun
        )

    def admissible(self, connection_id: ConnectionId, up_to: MessageId) -> Sequence[Waiting]:
        return [
            waiting_of(one)
            for one in self._queued(connection_id)
            if one.admitted_at is None and one.campaign_id is None and one.id <= up_to
        ]

    def overtaken(self, connection_id: ConnectionId, priority: int, older_than: MessageId) -> None:
        self._session.write()
        for one in self._queued(connection_id):
            if one.priority > priority and one.id < older_than and one.promised_at:
                self._change(one, delay=one.delay or Delay.OVERTAKEN)

    def admitted(
        self,
        send_at: Mapping[MessageId, datetime | None],
        slack: timedelta,
        late: Delay = Delay.OVERTAKEN,
    ) -> None:
        now, rows = self._session.now, self._session.write()
        for message_id, moment in send_at.items():
            one = rows.messages[message_id]
            if one.state is not State.QUEUED:
                continue
            is_late = moment and one.promised_at and moment > one.promised_at + TOLERANCE
            self._change(
                one,
                admitted_at=one.admitted_at or now,
                estimated_send_at=moment or one.estimated_send_at,
                delay=one.delay or (late if is_late else None),
                wake_after=max(moment or now, now) + slack,
            )

    def waiting(self) -> Iterable[tuple[Connection, Sequence[Waiting]]]:
        for connection in list(self._session.rows.connections.values()):
            rows = self._queued(connection.id)
            if rows and connection.state is not ConnectionState.DISCONNECTED:
                yield connection, [waiting_of(one) for one in rows]

    # Sending

    def claim(self, message_id: MessageId, lease: timedelta) -> Claim | None:
        rows, now = self._session.write(), self._session.now
        message = rows.messages.get(message_id)
        if message is None or not self._may_go(message):
            return None
        claim = claim_of(rows, message, message.attempt_no + 1)
        self._change(
            message,
            state=State.SENDING,
            attempt_no=claim.attempt_no,
            lease_until=now + lease,
            wake_after=None,
            admitted_at=message.admitted_at or now,
        )
        attempt = Attempt(
            message_id=message_id,
            attempt_no=claim.attempt_no,
            send_key=send_key(message.public_id, message.key_no),
            claimed_at=now,
            slot_at=None,
            interval_ms=None,
            started_at=None,
            finished_at=None,
            outcome=None,
            http_status=None,
            error_code=None,
            detail=None,
            platform_message_id=None,
        )
        rows.attempts[message_id] = (*rows.attempts.get(message_id, ()), attempt)
        return claim

    def _may_go(self, message: Message) -> bool:
        rows = self._session.rows
        campaign = rows.campaigns.get(message.campaign_id) if message.campaign_id else None
        return (
            message.state is State.QUEUED
            and not message.hold
            and rows.connections[message.connection_id].state is ConnectionState.ACTIVE
            and rows.fans[message.fan_id].platform_user_id is not None
            and (message.campaign_id is None or campaign is CampaignStatus.ACTIVE)
        )

    def not_called(self, claim: Claim, wake_in: timedelta) -> bool:
        self._close_attempt(claim, Result(Outcome.NOT_CALLED))
        message = self._session.write().messages[claim.message_id]
        if not self._fence_holds(claim, message):
            return False
        self._change(message, state=State.QUEUED, lease_until=None, wake_after=self._due(wake_in))
        return True

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
        self._close_attempt(claim, result)
        message = self._session.write().messages[claim.message_id]
        proved = state is State.SENT and message.state in PROVABLE
        if not proved and (state is State.SENT or not self._fence_holds(claim, message)):
            return None
        changed = self._change(
            message,
            state=state,
            failures=failures,
            key_no=key_no,
            lease_until=None,
            wake_after=self._due(wake_in),
            error_code=result.error_code,
            error_detail=result.detail,
            delay=delay or message.delay,
        )
        if state is State.SENT:
            taken = self.holds_platform_id(
                message.connection_id, [result.platform_message_id or ""]
            )
            self._change(
                changed,
                platform_message_id=None if taken else result.platform_message_id,
                sent_at=result.started_at,
                dead_lettered_at=None,
                error_code=None,
                error_detail=None,
            )
        if state is State.FAILED:
            self._session.write().failed_at[message.id] = self._session.now
        return state

    @staticmethod
    def _fence_holds(claim: Claim, message: Message) -> bool:
        return message.attempt_no == claim.attempt_no and message.state in CALLED

    def _close_attempt(self, claim: Claim, result: Result) -> None:
        rows = self._session.write()
        rows.attempts[claim.message_id] = tuple(
            replace(one, **vars(result))
            if one.attempt_no == claim.attempt_no and one.outcome is None
            else one
            for one in rows.attempts[claim.message_id]
        )

    # Decisions outside a call

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
        check_transition(message.state, state)
        rows = self._session.write()
        found = rows.messages[message.id]
        if (found.state, found.attempt_no) != (message.state, message.attempt_no):
            return False
        changes: dict[str, object] = {
            "state": state,
            "lease_until": None,
            "error_code": error_code,
            "error_detail": error_detail,
            "wake_after": self._due(wake_in),
            "delay": delay or found.delay,
            "key_no": found.key_no if key_no is None else key_no,
        }
        if state is State.QUEUED:
            changes |= {"admitted_at": None, "wake_tries": 0, "dead_lettered_at": None}
            changes["estimated_send_at"] = estimated_send_at or found.estimated_send_at
            if message.state is State.FAILED:
                changes |= {"failures": 0}
                rows.failed_at.pop(message.id, None)
        if state is State.FAILED:
            rows.failed_at[message.id] = self._session.now
        if state is State.SENT:
            changes |= {"platform_message_id": platform_message_id, "sent_at": sent_at}
        self._change(found, **changes)
        return True

    def dead_letter(self, public_id: UUID) -> None:
        self._session.write()
        found = self.by_public_id(public_id)
        if found and found.state in MAY_BE_DEAD:
            self._change(found, dead_lettered_at=self._session.now)

    # Healing

    def expire_leases(self, limit: int, grace: timedelta) -> int:
        self._session.write()
        expired = [
            one
            for one in self._all
            if one.state is State.SENDING
            and one.lease_until
            and one.lease_until < self._session.now
        ][:limit]
        for one in expired:
            self._change(one, state=State.UNKNOWN, lease_until=None, wake_after=self._due(grace))
        return len(expired)

    def overdue(self, limit: int) -> Sequence[Message]:
        return self._take_due(State.QUEUED, limit)

    def unsettled(self, limit: int) -> Sequence[Unsettled]:
        rows = self._session.write()
        return [
            Unsettled(one, claim_of(rows, one, one.attempt_no), self.attempts(one.id))
            for one in self._take_due(State.UNKNOWN, limit)
        ]

    def _take_due(self, state: State, limit: int) -> list[Message]:
        rows, now = self._session.write(), self._session.now
        due = [
            one
            for one in self._all
            if one.state is state
            and one.wake_after
            and one.wake_after <= now
            and (state is State.UNKNOWN or not one.hold)
            and rows.connections[one.connection_id].state is ConnectionState.ACTIVE
        ]
        taken = sorted(due, key=lambda one: one.wake_after or now)[:limit]
        for one in taken:
            self._change(one, wake_after=now + WORKING)
        return taken

    def twins(self, message: Message) -> int:
        look = message.connection_id, message.fan_id, message.text, message.price_cents or 0
        return sum(
            (one.state in CALLED or (one.state is State.QUEUED and one.attempt_no > 0))
            and (one.connection_id, one.fan_id, one.text, one.price_cents or 0) == look
            for one in self._all
        )

    def put_off(self, message_id: MessageId, wake_in: timedelta | None) -> None:
        rows = self._session.write()
        self._change(rows.messages[message_id], wake_after=self._due(wake_in))

    def refused(self, message_ids: Sequence[MessageId], wake_in: timedelta) -> None:
        for one in self._still_queued(message_ids):
            self._change(one, wake_tries=one.wake_tries + 1, wake_after=self._due(wake_in))

    def wake(self, message_ids: Sequence[MessageId], wake_in: timedelta) -> None:
        for one in self._still_queued(message_ids):
            self._change(one, wake_after=self._due(wake_in))

    def _still_queued(self, message_ids: Sequence[MessageId]) -> list[Message]:
        rows = self._session.write().messages
        found = [rows[one] for one in message_ids if one in rows]
        return [one for one in found if one.state is State.QUEUED]

    def holds_platform_id(
        self, connection_id: ConnectionId, platform_ids: Sequence[str]
    ) -> frozenset[str]:
        return frozenset(
            one.platform_message_id
            for one in self._all
            if one.connection_id == connection_id
            and one.platform_message_id is not None
            and one.platform_message_id in platform_ids
        )

    # Counting

    def status(self, owner_id: OwnerId, day_start: datetime) -> StatusCounts:
        rows = [one for one in self._all if one.owner_id == owner_id]
        states = Counter(one.state for one in rows)
        failed_at = self._session.rows.failed_at
        sent = [one.sent_at for one in rows if one.sent_at]
        return StatusCounts(
            queued=states[State.QUEUED],
            sending=states[State.SENDING],
            unknown=states[State.UNKNOWN],
            dead_lettered=sum(
                one.dead_lettered_at is not None and one.state in MAY_BE_DEAD for one in rows
            ),
            last_sent_at=max(sent, default=None),
            queued_today=sum(one.queued_at >= day_start for one in rows),
            sent_today=sum(moment >= day_start for moment in sent),
            failed_today=sum(
                one.state is State.FAILED and failed_at[one.id] >= day_start for one in rows
            ),
        )

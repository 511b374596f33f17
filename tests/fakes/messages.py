"""Messages and their attempts in memory."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from domain.campaigns import CampaignStatus
from domain.connections import ConnectionState
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
from domain.repositories import PromiseReport, Result, StatusCounts, WaitingLine
from domain.users import OwnerId
from tests.fakes.message_rows import CALLED, MAY_BE_DEAD, Rows
from tests.fakes.tables import claim_of


class FakeMessageRepository(Rows):
    """MessageRepository in memory."""

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
            wake_after=self._due(wake_in),
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

    # Sending

    def claim(
        self, message_id: MessageId, lease: timedelta, *, cleared: bool = False
    ) -> Claim | None:
        del cleared  # No account has limits here.
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
            and all(one.media_id for one in message.attachments)
            and rows.connections[message.connection_id].state is ConnectionState.ACTIVE
            and rows.fans[message.fan_id].platform_user_id is not None
            and (message.campaign_id is None or campaign is CampaignStatus.ACTIVE)
        )

    def not_called(self, claim: Claim, wake_in: timedelta) -> bool:
        self._close_attempt(claim, Result(Outcome.NOT_CALLED))
        message = self._session.write().messages[claim.message_id]
        if not self._fence_holds(claim, message):
            return False
        state = self._landing(message, State.QUEUED)
        self._change(
            message,
            state=state,
            lease_until=None,
            wake_after=self._due(wake_in) if state is State.QUEUED else None,
            delay=message.delay or Delay.RETRY,
        )
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
        state = self._landing(message, state)
        if state is State.CANCELLED:
            wake_in = None
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

    def _landing(self, message: Message, state: State) -> State:
        fan = self._session.rows.fans[message.fan_id]
        gone = state is State.QUEUED and fan.deleted_at and fan.merged_into is None
        return State.CANCELLED if gone else state

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
        state = self._landing(found, state)
        if state is State.CANCELLED:
            wake_in = None
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
        if state in (State.SENT, State.DELIVERED):
            changes |= {"platform_message_id": platform_message_id, "sent_at": sent_at}
        self._change(found, **changes)
        return True

    def dead_letter(self, message: UUID | MessageId, reason: str | None = None) -> None:
        self._session.write()
        found = next((one for one in self._all if message in {one.public_id, one.id}), None)
        if found and found.state in MAY_BE_DEAD:
            self._change(found, dead_lettered_at=self._session.now)

    # Counting

    def promise_report(self, owner_id: OwnerId, since: datetime) -> PromiseReport:  # the port's
        return PromiseReport(0, 0, None, None)

    def waiting_lines(self, owner_id: OwnerId) -> Sequence[WaitingLine]:  # the port's
        return []

    def queued_count(self, owner_id: OwnerId) -> int:
        return sum(one.owner_id == owner_id and one.state is State.QUEUED for one in self._all)

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

"""Messages and their ledger as rows.

Every change of state is one UPDATE whose WHERE holds the state it starts from: two writers never
both win. Leases and wake-ups are computed by PostgreSQL's clock, the only one all processes share.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    func,
    insert,
    select,
    update,
)
from sqlalchemy import text as sql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

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
)
from domain.repositories import (
    KEPT_WITHIN,
    PromiseReport,
    Result,
    StatusCounts,
    WaitingLine,
)
from domain.users import OwnerId
from infra.cipher import Cipher
from infra.db.repositories.delivery import CAMPAIGN_OVER, CLAIM, FAN_GONE, OPEN_ATTEMPT, RECORD
from infra.db.repositories.doubles import claim_id, take_over
from infra.db.repositories.raising import message_stands
from infra.db.repositories.rows import (
    QUEUED,
    SAID,
    SENDING,
    UNKNOWN,
    WAITING_SUMS,
    attachment_json,
    attempts_of,
    changed,
    claim_of,
    message_of,
)
from infra.db.tables import (
    AttemptRow,
    MessageRow,
)

# The first call of each message: what follows a fault was never promised.
PROMISES = sql(
    """
    SELECT count(*) FILTER (WHERE error <= :within) AS kept,
      count(*) FILTER (WHERE error > :within) AS late,
      percentile_cont(0.5) WITHIN GROUP (ORDER BY error) AS median,
      percentile_cont(0.95) WITHIN GROUP (ORDER BY error) AS p95
    FROM (SELECT extract(epoch FROM a.started_at - m.promised_at)::float8 AS error
      FROM message_attempts a JOIN messages m ON m.id = a.message_id
      WHERE m.user_id = :owner AND a.attempt_no = 1 AND a.started_at >= :since
        AND m.promised_at IS NOT NULL) x
    """
)
WAITING_LINES = sql(
    f"""
    SELECT m.connection_id, {WAITING_SUMS} AND m.user_id = :owner
    GROUP BY m.connection_id ORDER BY m.connection_id
    """  # a constant of ours
)

QUEUED_COUNT = sql("SELECT count(*) FROM messages WHERE user_id = :owner AND state = 'queued'")


class SqlMessageRepository:
    """MessageRepository on PostgreSQL."""

    def __init__(self, session: Session, cipher: Cipher) -> None:
        self._session = session
        self._cipher = cipher

    # Storing and reading

    def add(self, new: NewMessage, wake_in: timedelta) -> Message:
        insertion = insert(MessageRow).values(
            public_id=new.public_id,
            user_id=new.owner_id,
            connection_id=new.connection_id,
            conversation_id=new.conversation_id,
            fan_id=new.fan_id,
            campaign_id=new.campaign_id,
            direction="out",
            text=new.text,
            price_cents=new.price_cents,
            attachments=[attachment_json(item) for item in new.attachments],
            metadata_=dict(new.metadata),
            priority=new.priority,
            state=QUEUED,
            hold=new.hold,
            queued_at=new.queued_at,
            created_at=new.queued_at,
            promised_at=new.promised_at,
            estimated_send_at=new.promised_at,
            wake_after=func.now() + wake_in,
            sent_by_ai=new.sent_by_ai,
            snippet_id=new.snippet_id,
        )
        try:
            row = self._session.scalars(insertion.returning(MessageRow)).one()
        except IntegrityError as problem:
            if "uq_messages_public_id" in str(problem.orig):
                raise Conflict("this messageId exists already", code="message_exists") from None
            raise
        values = {"id": new.conversation_id, "at": new.queued_at}
        self._session.execute(SAID, values | {"is_direct": new.campaign_id is None})
        return message_of(row)

    def get(self, owner_id: OwnerId, public_id: UUID) -> Message | None:
        return self._one(MessageRow.public_id == public_id, MessageRow.user_id == owner_id)

    def by_public_id(self, public_id: UUID) -> Message | None:
        return self._one(MessageRow.public_id == public_id)

    def lock(self, owner_id: OwnerId, public_id: UUID) -> Message | None:
        return self._one(
            MessageRow.public_id == public_id, MessageRow.user_id == owner_id, lock=True
        )

    def _one(self, *where: Any, lock: bool = False) -> Message | None:
        query = select(MessageRow).where(MessageRow.direction == "out", *where)
        if lock:
            query = query.with_for_update(key_share=True)
        row = self._session.scalar(query.execution_options(populate_existing=True))
        return message_of(row) if row else None

    def attempts(self, message_id: MessageId) -> Sequence[Attempt]:
        return attempts_of(self._session, message_id)

    # Sending

    def claim(
        self, message_id: MessageId, lease: timedelta, *, cleared: bool = False
    ) -> Claim | None:
        asked = {"id": message_id, "lease": lease, "cleared": cleared}
        row = self._session.execute(CLAIM, asked).one_or_none()
        if row is None:
            return None
        claim = claim_of(row, row, row, self._cipher)
        self._session.execute(
            OPEN_ATTEMPT,
            {
                "id": message_id,
                "connection_id": claim.connection_id,
                "attempt_no": claim.attempt_no,
                "send_key": claim.send_key,
            },
        )
        return claim

    def not_called(self, claim: Claim, wake_in: timedelta) -> bool:
        state = self._landing(claim.message_id, State.QUEUED)
        self._close_attempt(claim, Result(Outcome.NOT_CALLED))
        return bool(
            changed(
                self._session,
                update(MessageRow)
                .where(*self._fence(claim))
                .values(
                    state=state,
                    lease_until=None,
                    wake_after=func.now() + wake_in if state is State.QUEUED else None,
                    delay=func.coalesce(MessageRow.delay, Delay.RETRY),
                ),
            )
        )

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
        sent = state is State.SENT
        state = self._landing(claim.message_id, state)
        moved = self._session.execute(
            RECORD,
            {
                **vars(result),
                "id": claim.message_id,
                "attempt_no": claim.attempt_no,
                "connection_id": claim.connection_id,
                "state": state.value,
                "is_sent": sent,
                "provable": [one.value for one in PROVABLE],
                "failures": failures,
                "key_no": key_no,
                "delay": delay,
                "wake_in": None if state is State.CANCELLED else wake_in,
                "shown_code": None if sent else result.error_code,
                "shown_detail": None if sent else result.detail,
            },
        ).one_or_none()
        answered = result.platform_message_id
        if sent and answered and (moved is None or moved.platform_message_id != answered):
            claim_id(self._session, claim.connection_id, claim.message_id, answered)
        if moved and state is State.FAILED:
            message_stands(self._session, claim.message_id)
        return state if moved else None

    def _landing(self, message_id: MessageId, state: State) -> State:
        """The one place where a message that would wait to be sent again is cancelled instead,
        since its fan was deleted, or its campaign cancelled."""
        if state is not State.QUEUED:
            return state
        asked = {"id": message_id}
        gone = self._session.scalars(FAN_GONE, asked).all()
        over = self._session.scalars(CAMPAIGN_OVER, asked).all()
        return State.CANCELLED if any((*gone, *over)) else state

    def _fence(self, claim: Claim) -> tuple[Any, ...]:
        return (
            MessageRow.id == claim.message_id,
            MessageRow.attempt_no == claim.attempt_no,
            MessageRow.state.in_([SENDING, UNKNOWN]),
        )

    def _close_attempt(self, claim: Claim, result: Result) -> None:
        changed(
            self._session,
            update(AttemptRow)
            .where(
                AttemptRow.message_id == claim.message_id,
                AttemptRow.attempt_no == claim.attempt_no,
                AttemptRow.outcome.is_(None),
            )
            .values(
                slot_at=result.slot_at,
                interval_ms=result.interval_ms,
                started_at=result.started_at,
                finished_at=result.finished_at,
                outcome=result.outcome,
                http_status=result.http_status,
                error_code=result.error_code,
                detail=result.detail,
                platform_message_id=result.platform_message_id,
            ),
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
        state = self._landing(message.id, state)
        if state is State.CANCELLED:
            wake_in = None
        values: dict[str, Any] = {
            "state": state,
            "lease_until": None,
            "error_code": error_code,
            "error_detail": error_detail,
            "wake_after": None if wake_in is None else func.now() + wake_in,
        }
        if delay is not None:
            values["delay"] = delay
        if key_no is not None:
            values["key_no"] = key_no
        if state is State.QUEUED:
            values |= {"admitted_at": None, "wake_tries": 0, "dead_lettered_at": None}
            if estimated_send_at is not None:
                values["estimated_send_at"] = estimated_send_at
            if message.state is State.FAILED:
                values |= {"failures": 0, "failed_at": None}
        if state is State.FAILED:
            values["failed_at"] = func.now()
        if state in (State.SENT, State.DELIVERED):
            values |= {"platform_message_id": platform_message_id, "sent_at": sent_at}
            if platform_message_id is not None and self._stands(message):
                take_over(self._session, message.connection_id, message.id, platform_message_id)
        if state is State.FAILED:
            message_stands(self._session, message.id)
        return bool(
            changed(
                self._session,
                update(MessageRow)
                .where(
                    MessageRow.id == message.id,
                    MessageRow.state == message.state,
                    MessageRow.attempt_no == message.attempt_no,
                )
                .values(values),
            )
        )

    def _stands(self, message: Message) -> bool:
        """Whether the row is as it was read; from now on it stays so."""
        found = self._session.scalar(
            select(MessageRow.id)
            .where(
                MessageRow.id == message.id,
                MessageRow.state == message.state,
                MessageRow.attempt_no == message.attempt_no,
            )
            .with_for_update(key_share=True)
        )
        return found is not None

    def dead_letter(self, message: UUID | MessageId, reason: str | None = None) -> None:
        named = (
            MessageRow.public_id == message
            if isinstance(message, UUID)
            else MessageRow.id == message
        )
        changed(
            self._session,
            update(MessageRow)
            .where(named, MessageRow.state.in_([QUEUED, SENDING, UNKNOWN, State.FAILED.value]))
            .values(dead_lettered_at=func.now(), dead_letter_reason=reason),
        )

    # Counting

    def promise_report(self, owner_id: OwnerId, since: datetime) -> PromiseReport:
        row = self._session.execute(
            PROMISES, {"owner": owner_id, "since": since, "within": KEPT_WITHIN.total_seconds()}
        ).one()
        return PromiseReport(row.kept, row.late, row.median, row.p95)

    def waiting_lines(self, owner_id: OwnerId) -> Sequence[WaitingLine]:
        rows = self._session.execute(WAITING_LINES, {"owner": owner_id})
        return [WaitingLine(**row._mapping) for row in rows]  # noqa: SLF001  # SQLAlchemy's public name for it

    def queued_count(self, owner_id: OwnerId) -> int:
        return int(self._session.scalar(QUEUED_COUNT, {"owner": owner_id}) or 0)

    def status(self, owner_id: OwnerId, day_start: datetime) -> StatusCounts:
        def count(*where: Any) -> Any:
            return (
                select(func.count())
                .select_from(MessageRow)
                .where(MessageRow.user_id == owner_id, MessageRow.direction == "out", *where)
                .scalar_subquery()
            )

        last_sent = (
            select(func.max(MessageRow.sent_at))
            .where(MessageRow.user_id == owner_id)
            .scalar_subquery()
        )
        row = self._session.execute(
            select(
                count(MessageRow.state == QUEUED).label("queued"),
                count(MessageRow.state == SENDING).label("sending"),
                count(MessageRow.state == UNKNOWN).label("unknown"),
                count(
                    MessageRow.dead_lettered_at.is_not(None),
                    MessageRow.state.in_([QUEUED, SENDING, UNKNOWN, State.FAILED.value]),
                ).label("dead_lettered"),
                last_sent.label("last_sent_at"),
                count(MessageRow.queued_at >= day_start).label("queued_today"),
                count(MessageRow.sent_at >= day_start).label("sent_today"),
                count(
                    MessageRow.failed_at >= day_start, MessageRow.state == State.FAILED.value
                ).label("failed_today"),
            )
        ).one()
        return StatusCounts(**row._mapping)  # noqa: SLF001  # SQLAlchemy's public name for it

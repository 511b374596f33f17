"""Messages and their ledger as rows.

Every change of state is one UPDATE whose WHERE holds the state it starts from: two writers never
both win. Leases and wake-ups are computed by PostgreSQL's clock, the only one all processes share.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import case, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

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
from domain.repositories import Result, StatusCounts
from domain.users import OwnerId
from infra.cipher import Cipher
from infra.db.repositories.rows import (
    QUEUED,
    SENDING,
    UNKNOWN,
    attempts_of,
    changed,
    claim_of,
    message_of,
)
from infra.db.tables import (
    AttemptRow,
    CampaignRow,
    ConnectionRow,
    ConversationRow,
    FanRow,
    MessageRow,
)


class SqlMessageRepository:
    """MessageRepository on PostgreSQL."""

    def __init__(self, session: Session, cipher: Cipher) -> None:
        self._session = session
        self._cipher = cipher

    # Storing and reading

    def add(self, new: NewMessage, wake_in: timedelta) -> Message:
        row = MessageRow(
            public_id=new.public_id,
            user_id=new.owner_id,
            connection_id=new.connection_id,
            conversation_id=new.conversation_id,
            fan_id=new.fan_id,
            campaign_id=new.campaign_id,
            direction="out",
            text=new.text,
            price_cents=new.price_cents,
            attachments=[{"type": item.type, "url": item.url} for item in new.attachments],
            metadata_=dict(new.metadata),
            priority=new.priority,
            state=QUEUED,
            hold=new.hold,
            queued_at=new.queued_at,
            created_at=new.queued_at,
            promised_at=new.promised_at,
            estimated_send_at=new.promised_at,
            wake_after=None if new.hold else func.now() + wake_in,
        )
        try:
            self._session.add(row)
            self._session.flush()
        except IntegrityError as problem:
            if "uq_messages_public_id" in str(problem.orig):
                raise Conflict("this messageId exists already", code="message_exists") from None
            raise
        changed(
            self._session,
            update(ConversationRow)
            .where(ConversationRow.id == new.conversation_id)
            .values(last_message_at=func.greatest(ConversationRow.last_message_at, new.queued_at)),
        )
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

    def claim(self, message_id: MessageId, lease: timedelta) -> Claim | None:
        campaign_goes = or_(
            MessageRow.campaign_id.is_(None),
            select(CampaignRow.id)
            .where(CampaignRow.id == MessageRow.campaign_id, CampaignRow.status == "active")
            .with_for_update(read=True)
            .exists(),
        )
        found = self._session.execute(
            select(MessageRow, ConnectionRow, FanRow)
            .join(ConnectionRow, ConnectionRow.id == MessageRow.connection_id)
            .join(FanRow, FanRow.id == MessageRow.fan_id)
            .where(
                MessageRow.id == message_id,
                MessageRow.state == QUEUED,
                MessageRow.hold.is_(None),
                ConnectionRow.state == "active",
                FanRow.platform_user_id.is_not(None),
                campaign_goes,
            )
            .with_for_update(of=MessageRow, key_share=True)
        ).one_or_none()
        if found is None or not self._still_active(found[1].id):
            return None
        row, connection, fan = found
        attempt_no = row.attempt_no + 1
        changed(
            self._session,
            update(MessageRow)
            .where(MessageRow.id == message_id)
            .values(
                state=SENDING,
                attempt_no=attempt_no,
                lease_until=func.now() + lease,
                wake_after=None,
                admitted_at=func.coalesce(MessageRow.admitted_at, func.now()),
            ),
        )
        self._session.add(
            AttemptRow(
                message_id=message_id,
                connection_id=connection.id,
                attempt_no=attempt_no,
                send_key=send_key(row.public_id, row.key_no),
            )
        )
        return replace(claim_of(row, connection, fan, self._cipher), attempt_no=attempt_no)

    def _still_active(self, connection_id: int) -> bool:
        """FOR SHARE, so that a pause waits for this claim and then counts it."""
        return (
            self._session.scalar(
                select(ConnectionRow.state)
                .where(ConnectionRow.id == connection_id)
                .with_for_update(read=True)
            )
            == "active"
        )

    def not_called(self, claim: Claim, wake_in: timedelta) -> bool:
        self._close_attempt(claim, Result(Outcome.NOT_CALLED))
        return bool(
            changed(
                self._session,
                update(MessageRow)
                .where(*self._fence(claim))
                .values(
                    state=QUEUED,
                    lease_until=None,
                    wake_after=func.now() + wake_in,
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
        self._close_attempt(claim, result)
        where = self._fence(claim)
        if state is State.SENT:
            where = (MessageRow.id == claim.message_id, MessageRow.state.in_(PROVABLE))
        values: dict[str, Any] = {
            "state": state,
            "failures": failures,
            "key_no": key_no,
            "lease_until": None,
            "wake_after": None if wake_in is None else func.now() + wake_in,
            "error_code": result.error_code,
            "error_detail": result.detail,
        }
        if delay is not None:
            values["delay"] = delay
        if state is State.SENT:
            values |= {
                "platform_message_id": self._unless_held(claim, result.platform_message_id),
                "sent_at": result.started_at,
                "dead_lettered_at": None,
                "error_code": None,
                "error_detail": None,
            }
        if state is State.FAILED:
            values["failed_at"] = func.now()
        return (
            state
            if changed(self._session, update(MessageRow).where(*where).values(values))
            else None
        )

    @staticmethod
    def _unless_held(claim: Claim, platform_id: str | None) -> Any:
        """The platform's id, or null where another row holds it: what the platform said stays in
        the ledger, and the message still counts as sent."""
        holder = aliased(MessageRow)
        held = (
            select(holder.id)
            .where(
                holder.connection_id == claim.connection_id,
                holder.platform_message_id == platform_id,
                holder.id != claim.message_id,
            )
            .exists()
        )
        return case((held, None), else_=platform_id)

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
        if state is State.SENT:
            values |= {"platform_message_id": platform_message_id, "sent_at": sent_at}
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

    def dead_letter(self, public_id: UUID) -> None:
        changed(
            self._session,
            update(MessageRow)
            .where(
                MessageRow.public_id == public_id,
                MessageRow.state.in_([QUEUED, SENDING, UNKNOWN, State.FAILED.value]),
            )
            .values(dead_lettered_at=func.now()),
        )

    # Counting

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

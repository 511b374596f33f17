"""Messages and their ledger as rows.

Every change of state is one UPDATE whose WHERE holds the state it starts from: two writers never
both win. Leases and wake-ups are computed by PostgreSQL's clock, the only one all processes share.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from sqlalchemy import CursorResult, Executable, Select, and_, case, func, or_, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from domain.campaigns import CampaignId
from domain.connections import Connection, ConnectionId
from domain.conversations import ConversationId
from domain.errors import Conflict
from domain.fans import FanId
from domain.messages import (
    PROVABLE,
    Attachment,
    Attempt,
    Claim,
    Delay,
    Hold,
    Message,
    MessageId,
    NewMessage,
    Outcome,
    PublicId,
    State,
    check_transition,
    send_key,
)
from domain.pacing import Waiting
from domain.ports import Result, StatusCounts, Unsettled
from domain.users import OwnerId
from infra.cipher import Cipher
from infra.db.repositories.people import connection_of
from infra.db.tables import (
    AttemptRow,
    CampaignRow,
    ConnectionRow,
    ConversationRow,
    FanRow,
    MessageRow,
)

QUEUED, SENDING, UNKNOWN = State.QUEUED.value, State.SENDING.value, State.UNKNOWN.value
# Puts a row off while one process works on it; far above any pass of the healing timer.
WORKING = timedelta(seconds=60)
REBUILD_BATCH = 1000
# Rows are read once and never looked at again after an UPDATE: nothing to keep in step.
UNSYNCHRONISED = {"synchronize_session": False}


def message_of(row: MessageRow) -> Message:
    assert row.state is not None
    assert row.queued_at is not None
    return Message(
        id=MessageId(row.id),
        public_id=PublicId(row.public_id),
        owner_id=OwnerId(row.user_id),
        connection_id=ConnectionId(row.connection_id),
        conversation_id=ConversationId(row.conversation_id),
        fan_id=FanId(row.fan_id),
        campaign_id=None if row.campaign_id is None else CampaignId(row.campaign_id),
        text=row.text,
        price_cents=row.price_cents,
        attachments=tuple(Attachment(item["type"], item["url"]) for item in row.attachments),
        metadata=row.metadata_,
        priority=row.priority,
        state=State(row.state),
        hold=Hold(row.hold) if row.hold else None,
        queued_at=row.queued_at,
        promised_at=row.promised_at,
        estimated_send_at=row.estimated_send_at,
        delay=Delay(row.delay) if row.delay else None,
        admitted_at=row.admitted_at,
        wake_after=row.wake_after,
        wake_tries=row.wake_tries,
        lease_until=row.lease_until,
        attempt_no=row.attempt_no,
        failures=row.failures,
        key_no=row.key_no,
        platform_message_id=row.platform_message_id,
        error_code=row.error_code,
        error_detail=row.error_detail,
        sent_at=row.sent_at,
        dead_lettered_at=row.dead_lettered_at,
    )


def attempt_of(row: AttemptRow) -> Attempt:
    return Attempt(
        message_id=MessageId(row.message_id),
        attempt_no=row.attempt_no,
        send_key=row.send_key,
        claimed_at=row.claimed_at,
        slot_at=row.slot_at,
        interval_ms=row.interval_ms,
        started_at=row.started_at,
        finished_at=row.finished_at,
        outcome=Outcome(row.outcome) if row.outcome else None,
        http_status=row.http_status,
        error_code=row.error_code,
        detail=row.detail,
        platform_message_id=row.platform_message_id,
    )


def waiting_of(row: MessageRow) -> Waiting:
    campaign = None if row.campaign_id is None else CampaignId(row.campaign_id)
    return Waiting(MessageId(row.id), row.priority, campaign)


def claim_of(row: MessageRow, connection: ConnectionRow, fan: FanRow, cipher: Cipher) -> Claim:
    """A message with all that a call needs."""
    assert row.queued_at is not None
    return Claim(
        message_id=MessageId(row.id),
        public_id=PublicId(row.public_id),
        owner_id=OwnerId(row.user_id),
        connection_id=ConnectionId(connection.id),
        campaign_id=None if row.campaign_id is None else CampaignId(row.campaign_id),
        fan_id=FanId(row.fan_id),
        priority=row.priority,
        attempt_no=row.attempt_no,
        failures=row.failures,
        key_no=row.key_no,
        account_id=connection.account_id,
        access_key=cipher.decrypt(connection.access_key),
        platform_user_id=fan.platform_user_id or "",
        text=row.text,
        price_cents=row.price_cents,
        queued_at=row.queued_at,
    )


def queued_in_order(message_ids: Sequence[int]) -> Select[Any]:
    """The queued ones, locked by id as `admitted` does: two writers of many never deadlock."""
    return (
        select(MessageRow.id)
        .where(MessageRow.id.in_(message_ids), MessageRow.state == QUEUED)
        .order_by(MessageRow.id)
        .with_for_update(key_share=True)
    )


class SqlMessageRepository:
    """MessageRepository on PostgreSQL."""

    def __init__(self, session: Session, cipher: Cipher) -> None:
        self._session = session
        self._cipher = cipher

    def _changed(self, statement: Executable) -> int:
        done = self._session.execute(statement, execution_options=UNSYNCHRONISED)
        return cast("CursorResult[object]", done).rowcount

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
        self._changed(
            update(ConversationRow)
            .where(ConversationRow.id == new.conversation_id)
            .values(last_message_at=func.greatest(ConversationRow.last_message_at, new.queued_at))
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
        rows = self._session.scalars(
            select(AttemptRow)
            .where(AttemptRow.message_id == message_id)
            .order_by(AttemptRow.attempt_no)
        )
        return [attempt_of(row) for row in rows]

    # Waiting

    def ahead(self, connection_id: ConnectionId, begun: frozenset[MessageId]) -> Mapping[int, int]:
        counted = self._session.execute(
            select(MessageRow.priority, func.count())
            .where(
                MessageRow.connection_id == connection_id,
                MessageRow.state.in_([QUEUED, SENDING]),
                MessageRow.hold.is_(None),
                MessageRow.id.not_in(begun),
            )
            .group_by(MessageRow.priority)
        )
        return dict(counted.all())

    def admissible(self, connection_id: ConnectionId, up_to: MessageId) -> Sequence[Waiting]:
        rows = self._session.scalars(
            select(MessageRow)
            .where(
                MessageRow.connection_id == connection_id,
                MessageRow.state == QUEUED,
                MessageRow.admitted_at.is_(None),
                MessageRow.hold.is_(None),
                MessageRow.campaign_id.is_(None),
                MessageRow.id <= up_to,
            )
            .order_by(MessageRow.id)
            .limit(REBUILD_BATCH)
        )
        return [waiting_of(row) for row in rows]

    def admitted(
        self,
        send_at: Mapping[MessageId, datetime | None],
        slack: timedelta,
        late: Delay = Delay.OVERTAKEN,
    ) -> None:
        if not send_at:
            return
        self._session.execute(
            text(
                """
                WITH a AS (
                  SELECT m.id, given.send_at FROM messages m
                  JOIN unnest(cast(:ids AS bigint[]), cast(:times AS timestamptz[]))
                    AS given(id, send_at) USING (id)
                  WHERE m.state = 'queued' ORDER BY m.id FOR NO KEY UPDATE OF m
                )
                UPDATE messages m SET
                  admitted_at = coalesce(m.admitted_at, now()),
                  estimated_send_at = coalesce(a.send_at, m.estimated_send_at),
                  delay = CASE WHEN m.delay IS NULL AND a.send_at > m.promised_at + :tolerance
                               THEN :late ELSE m.delay END,
                  wake_after = greatest(coalesce(a.send_at, now()), now()) + :slack
                FROM a WHERE m.id = a.id
                """
            ),
            {
                "ids": list(send_at),
                "times": list(send_at.values()),
                "slack": slack,
                "tolerance": timedelta(seconds=2),
                "late": late.value,
            },
        )

    def waiting(self) -> Iterable[tuple[Connection, Sequence[Waiting]]]:
        connections = self._session.scalars(
            select(ConnectionRow)
            .where(
                ConnectionRow.state != "disconnected",
                select(MessageRow.id)
                .where(MessageRow.connection_id == ConnectionRow.id, *WAITS)
                .exists(),
            )
            .order_by(ConnectionRow.id)
        ).all()
        for row in connections:
            connection, last = connection_of(row), 0
            while True:
                batch = self._session.scalars(
                    select(MessageRow)
                    .where(MessageRow.connection_id == row.id, MessageRow.id > last, *WAITS)
                    .order_by(MessageRow.id)
                    .limit(REBUILD_BATCH)
                ).all()
                if batch:
                    yield connection, [waiting_of(one) for one in batch]
                    last = batch[-1].id
                    self._session.expunge_all()
                if len(batch) < REBUILD_BATCH:
                    break

    def overtaken(self, connection_id: ConnectionId, priority: int, older_than: MessageId) -> None:
        self._changed(
            update(MessageRow)
            .where(
                MessageRow.id.in_(
                    select(MessageRow.id)
                    .where(
                        MessageRow.connection_id == connection_id,
                        MessageRow.state == QUEUED,
                        MessageRow.priority > priority,
                        MessageRow.id < older_than,
                        MessageRow.delay.is_(None),
                        MessageRow.promised_at.is_not(None),
                    )
                    .order_by(MessageRow.id)
                    .with_for_update(key_share=True, skip_locked=True)
                )
            )
            .values(delay=Delay.OVERTAKEN)
        )

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
        self._changed(
            update(MessageRow)
            .where(MessageRow.id == message_id)
            .values(
                state=SENDING,
                attempt_no=attempt_no,
                lease_until=func.now() + lease,
                wake_after=None,
                admitted_at=func.coalesce(MessageRow.admitted_at, func.now()),
            )
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
            self._changed(
                update(MessageRow)
                .where(*self._fence(claim))
                .values(state=QUEUED, lease_until=None, wake_after=func.now() + wake_in)
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
        return state if self._changed(update(MessageRow).where(*where).values(values)) else None

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
        self._changed(
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
            )
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
            self._changed(
                update(MessageRow)
                .where(
                    MessageRow.id == message.id,
                    MessageRow.state == message.state,
                    MessageRow.attempt_no == message.attempt_no,
                )
                .values(values)
            )
        )

    def dead_letter(self, public_id: UUID) -> None:
        self._changed(
            update(MessageRow)
            .where(
                MessageRow.public_id == public_id,
                MessageRow.state.in_([QUEUED, SENDING, UNKNOWN, State.FAILED.value]),
            )
            .values(dead_lettered_at=func.now())
        )

    # Healing

    def expire_leases(self, limit: int, grace: timedelta) -> int:
        expired = (
            select(MessageRow.id)
            .where(MessageRow.state == SENDING, MessageRow.lease_until < func.now())
            .order_by(MessageRow.lease_until)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return self._changed(
            update(MessageRow)
            .where(MessageRow.id.in_(expired))
            .values(state=UNKNOWN, lease_until=None, wake_after=func.now() + grace)
        )

    def overdue(self, limit: int) -> Sequence[Message]:
        rows = self._session.scalars(
            self._due(QUEUED, limit).where(MessageRow.hold.is_(None))
        ).all()
        found = [message_of(row) for row in rows]
        self._work_on(found)
        return found

    def unsettled(self, limit: int) -> Sequence[Unsettled]:
        rows = self._session.scalars(self._due(UNKNOWN, limit)).all()
        found = [self._unsettled(row) for row in rows]
        self._work_on([one.message for one in found])
        return found

    def _due(self, state: str, limit: int) -> Any:
        return (
            select(MessageRow)
            .join(ConnectionRow, ConnectionRow.id == MessageRow.connection_id)
            .where(
                MessageRow.state == state,
                MessageRow.wake_after <= func.now(),
                ConnectionRow.state == "active",
            )
            .order_by(MessageRow.wake_after)
            .limit(limit)
            .with_for_update(of=MessageRow, skip_locked=True, key_share=True)
        )

    def _work_on(self, messages: Sequence[Message]) -> None:
        if messages:
            self._changed(
                update(MessageRow)
                .where(MessageRow.id.in_([message.id for message in messages]))
                .values(wake_after=func.now() + WORKING)
            )

    def _unsettled(self, row: MessageRow) -> Unsettled:
        connection = self._session.get_one(ConnectionRow, row.connection_id)
        fan = self._session.get_one(FanRow, row.fan_id)
        return Unsettled(
            message=message_of(row),
            claim=claim_of(row, connection, fan, self._cipher),
            attempts=self.attempts(MessageId(row.id)),
        )

    def twins(self, message: Message) -> int:
        called_before = and_(MessageRow.state == QUEUED, MessageRow.attempt_no > 0)
        count = self._session.scalar(
            select(func.count()).where(
                MessageRow.connection_id == message.connection_id,
                MessageRow.fan_id == message.fan_id,
                or_(MessageRow.state.in_([SENDING, UNKNOWN]), called_before),
                MessageRow.text == message.text,
                func.coalesce(MessageRow.price_cents, 0) == (message.price_cents or 0),
            )
        )
        return count or 0

    def put_off(self, message_id: MessageId, wake_in: timedelta | None) -> None:
        self._changed(
            update(MessageRow)
            .where(MessageRow.id == message_id)
            .values(wake_after=None if wake_in is None else func.now() + wake_in)
        )

    def refused(self, message_ids: Sequence[MessageId], wake_in: timedelta) -> None:
        self._changed(
            update(MessageRow)
            .where(MessageRow.id.in_(queued_in_order(message_ids)))
            .values(wake_tries=MessageRow.wake_tries + 1, wake_after=func.now() + wake_in)
        )

    def wake(self, message_ids: Sequence[int], wake_in: timedelta) -> None:
        """Look at queued rows in `wake_in`, without counting a try."""
        self._changed(
            update(MessageRow)
            .where(MessageRow.id.in_(queued_in_order(message_ids)))
            .values(wake_after=func.now() + wake_in)
        )

    def holds_platform_id(
        self, connection_id: ConnectionId, platform_ids: Sequence[str]
    ) -> frozenset[str]:
        held = self._session.scalars(
            select(MessageRow.platform_message_id).where(
                MessageRow.connection_id == connection_id,
                MessageRow.platform_message_id.in_(platform_ids),
            )
        )
        return frozenset(one for one in held if one is not None)

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


WAITS = (
    MessageRow.state == QUEUED,
    MessageRow.hold.is_(None),
)

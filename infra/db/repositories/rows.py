"""Rows as domain values, and what several repositories ask of rows."""

from collections.abc import Iterable, Sequence
from typing import Any, cast

from sqlalchemy import CursorResult, Executable, Row, Select, select, update
from sqlalchemy import text as sql
from sqlalchemy.orm import Session

from domain.campaigns import CampaignId
from domain.connections import ConnectionId
from domain.conversations import ConversationId
from domain.fans import FanId
from domain.messages import (
    Attachment,
    Attempt,
    Claim,
    Delay,
    Hold,
    Message,
    MessageId,
    Outcome,
    PublicId,
    State,
)
from domain.pacing import Waiting
from domain.users import OwnerId
from infra.cipher import Cipher
from infra.db.tables import (
    AttemptRow,
    ConnectionRow,
    FanRow,
    MessageRow,
)

QUEUED, SENDING, UNKNOWN = State.QUEUED.value, State.SENDING.value, State.UNKNOWN.value
# The newest message decides who spoke last, whatever order messages are stored in.
SAID = sql(
    """
    UPDATE conversations SET
      last_direction = CASE WHEN last_message_at > :at THEN last_direction ELSE 'out' END,
      last_message_at = greatest(last_message_at, :at),
      is_direct = is_direct OR :is_direct
    WHERE id = :id
    """
)
# What waits of a connection `c`, from messages `m` with their campaign `k`: the same for who looks
# at one owner and for who watches all. A message is due that nothing but its turn holds back.
WAITING_SUMS = """
      count(*) FILTER (WHERE m.campaign_id IS NULL) AS direct,
      count(*) FILTER (WHERE m.campaign_id IS NOT NULL) AS campaigns,
      min(m.queued_at) AS oldest_at,
      min(m.queued_at) FILTER (WHERE m.campaign_id IS NULL AND m.hold IS NULL) AS oldest_direct_at,
      min(m.estimated_send_at) FILTER (WHERE m.hold IS NULL AND (m.campaign_id IS NULL
        OR (k.status = 'active' AND (k.hours IS NULL OR k.open_until > now())
          AND (c.bulk_held_until IS NULL OR c.bulk_held_until <= now())))) AS due_at
    FROM messages m JOIN platform_connections c ON c.id = m.connection_id
    LEFT JOIN campaigns k ON k.id = m.campaign_id
    WHERE m.state = 'queued'"""
# Rows are read once and never looked at again after an UPDATE: nothing to keep in step.
UNSYNCHRONISED = {"synchronize_session": False}


def message_of(row: MessageRow) -> Message:
    assert row.state is not None
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
        attachments=tuple(map(attachment_of, row.attachments)),
        metadata=row.metadata_,
        priority=row.priority,
        state=State(row.state),
        hold=Hold(row.hold) if row.hold else None,
        # What was written outside of Huntaze was never queued here.
        queued_at=row.queued_at or row.created_at,
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
        sent_by_ai=row.sent_by_ai,
        snippet_id=row.snippet_id,
    )


def attachment_of(item: dict[str, Any]) -> Attachment:
    return Attachment(item["type"], item["url"], item.get("mediaId"))


def attachment_json(item: Attachment) -> dict[str, str]:
    known = {"type": item.type, "url": item.url}
    return known if item.media_id is None else known | {"mediaId": item.media_id}


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


def claim_of(
    message: MessageRow | Row[Any],
    connection: ConnectionRow | Row[Any],
    fan: FanRow | Row[Any],
    cipher: Cipher,
) -> Claim:
    """A message with all that a call needs."""
    assert message.queued_at is not None
    return Claim(
        message_id=MessageId(message.id),
        public_id=PublicId(message.public_id),
        owner_id=OwnerId(message.user_id),
        connection_id=ConnectionId(message.connection_id),
        campaign_id=None if message.campaign_id is None else CampaignId(message.campaign_id),
        fan_id=FanId(message.fan_id),
        priority=message.priority,
        attempt_no=message.attempt_no,
        failures=message.failures,
        key_no=message.key_no,
        account_id=connection.account_id,
        access_key=cipher.decrypt(connection.access_key),
        platform_user_id=fan.platform_user_id or "",
        text=message.text,
        price_cents=message.price_cents,
        media_ids=tuple(item["mediaId"] for item in message.attachments if "mediaId" in item),
        queued_at=message.queued_at,
    )


def attempts_of(session: Session, message_id: MessageId) -> Sequence[Attempt]:
    """A message's ledger, oldest attempt first."""
    rows = session.scalars(
        select(AttemptRow)
        .where(AttemptRow.message_id == message_id)
        .order_by(AttemptRow.attempt_no)
    )
    return [attempt_of(row) for row in rows]


def queued_in_order(message_ids: Sequence[int]) -> Select[Any]:
    """The queued ones, locked by id as `admitted` does: two writers of many never deadlock."""
    return (
        select(MessageRow.id)
        .where(MessageRow.id.in_(message_ids), MessageRow.state == QUEUED)
        .order_by(MessageRow.id)
        .with_for_update(key_share=True)
    )


def money_moved(session: Session, message_ids: Iterable[int | None]) -> None:
    """Mark messages as changed by what is paid for them, so that their campaign is counted."""
    ids = sorted({one for one in message_ids if one is not None})
    if ids:
        session.execute(
            update(MessageRow)
            .where(MessageRow.id.in_(ids), MessageRow.campaign_id.is_not(None))
            .values(changed=MessageRow.changed)
        )


def changed(session: Session, statement: Executable) -> int:
    """Execute an UPDATE; returns how many rows it changed."""
    done = session.execute(statement, execution_options=UNSYNCHRONISED)
    return cast("CursorResult[object]", done).rowcount

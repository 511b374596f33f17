"""Messages, campaigns, the ledger and stored replies."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from infra.db.tables.base import Row, key, moment, one_of

# What a search for messages looks through; queries must spell it the same way to use its index.
MESSAGE_SEARCH = "to_tsvector('simple', text)"


class CampaignRow(Row):
    __tablename__ = "campaigns"
    id: Mapped[int] = key()
    public_id: Mapped[UUID] = mapped_column(server_default=sql("gen_random_uuid()"), unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str]
    type: Mapped[str] = mapped_column(server_default="bulk_message")
    status: Mapped[str] = mapped_column(server_default="draft")
    template: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    target_audience: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    metrics: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = moment()
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    version: Mapped[int] = mapped_column(server_default="1")
    price_cents: Mapped[int | None]
    priority: Mapped[int] = mapped_column(server_default="8")
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", server_default="{}")
    total: Mapped[int] = mapped_column(server_default="0")
    # When the last message was promised to leave, and why the campaign is not simply going.
    promised_at: Mapped[datetime | None]
    reason: Mapped[str | None]
    scheduled_at: Mapped[datetime | None]
    # The hours in which it sends, until when it may now, or until when it is held.
    hours: Mapped[dict[str, Any] | None]
    open_until: Mapped[datetime | None]
    held_until: Mapped[datetime | None]
    # Paused by itself when so many per cent of what was tried failed.
    failure_percent: Mapped[int] = mapped_column(server_default="20")
    # What had failed when somebody resumed it counts no more.
    forgiven: Mapped[int] = mapped_column(server_default="0")
    # Every recipient has a message from then on.
    fanned_out_at: Mapped[datetime | None]
    wake_after: Mapped[datetime | None]
    wake_tries: Mapped[int] = mapped_column(server_default="0")
    # What its messages were counted as, up to which change of theirs, and when.
    counts: Mapped[dict[str, Any] | None]
    counted_to: Mapped[int] = mapped_column(server_default="0")
    counted_at: Mapped[datetime | None]
    __table_args__ = (
        one_of(
            "status",
            "draft",
            "scheduled",
            "active",
            "paused",
            "completed",
            "cancelled",
            "failed",
        ),
        Index("ix_campaigns_user_id_id", "user_id", "id"),
        Index(
            "ix_campaigns_wake_after", "wake_after", postgresql_where=sql("wake_after IS NOT NULL")
        ),
        Index(
            "ix_campaigns_open",
            "counted_at",
            postgresql_where=sql("status IN ('active', 'paused')"),
        ),
        Index(
            "ix_campaigns_completed_at",
            "completed_at",
            postgresql_where=sql("completed_at IS NOT NULL"),
        ),
    )


class CampaignRecipientRow(Row):
    """The frozen audience: who gets which text, and when it was promised."""

    __tablename__ = "campaign_recipients"
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    fan_id: Mapped[int] = mapped_column(ForeignKey("fans.id"))
    connection_id: Mapped[int] = mapped_column(ForeignKey("platform_connections.id"))
    text: Mapped[str]
    promised_at: Mapped[datetime | None]
    # Until then the fan has had enough of today.
    held_until: Mapped[datetime | None]
    __table_args__ = (
        UniqueConstraint("campaign_id", "fan_id"),
        Index("ix_campaign_recipients_fan_id", "fan_id"),
    )


class MessageRow(Row):
    """Incoming messages have no state: nothing must happen to them any more."""

    __tablename__ = "messages"
    id: Mapped[int] = key()
    public_id: Mapped[UUID] = mapped_column(unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    connection_id: Mapped[int] = mapped_column(ForeignKey("platform_connections.id"))
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversations.id"))
    fan_id: Mapped[int] = mapped_column(ForeignKey("fans.id"))
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaigns.id"))
    direction: Mapped[str]
    text: Mapped[str]
    price_cents: Mapped[int | None]
    attachments: Mapped[list[Any]] = mapped_column(server_default="[]")
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", server_default="{}")
    read: Mapped[bool] = mapped_column(server_default="false")
    sent_by_ai: Mapped[bool] = mapped_column(server_default="false")
    created_at: Mapped[datetime] = moment()

    # What must still happen to an outgoing message
    state: Mapped[str | None]
    hold: Mapped[str | None]
    priority: Mapped[int] = mapped_column(server_default="5")
    queued_at: Mapped[datetime | None]
    promised_at: Mapped[datetime | None]
    estimated_send_at: Mapped[datetime | None]
    delay: Mapped[str | None]
    admitted_at: Mapped[datetime | None]
    wake_after: Mapped[datetime | None]
    wake_tries: Mapped[int] = mapped_column(server_default="0")
    lease_until: Mapped[datetime | None]
    attempt_no: Mapped[int] = mapped_column(server_default="0")
    failures: Mapped[int] = mapped_column(server_default="0")
    key_no: Mapped[int] = mapped_column(server_default="0")
    platform_message_id: Mapped[str | None]
    error_code: Mapped[str | None]
    error_detail: Mapped[str | None]
    sent_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]
    dead_lettered_at: Mapped[datetime | None]
    dead_letter_reason: Mapped[str | None]

    # What became of it on the platform, and who wrote it: `platform` = outside of Huntaze
    origin: Mapped[str] = mapped_column(server_default="huntaze")
    opened_at: Mapped[datetime | None]
    purchased_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]
    unsend_after: Mapped[datetime | None]
    unsend_tries: Mapped[int] = mapped_column(server_default="0")
    # The script that it was written from.
    snippet_id: Mapped[int | None] = mapped_column(ForeignKey("snippets.id"))
    # What told of its failure last.
    notification_id: Mapped[int | None] = mapped_column(ForeignKey("notifications.id"))
    # The transaction that last changed the row, by a trigger: what polling asks for.
    changed: Mapped[int] = mapped_column(server_default="0")
    __table_args__ = (
        one_of("direction", "in", "out"),
        one_of(
            "state",
            "queued",
            "sending",
            "sent",
            "delivered",
            "failed",
            "unknown",
            "cancelled",
            "unsent",
        ),
        CheckConstraint("(direction = 'out') = (state IS NOT NULL)", name="outgoing_has_state"),
        CheckConstraint("priority BETWEEN 1 AND 10", name="priority"),
        CheckConstraint("price_cents >= 0", name="price_cents"),
        CheckConstraint("state <> 'sending' OR lease_until IS NOT NULL", name="sending_has_lease"),
        UniqueConstraint("connection_id", "platform_message_id"),
        UniqueConstraint("campaign_id", "fan_id"),
        # Whether anything of a campaign changed since it was counted.
        Index(
            "ix_messages_campaign_id_changed",
            "campaign_id",
            "changed",
            postgresql_where=sql("campaign_id IS NOT NULL"),
        ),
        one_of("origin", "huntaze", "platform"),
        Index("ix_messages_conversation_id_created_at", "conversation_id", "created_at", "id"),
        Index("ix_messages_user_id_created_at", "user_id", "created_at", "id"),
        Index("ix_messages_connection_id_created_at", "connection_id", "created_at", "id"),
        Index("ix_messages_user_id_changed", "user_id", "changed", "id"),
        Index("ix_messages_fan_id", "fan_id", "id"),
        Index(
            "ix_messages_dead_lettered_at",
            "user_id",
            "dead_lettered_at",
            "id",
            postgresql_where=sql("dead_lettered_at IS NOT NULL"),
        ),
        # What a snippet earned.
        Index(
            "ix_messages_snippet_id",
            "snippet_id",
            postgresql_where=sql("snippet_id IS NOT NULL AND price_cents > 0"),
        ),
        Index(
            "ix_messages_notification_id",
            "notification_id",
            "state",
            "id",
            postgresql_where=sql("notification_id IS NOT NULL"),
        ),
        # What a fan got and bought, among the thousands of words that were said.
        Index(
            "ix_messages_media",
            "fan_id",
            "created_at",
            "id",
            postgresql_where=sql("direction = 'out' AND attachments <> '[]'::jsonb"),
        ),
        Index(
            "ix_messages_purchased",
            "fan_id",
            "purchased_at",
            "id",
            postgresql_where=sql("purchased_at IS NOT NULL"),
        ),
        Index(
            "ix_messages_user_id_search",
            "user_id",
            sql(MESSAGE_SEARCH),
            postgresql_using="gin",
        ),
        Index(
            "ix_messages_unread",
            "conversation_id",
            postgresql_where=sql("direction = 'in' AND NOT read"),
        ),
        Index(
            "ix_messages_unsend_after",
            "unsend_after",
            postgresql_where=sql("unsend_after IS NOT NULL"),
        ),
        # Who waits on a connection, in pick order: numbering, promises, rebuilds.
        Index(
            "ix_messages_waiting",
            "connection_id",
            "priority",
            "id",
            postgresql_where=sql("state IN ('queued', 'sending')"),
        ),
        # What the healing timer looks for each second.
        Index(
            "ix_messages_wake_after",
            "wake_after",
            postgresql_where=sql("state IN ('queued', 'unknown') AND wake_after IS NOT NULL"),
        ),
        Index(
            "ix_messages_fan_limit",
            "wake_after",
            postgresql_where=sql("state = 'queued' AND hold = 'fan_limit'"),
        ),
        Index("ix_messages_lease_until", "lease_until", postgresql_where=sql("state = 'sending'")),
        Index(
            "ix_messages_user_id_sent_at",
            "user_id",
            "sent_at",
            postgresql_where=sql("sent_at IS NOT NULL"),
        ),
        Index(
            "ix_messages_user_id_queued_at",
            "user_id",
            "queued_at",
            postgresql_where=sql("queued_at IS NOT NULL"),
        ),
        Index(
            "ix_messages_user_id_failed_at",
            "user_id",
            "failed_at",
            postgresql_where=sql("failed_at IS NOT NULL"),
        ),
        # Incoming messages have no state and stand here too: what fans wrote, newest first.
        Index("ix_messages_user_id_state", "user_id", "state", "created_at", "id"),
    )


class AttemptRow(Row):
    """The ledger: inserted with the claim, completed once, never deleted."""

    __tablename__ = "message_attempts"
    id: Mapped[int] = key()
    message_id: Mapped[int] = mapped_column(ForeignKey("messages.id"))
    connection_id: Mapped[int] = mapped_column(ForeignKey("platform_connections.id"))
    attempt_no: Mapped[int]
    send_key: Mapped[str]
    claimed_at: Mapped[datetime] = moment()
    slot_at: Mapped[datetime | None]
    interval_ms: Mapped[float | None]  # to the next slot, as charged
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    http_status: Mapped[int | None]
    error_code: Mapped[str | None]
    detail: Mapped[str | None]
    platform_message_id: Mapped[str | None]
    __table_args__ = (
        UniqueConstraint("message_id", "attempt_no"),
        Index("ix_message_attempts_connection_id_slot_at", "connection_id", "slot_at"),
        Index("ix_message_attempts_started_at", "started_at"),
    )


class IdempotencyKeyRow(Row):
    __tablename__ = "idempotency_keys"
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    route: Mapped[str]
    fingerprint: Mapped[str]
    reply: Mapped[str | None]
    created_at: Mapped[datetime] = moment()
    __table_args__ = (Index("ix_idempotency_keys_created_at", "created_at"),)

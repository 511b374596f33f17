"""What the platform tells: raw events, money, and media put into its vault."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from infra.db.tables.base import Row, key, moment, one_of


class PlatformEventRow(Row):
    """A webhook as it came; `handled_at` is null while something must still be done with it."""

    __tablename__ = "platform_events"
    id: Mapped[int] = key()
    key: Mapped[str] = mapped_column(unique=True)
    account_id: Mapped[str]
    event: Mapped[str]
    body: Mapped[str]
    redelivery_of: Mapped[str | None]
    received_at: Mapped[datetime] = moment()
    connection_id: Mapped[int | None] = mapped_column(ForeignKey("platform_connections.id"))
    fan_id: Mapped[int | None] = mapped_column(ForeignKey("fans.id"))
    handled_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    wake_after: Mapped[datetime | None]
    wake_tries: Mapped[int] = mapped_column(server_default="0")
    __table_args__ = (
        Index(
            "ix_platform_events_wake_after",
            "wake_after",
            postgresql_where=sql("handled_at IS NULL AND wake_after IS NOT NULL"),
        ),
        Index(
            "ix_platform_events_received_at",
            "received_at",
            postgresql_where=sql("body <> ''"),
        ),
        Index("ix_platform_events_connection_id_id", "connection_id", "id"),
        Index("ix_platform_events_fan_id", "fan_id"),
    )


class TelemetryRow(Row):
    """Up to when the metrics were told: one row."""

    __tablename__ = "telemetry"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    told_to: Mapped[datetime]


class TransactionRow(Row):
    """Money that moved; the only source of revenue. A reversed one counts for nothing."""

    __tablename__ = "transactions"
    id: Mapped[int] = key()
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    connection_id: Mapped[int | None] = mapped_column(ForeignKey("platform_connections.id"))
    fan_id: Mapped[int | None] = mapped_column(ForeignKey("fans.id"))
    message_id: Mapped[int | None] = mapped_column(ForeignKey("messages.id"))
    platform_transaction_id: Mapped[str | None]
    platform_user_id: Mapped[str | None]  # whose it is, also before there is such a fan
    source: Mapped[str]
    type: Mapped[str]
    gross_cents: Mapped[int]
    fee_cents: Mapped[int] = mapped_column(server_default="0")
    net_cents: Mapped[int]
    vat_cents: Mapped[int] = mapped_column(server_default="0")
    tax_cents: Mapped[int] = mapped_column(server_default="0")
    currency: Mapped[str] = mapped_column(server_default="USD")
    status: Mapped[str | None]
    description: Mapped[str | None]
    happened_at: Mapped[datetime]
    reversed_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = moment()
    __table_args__ = (
        one_of("source", "webhook", "sync", "manual"),
        UniqueConstraint("connection_id", "platform_transaction_id"),
        Index("ix_transactions_user_id_happened_at", "user_id", "happened_at", "id"),
        Index("ix_transactions_fan_id_happened_at", "fan_id", "happened_at", "id"),
        Index("ix_transactions_message_id", "message_id"),
        Index("ix_transactions_user_id_type", "user_id", "type", "happened_at", "id"),
        Index("ix_transactions_connection_id_happened_at", "connection_id", "happened_at", "id"),
        Index(
            "ix_transactions_unattached",
            "connection_id",
            "platform_user_id",
            postgresql_where=sql("fan_id IS NULL AND platform_user_id IS NOT NULL"),
        ),
    )


class DeletedMessageRow(Row):
    """A message that left its chat before we heard of it."""

    __tablename__ = "deleted_messages"
    connection_id: Mapped[int] = mapped_column(
        ForeignKey("platform_connections.id"), primary_key=True
    )
    platform_message_id: Mapped[str] = mapped_column(primary_key=True)
    deleted_at: Mapped[datetime] = moment()


class ErasedFanRow(Row):
    """Somebody who was erased: the platform's lists, which go on naming them, bring nobody back.
    Nothing leads from here to what is kept without a name."""

    __tablename__ = "erased_fans"
    connection_id: Mapped[int] = mapped_column(
        ForeignKey("platform_connections.id"), primary_key=True
    )
    platform_user_id: Mapped[str] = mapped_column(primary_key=True)
    erased_at: Mapped[datetime] = moment()


class PurchaseRow(Row):
    """A priced message was unlocked. The platform names no message: fan, price and time find it."""

    __tablename__ = "message_purchases"
    connection_id: Mapped[int] = mapped_column(
        ForeignKey("platform_connections.id"), primary_key=True
    )
    platform_id: Mapped[str] = mapped_column(primary_key=True)
    platform_user_id: Mapped[str]
    price_cents: Mapped[int]
    happened_at: Mapped[datetime]
    __table_args__ = (
        Index("ix_message_purchases_fan", "connection_id", "platform_user_id", "price_cents"),
    )


class MediaRow(Row):
    """A file in a connection's vault, once for each content."""

    __tablename__ = "media"
    id: Mapped[int] = key()
    connection_id: Mapped[int] = mapped_column(ForeignKey("platform_connections.id"))
    content_hash: Mapped[str]
    kind: Mapped[str]
    bytes: Mapped[int]
    vault_id: Mapped[str | None]  # null while it is uploaded
    lease_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = moment()
    __table_args__ = (
        one_of("kind", "image", "video", "audio"),
        CheckConstraint("vault_id IS NOT NULL OR lease_until IS NOT NULL", name="held"),
        UniqueConstraint("connection_id", "content_hash"),
    )


class MediaSourceRow(Row):
    """What an address held when it was last fetched for a connection."""

    __tablename__ = "media_sources"
    connection_id: Mapped[int] = mapped_column(
        ForeignKey("platform_connections.id"), primary_key=True
    )
    url_hash: Mapped[str] = mapped_column(primary_key=True)
    media_id: Mapped[int] = mapped_column(ForeignKey("media.id"))
    fetched_at: Mapped[datetime] = moment()

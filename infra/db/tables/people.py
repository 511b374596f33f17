"""Users, connections, fans and conversations."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from infra.db.tables.base import Row, key, moment, one_of


class UserRow(Row):
    __tablename__ = "users"
    id: Mapped[int] = key()
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id", deferrable=True))
    email: Mapped[str]
    password_hash: Mapped[str]
    role: Mapped[str]
    time_zone: Mapped[str] = mapped_column(server_default="UTC")
    created_at: Mapped[datetime] = moment()
    __table_args__ = (
        one_of("role", "owner", "manager", "chatter", "analyst"),
        Index("uq_users_email", sql("lower(email)"), unique=True),
        Index("ix_users_owner_id", "owner_id"),
    )


class ConnectionRow(Row):
    __tablename__ = "platform_connections"
    id: Mapped[int] = key()
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    platform: Mapped[str] = mapped_column(server_default="onlyfans")
    name: Mapped[str]
    account_id: Mapped[str]
    access_key: Mapped[bytes | None]  # encrypted
    state: Mapped[str] = mapped_column(server_default="active")
    state_reason: Mapped[str | None]
    rate_per_minute: Mapped[float | None]
    burst: Mapped[int | None]
    slowdown: Mapped[int] = mapped_column(server_default="0")
    failures: Mapped[int] = mapped_column(server_default="0")
    blocked_until: Mapped[datetime | None]
    blocked_reason: Mapped[str | None]
    created_at: Mapped[datetime] = moment()
    __table_args__ = (
        one_of("state", "active", "paused", "paused_auth", "paused_quota", "disconnected"),
        CheckConstraint("rate_per_minute > 0", name="rate_per_minute"),
        CheckConstraint("burst BETWEEN 1 AND 100", name="burst"),
        Index("ix_platform_connections_user_id_id", "user_id", "id"),
        Index(
            "uq_platform_connections_account_id",
            "platform",
            "account_id",
            unique=True,
            postgresql_where=sql("state <> 'disconnected'"),
        ),
    )


class FanRow(Row):
    __tablename__ = "fans"
    id: Mapped[int] = key()
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str]
    platform: Mapped[str] = mapped_column(server_default="onlyfans")
    handle: Mapped[str]
    email: Mapped[str | None]
    avatar: Mapped[str | None]
    tags: Mapped[list[str]] = mapped_column(server_default="{}")
    value_cents: Mapped[int] = mapped_column(server_default="0")
    last_seen_at: Mapped[datetime | None]
    notes: Mapped[str | None]
    tier: Mapped[str | None]
    connection_id: Mapped[int | None] = mapped_column(ForeignKey("platform_connections.id"))
    platform_user_id: Mapped[str | None]
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime] = moment()
    updated_at: Mapped[datetime] = moment()
    deleted_at: Mapped[datetime | None]
    __table_args__ = (
        Index("ix_fans_user_id_id", "user_id", "id", postgresql_where=sql("deleted_at IS NULL")),
        Index(
            "uq_fans_handle",
            "user_id",
            "platform",
            sql("lower(handle)"),
            unique=True,
            postgresql_where=sql("deleted_at IS NULL"),
        ),
        Index(
            "uq_fans_platform_user_id",
            "connection_id",
            "platform_user_id",
            unique=True,
            postgresql_where=sql("deleted_at IS NULL"),
        ),
    )


class ConversationRow(Row):
    __tablename__ = "conversations"
    id: Mapped[int] = key()
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    fan_id: Mapped[int] = mapped_column(ForeignKey("fans.id"))
    connection_id: Mapped[int] = mapped_column(ForeignKey("platform_connections.id"))
    platform: Mapped[str] = mapped_column(server_default="onlyfans")
    last_message_at: Mapped[datetime | None]
    unread_count: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime] = moment()
    __table_args__ = (
        UniqueConstraint("fan_id", "connection_id"),
        Index("ix_conversations_user_id_last_message_at", "user_id", "last_message_at", "id"),
    )

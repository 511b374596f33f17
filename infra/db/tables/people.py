"""Users, connections, fans and conversations."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Computed, ForeignKey, Index, UniqueConstraint
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from infra.db.tables.base import NOW, Row, key, moment, one_of

LIVE = sql("deleted_at IS NULL")
FAN_SEARCH = "lower(name || ' ' || handle || ' ' || coalesce(email, ''))"
# Handles that differ in case and punctuation only are perhaps one person's.
FAN_HANDLE_KEY = "translate(lower(handle), '@._-', '')"
# Deleted fans that may come back by themselves; merged ones come back with their merge.
RESTORABLE = sql("deleted_at IS NOT NULL AND erased_at IS NULL AND merged_into IS NULL")
MERGED = sql("merged_into IS NOT NULL")
LINKED = sql("deleted_at IS NULL AND platform_user_id IS NOT NULL")


class UserRow(Row):
    __tablename__ = "users"
    id: Mapped[int] = key()
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id", deferrable=True))
    email: Mapped[str]
    password_hash: Mapped[str]
    role: Mapped[str]
    time_zone: Mapped[str] = mapped_column(server_default="UTC")
    created_at: Mapped[datetime] = moment()
    removed_at: Mapped[datetime | None]
    tokens_after: Mapped[datetime | None]  # a login from before then is over
    __table_args__ = (
        one_of("role", "owner", "manager", "chatter", "analyst"),
        Index(
            "uq_users_email",
            sql("lower(email)"),
            unique=True,
            postgresql_where=sql("removed_at IS NULL"),
        ),
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
    username: Mapped[str | None]
    platform_user_id: Mapped[str | None]  # the creator's own
    # The periodic sync: when it is due, when it last ended well, and how far it read.
    sync_after: Mapped[datetime | None] = mapped_column(server_default=NOW)
    synced_at: Mapped[datetime | None]
    sync_marks: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    sync_error: Mapped[str | None]
    # As of when the state is what it is: an older word of the platform changes nothing.
    state_at: Mapped[datetime] = moment()
    # Hours and caps of its campaigns, and until when, and why, it sends nothing of them.
    bulk_limits: Mapped[dict[str, Any] | None]
    bulk_held_until: Mapped[datetime | None]
    bulk_held_why: Mapped[str | None]
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
        Index(
            "ix_platform_connections_sync_after",
            "sync_after",
            postgresql_where=sql("state <> 'disconnected'"),
        ),
        Index(
            "ix_platform_connections_bulk_held_until",
            "bulk_held_until",
            postgresql_where=sql("bulk_held_until IS NOT NULL"),
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
    # What the value was last stated to be by a person or an import; later transactions add to it.
    value_stated_at: Mapped[datetime | None]
    tips_cents: Mapped[int] = mapped_column(server_default="0")
    last_purchase_at: Mapped[datetime | None]
    subscription: Mapped[str | None]
    subscription_ends_at: Mapped[datetime | None]
    subscription_tier: Mapped[str | None]  # as an imported file calls it
    merged_into: Mapped[int | None] = mapped_column(ForeignKey("fans.id"))
    erased_at: Mapped[datetime | None]
    # What the platform last said of the fan, and when: a field still equal to it is its to change.
    told: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    search: Mapped[str] = mapped_column(Computed(FAN_SEARCH, persisted=True))
    __table_args__ = (
        one_of("subscription", "active", "expired"),
        one_of("tier", "whale", "spender", "quiet", "new"),
        Index("ix_fans_user_id_id", "user_id", "id", postgresql_where=LIVE),
        Index("ix_fans_user_id_value", "user_id", "value_cents", "id", postgresql_where=LIVE),
        Index(
            "ix_fans_user_id_last_seen",
            "user_id",
            sql("coalesce(last_seen_at, to_timestamp(0))"),
            "id",
            postgresql_where=LIVE,
        ),
        Index("ix_fans_user_id_name", "user_id", sql("lower(name)"), "id", postgresql_where=LIVE),
        Index("ix_fans_user_id_tier", "user_id", "tier", "id", postgresql_where=LIVE),
        Index("ix_fans_user_id_email", "user_id", sql("lower(email)"), postgresql_where=LIVE),
        Index(
            "ix_fans_user_id_tips",
            "user_id",
            "id",
            postgresql_where=sql("deleted_at IS NULL AND tips_cents > 0"),
        ),
        # Imported fans have none of what these are about: the fewer indexes, the faster.
        Index(
            "ix_fans_connection_id",
            "connection_id",
            postgresql_where=sql("connection_id IS NOT NULL"),
        ),
        Index(
            "ix_fans_user_id_subscription",
            "user_id",
            "subscription",
            "id",
            postgresql_where=sql("deleted_at IS NULL AND subscription IS NOT NULL"),
        ),
        Index(
            "ix_fans_user_id_subscription_tier",
            "user_id",
            "subscription_tier",
            "id",
            postgresql_where=sql("deleted_at IS NULL AND subscription_tier IS NOT NULL"),
        ),
        Index(
            "ix_fans_unlinked",
            "user_id",
            "id",
            postgresql_where=sql("deleted_at IS NULL AND platform_user_id IS NULL"),
        ),
        Index("ix_fans_deleted", "user_id", "id", postgresql_where=RESTORABLE),
        Index(
            "ix_fans_deleted_handle", "user_id", sql("lower(handle)"), postgresql_where=RESTORABLE
        ),
        Index("ix_fans_handle_key", "user_id", sql(FAN_HANDLE_KEY), postgresql_where=LIVE),
        Index(
            "ix_fans_user_id_platform_user_id",
            "user_id",
            "platform_user_id",
            postgresql_where=LINKED,
        ),
        # Who a fan was merged into: by id, by the handle that files still name, and for what the
        # platform still tells of the merged one.
        Index("ix_fans_merged_into", "merged_into", postgresql_where=MERGED),
        Index("ix_fans_merged_handle", "user_id", sql("lower(handle)"), postgresql_where=MERGED),
        Index("ix_fans_merged", "connection_id", "platform_user_id", postgresql_where=MERGED),
        Index(
            "ix_fans_gone",
            "connection_id",
            "platform_user_id",
            postgresql_where=sql("deleted_at IS NOT NULL"),
        ),
        Index(
            "ix_fans_user_id_tags",
            "user_id",
            "tags",
            postgresql_using="gin",
            postgresql_where=LIVE,
        ),
        # Parts of names: three letters and more are found without reading every fan.
        Index(
            "ix_fans_user_id_search",
            "user_id",
            "search",
            postgresql_using="gin",
            postgresql_ops={"search": "gin_trgm_ops"},
            postgresql_where=LIVE,
        ),
        Index(
            "uq_fans_handle",
            "user_id",
            "platform",
            sql("lower(handle)"),
            unique=True,
            postgresql_where=LIVE,
        ),
        Index(
            "uq_fans_platform_user_id",
            "connection_id",
            "platform_user_id",
            unique=True,
            postgresql_where=LINKED,
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
    last_direction: Mapped[str | None]
    # Whether anything but campaign messages was ever said.
    is_direct: Mapped[bool] = mapped_column(server_default="false")
    # When it was last read here, and when the platform is to be told so.
    read_at: Mapped[datetime | None]
    tell_read_after: Mapped[datetime | None]
    # The transaction that last changed the row, by a trigger: what polling asks for.
    changed: Mapped[int] = mapped_column(server_default="0")
    __table_args__ = (
        one_of("last_direction", "in", "out"),
        UniqueConstraint("fan_id", "connection_id"),
        Index("ix_conversations_user_id_last_message_at", "user_id", "last_message_at", "id"),
        Index(
            "ix_conversations_unread",
            "user_id",
            "last_message_at",
            "id",
            postgresql_where=sql("unread_count > 0 AND is_direct"),
        ),
        Index(
            "ix_conversations_unreplied",
            "user_id",
            "last_message_at",
            "id",
            postgresql_where=sql("last_direction = 'in' AND is_direct"),
        ),
        # The list as everybody opens it: a campaign to all fans must not lie on top of it.
        Index(
            "ix_conversations_direct",
            "user_id",
            "last_message_at",
            "id",
            postgresql_where=sql("is_direct"),
        ),
        Index(
            "ix_conversations_user_id_connection_id",
            "user_id",
            "connection_id",
            "last_message_at",
            "id",
        ),
        Index("ix_conversations_user_id_changed", "user_id", "changed", "id"),
        Index(
            "ix_conversations_tell_read_after",
            "tell_read_after",
            postgresql_where=sql("tell_read_after IS NOT NULL"),
        ),
    )

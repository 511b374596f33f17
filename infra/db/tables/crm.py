"""What a team keeps about its fans: changes, merges, saved filters, rules and words."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from infra.db.tables.base import Row, key, moment, one_of


class FanChangeRow(Row):
    """One change of one fan: the changed fields as they were and as they are. An import writes one
    for each fan it touches, and undoes itself by them.

    No foreign keys: rows of users and fans are never deleted, and the three checks of each line
    would cost an import a quarter of its time."""

    __tablename__ = "fan_changes"
    id: Mapped[int] = key()
    user_id: Mapped[int]
    fan_id: Mapped[int]
    actor_id: Mapped[int | None]
    import_id: Mapped[int | None]
    source: Mapped[str]
    before: Mapped[dict[str, Any]]
    after: Mapped[dict[str, Any]]
    at: Mapped[datetime] = moment()
    __table_args__ = (
        one_of("source", "person", "import", "platform", "rules", "merge"),
        Index("ix_fan_changes_fan_id_id", "fan_id", "id"),
        Index(
            "ix_fan_changes_import_id_fan_id",
            "import_id",
            "fan_id",
            "id",
            postgresql_where=sql("import_id IS NOT NULL"),
        ),
    )


class FanMergeRow(Row):
    """Two fans made one, with what is needed to part them again."""

    __tablename__ = "fan_merges"
    id: Mapped[int] = key()
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    kept_id: Mapped[int] = mapped_column(ForeignKey("fans.id"))
    merged_id: Mapped[int] = mapped_column(ForeignKey("fans.id"))
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    kept_before: Mapped[dict[str, Any]]
    kept_after: Mapped[dict[str, Any]]
    moved: Mapped[dict[str, Any]]
    at: Mapped[datetime] = moment()
    undone_at: Mapped[datetime | None]
    __table_args__ = (
        Index("ix_fan_merges_user_id_id", "user_id", "id"),
        Index("ix_fan_merges_kept_id", "kept_id"),
        Index("ix_fan_merges_merged_id", "merged_id"),
    )


class SavedFilterRow(Row):
    """A segment (of fans) or a saved view (of conversations)."""

    __tablename__ = "saved_filters"
    id: Mapped[int] = key()
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    kind: Mapped[str]
    name: Mapped[str]
    filter: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = moment()
    updated_at: Mapped[datetime] = moment()
    __table_args__ = (
        one_of("kind", "fans", "conversations"),
        Index("uq_saved_filters_name", "user_id", "kind", sql("lower(name)"), unique=True),
    )


class TierRulesRow(Row):
    """An owner's thresholds; without a row the defaults of the domain hold. `swept_to` is the last
    fan whose tier follows the present rules, null when all do."""

    __tablename__ = "tier_rules"
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    whale_cents: Mapped[int]
    spender_cents: Mapped[int]
    quiet_days: Mapped[int]
    new_days: Mapped[int]
    swept_to: Mapped[int | None] = mapped_column(server_default="0")
    swept_at: Mapped[datetime | None]
    updated_at: Mapped[datetime] = moment()


class BannedWordRow(Row):
    """A word that no message of this owner may contain. An empty one only says that the list is
    the owner's own, though there may be nothing on it."""

    __tablename__ = "banned_words"
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    word: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = moment()


class NotificationRow(Row):
    """What a team must know: about messages (which name it), or about one connection, campaign or
    import. One of messages is resolved when none of them stands as failed, whatever stands here."""

    __tablename__ = "notifications"
    id: Mapped[int] = key()
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    kind: Mapped[str]
    code: Mapped[str | None]
    detail: Mapped[str | None]
    connection_id: Mapped[int | None] = mapped_column(ForeignKey("platform_connections.id"))
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaigns.id"))
    import_id: Mapped[int | None] = mapped_column(ForeignKey("imports.id"))
    created_at: Mapped[datetime] = moment()
    resolved_at: Mapped[datetime | None]
    __table_args__ = (
        one_of(
            "kind",
            "messages_failed",
            "messages_unproven",
            "connection_paused",
            "platform_failing",
            "campaign_paused",
            "campaign_failed",
            "import_failed",
        ),
        Index("ix_notifications_user_id_id", "user_id", "id"),
        # The badge of every page.
        Index(
            "ix_notifications_open", "user_id", "id", postgresql_where=sql("resolved_at IS NULL")
        ),
        # What a row told before.
        *(
            Index(
                f"ix_notifications_{column}",
                column,
                "id",
                postgresql_where=sql(f"resolved_at IS NULL AND {column} IS NOT NULL"),
            )
            for column in ("connection_id", "campaign_id", "import_id")
        ),
    )


class NotificationMarkRow(Row):
    """Up to which notification a member has seen all."""

    __tablename__ = "notification_marks"
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    seen_to: Mapped[int]
    seen_at: Mapped[datetime] = moment()


class SnippetRow(Row):
    """A script of a team's. A removed one stays: its messages still name it."""

    __tablename__ = "snippets"
    id: Mapped[int] = key()
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    title: Mapped[str]
    shortcut: Mapped[str]
    text: Mapped[str]
    category: Mapped[str | None]
    use_count: Mapped[int] = mapped_column(server_default="0")
    last_used_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = moment()
    updated_at: Mapped[datetime] = moment()
    removed_at: Mapped[datetime | None]
    __table_args__ = (
        Index(
            "uq_snippets_shortcut",
            "user_id",
            "shortcut",
            unique=True,
            postgresql_where=sql("removed_at IS NULL"),
        ),
        Index(
            "ix_snippets_title",
            "user_id",
            sql("lower(title)"),
            "id",
            postgresql_where=sql("removed_at IS NULL"),
        ),
    )

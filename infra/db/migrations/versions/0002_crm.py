"""The CRM: access, fans, conversations, inbound events, money and media"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

CHECKS = (
    ("fans", "subscription", "subscription IN ('active', 'expired')"),
    ("fans", "tier", "tier IN ('whale', 'spender', 'quiet', 'new')"),
    ("conversations", "last_direction", "last_direction IN ('in', 'out')"),
    ("messages", "origin", "origin IN ('huntaze', 'platform')"),
)
# A row remembers the transaction that last changed it. A reader takes the oldest transaction still
# running as its mark, so a change that is committed late is never missed.
MARK_CHANGED = """
CREATE FUNCTION mark_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.changed := pg_current_xact_id()::text::bigint;
  RETURN NEW;
END $$
"""
REFUSE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'lines of % are never changed', TG_TABLE_NAME;
END $$
"""
BACKFILL = """
UPDATE conversations c SET
  last_message_at = coalesce(c.last_message_at, c.created_at),
  last_direction = (SELECT m.direction FROM messages m
    WHERE m.conversation_id = c.id ORDER BY m.created_at DESC, m.id DESC LIMIT 1),
  is_direct = EXISTS (SELECT FROM messages m
    WHERE m.conversation_id = c.id AND m.campaign_id IS NULL)
"""


def upgrade() -> None:
    # Both are trusted: whoever owns the database may create them.
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gin")
    op.create_table(
        "api_keys",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.TEXT(), nullable=False),
        sa.Column("prefix", sa.TEXT(), nullable=False),
        sa.Column("key_hash", sa.TEXT(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["member_id"], ["users.id"], name=op.f("fk_api_keys_member_id_users")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_api_keys_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_keys_key_hash")),
    )
    op.create_index("ix_api_keys_user_id_id", "api_keys", ["user_id", "id"], unique=False)
    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        sa.Column("action", sa.TEXT(), nullable=False),
        sa.Column("subject", sa.TEXT(), nullable=False),
        sa.Column("subject_id", sa.TEXT(), nullable=True),
        sa.Column(
            "detail", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False
        ),
        sa.Column("request_id", sa.TEXT(), nullable=True),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["actor_id"], ["users.id"], name=op.f("fk_audit_log_actor_id_users")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_audit_log_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )
    op.create_index("ix_audit_log_user_id_id", "audit_log", ["user_id", "id"], unique=False)
    op.create_table(
        "banned_words",
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("word", sa.TEXT(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_banned_words_user_id_users")
        ),
        sa.PrimaryKeyConstraint("user_id", "word", name=op.f("pk_banned_words")),
    )
    op.create_table(
        "saved_filters",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.TEXT(), nullable=False),
        sa.Column("name", sa.TEXT(), nullable=False),
        sa.Column("filter", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("kind IN ('fans', 'conversations')", name=op.f("ck_saved_filters_kind")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_saved_filters_user_id_users")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_filters")),
    )
    op.create_index(
        "uq_saved_filters_name",
        "saved_filters",
        ["user_id", "kind", sa.literal_column("lower(name)")],
        unique=True,
    )
    op.create_table(
        "tier_rules",
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("whale_cents", sa.BigInteger(), nullable=False),
        sa.Column("spender_cents", sa.BigInteger(), nullable=False),
        sa.Column("quiet_days", sa.BigInteger(), nullable=False),
        sa.Column("new_days", sa.BigInteger(), nullable=False),
        sa.Column("swept_to", sa.BigInteger(), server_default="0", nullable=True),
        sa.Column("swept_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_tier_rules_user_id_users")
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_tier_rules")),
    )
    op.create_table(
        "media",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("connection_id", sa.BigInteger(), nullable=False),
        sa.Column("content_hash", sa.TEXT(), nullable=False),
        sa.Column("kind", sa.TEXT(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("vault_id", sa.TEXT(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("kind IN ('image', 'video', 'audio')", name=op.f("ck_media_kind")),
        sa.CheckConstraint(
            "vault_id IS NOT NULL OR lease_until IS NOT NULL", name=op.f("ck_media_held")
        ),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["platform_connections.id"],
            name=op.f("fk_media_connection_id_platform_connections"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_media")),
        sa.UniqueConstraint(
            "connection_id", "content_hash", name=op.f("uq_media_connection_id_content_hash")
        ),
    )
    op.create_table(
        "fan_changes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("fan_id", sa.BigInteger(), nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        sa.Column("source", sa.TEXT(), nullable=False),
        sa.Column("before", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("after", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.CheckConstraint(
            "source IN ('person', 'import', 'platform', 'rules', 'merge')",
            name=op.f("ck_fan_changes_source"),
        ),
        sa.ForeignKeyConstraint(
            ["actor_id"], ["users.id"], name=op.f("fk_fan_changes_actor_id_users")
        ),
        sa.ForeignKeyConstraint(["fan_id"], ["fans.id"], name=op.f("fk_fan_changes_fan_id_fans")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_fan_changes_user_id_users")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fan_changes")),
    )
    op.create_index("ix_fan_changes_fan_id_id", "fan_changes", ["fan_id", "id"], unique=False)
    op.create_table(
        "fan_merges",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("kept_id", sa.BigInteger(), nullable=False),
        sa.Column("merged_id", sa.BigInteger(), nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        sa.Column("kept_before", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("kept_after", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("moved", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["actor_id"], ["users.id"], name=op.f("fk_fan_merges_actor_id_users")
        ),
        sa.ForeignKeyConstraint(["kept_id"], ["fans.id"], name=op.f("fk_fan_merges_kept_id_fans")),
        sa.ForeignKeyConstraint(
            ["merged_id"], ["fans.id"], name=op.f("fk_fan_merges_merged_id_fans")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_fan_merges_user_id_users")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fan_merges")),
    )
    op.create_index("ix_fan_merges_kept_id", "fan_merges", ["kept_id"], unique=False)
    op.create_index("ix_fan_merges_merged_id", "fan_merges", ["merged_id"], unique=False)
    op.create_index("ix_fan_merges_user_id_id", "fan_merges", ["user_id", "id"], unique=False)
    op.create_table(
        "media_sources",
        sa.Column("connection_id", sa.BigInteger(), nullable=False),
        sa.Column("url_hash", sa.TEXT(), nullable=False),
        sa.Column("media_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "fetched_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["platform_connections.id"],
            name=op.f("fk_media_sources_connection_id_platform_connections"),
        ),
        sa.ForeignKeyConstraint(
            ["media_id"], ["media.id"], name=op.f("fk_media_sources_media_id_media")
        ),
        sa.PrimaryKeyConstraint("connection_id", "url_hash", name=op.f("pk_media_sources")),
    )
    op.create_table(
        "platform_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("key", sa.TEXT(), nullable=False),
        sa.Column("account_id", sa.TEXT(), nullable=False),
        sa.Column("event", sa.TEXT(), nullable=False),
        sa.Column("body", sa.TEXT(), nullable=False),
        sa.Column("redelivery_of", sa.TEXT(), nullable=True),
        sa.Column(
            "received_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("connection_id", sa.BigInteger(), nullable=True),
        sa.Column("fan_id", sa.BigInteger(), nullable=True),
        sa.Column("handled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.TEXT(), nullable=True),
        sa.Column("wake_after", sa.DateTime(timezone=True), nullable=True),
        sa.Column("wake_tries", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["platform_connections.id"],
            name=op.f("fk_platform_events_connection_id_platform_connections"),
        ),
        sa.ForeignKeyConstraint(
            ["fan_id"], ["fans.id"], name=op.f("fk_platform_events_fan_id_fans")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_platform_events")),
        sa.UniqueConstraint("key", name=op.f("uq_platform_events_key")),
    )
    op.create_index("ix_platform_events_fan_id", "platform_events", ["fan_id"], unique=False)
    op.create_index(
        "ix_platform_events_received_at",
        "platform_events",
        ["received_at"],
        unique=False,
        postgresql_where=sa.text("body <> ''"),
    )
    op.create_index(
        "ix_platform_events_connection_id_id",
        "platform_events",
        ["connection_id", "id"],
        unique=False,
    )
    op.create_table(
        "deleted_messages",
        sa.Column("connection_id", sa.BigInteger(), nullable=False),
        sa.Column("platform_message_id", sa.TEXT(), nullable=False),
        sa.Column(
            "deleted_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["platform_connections.id"],
            name=op.f("fk_deleted_messages_connection_id_platform_connections"),
        ),
        sa.PrimaryKeyConstraint(
            "connection_id", "platform_message_id", name=op.f("pk_deleted_messages")
        ),
    )
    op.create_table(
        "erased_fans",
        sa.Column("connection_id", sa.BigInteger(), nullable=False),
        sa.Column("platform_user_id", sa.TEXT(), nullable=False),
        sa.Column(
            "erased_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["platform_connections.id"],
            name=op.f("fk_erased_fans_connection_id_platform_connections"),
        ),
        sa.PrimaryKeyConstraint("connection_id", "platform_user_id", name=op.f("pk_erased_fans")),
    )
    op.create_table(
        "message_purchases",
        sa.Column("connection_id", sa.BigInteger(), nullable=False),
        sa.Column("platform_id", sa.TEXT(), nullable=False),
        sa.Column("platform_user_id", sa.TEXT(), nullable=False),
        sa.Column("price_cents", sa.BigInteger(), nullable=False),
        sa.Column("happened_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["platform_connections.id"],
            name=op.f("fk_message_purchases_connection_id_platform_connections"),
        ),
        sa.PrimaryKeyConstraint("connection_id", "platform_id", name=op.f("pk_message_purchases")),
    )
    op.create_index(
        "ix_message_purchases_fan",
        "message_purchases",
        ["connection_id", "platform_user_id", "price_cents"],
        unique=False,
    )
    op.create_index(
        "ix_platform_events_wake_after",
        "platform_events",
        ["wake_after"],
        unique=False,
        postgresql_where=sa.text("handled_at IS NULL AND wake_after IS NOT NULL"),
    )
    op.create_table(
        "transactions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("connection_id", sa.BigInteger(), nullable=True),
        sa.Column("fan_id", sa.BigInteger(), nullable=True),
        sa.Column("message_id", sa.BigInteger(), nullable=True),
        sa.Column("platform_transaction_id", sa.TEXT(), nullable=True),
        sa.Column("platform_user_id", sa.TEXT(), nullable=True),
        sa.Column("source", sa.TEXT(), nullable=False),
        sa.Column("type", sa.TEXT(), nullable=False),
        sa.Column("gross_cents", sa.BigInteger(), nullable=False),
        sa.Column("fee_cents", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("net_cents", sa.BigInteger(), nullable=False),
        sa.Column("vat_cents", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("tax_cents", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("currency", sa.TEXT(), server_default="USD", nullable=False),
        sa.Column("status", sa.TEXT(), nullable=True),
        sa.Column("description", sa.TEXT(), nullable=True),
        sa.Column("happened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reversed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "source IN ('webhook', 'sync', 'manual')", name=op.f("ck_transactions_source")
        ),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["platform_connections.id"],
            name=op.f("fk_transactions_connection_id_platform_connections"),
        ),
        sa.ForeignKeyConstraint(["fan_id"], ["fans.id"], name=op.f("fk_transactions_fan_id_fans")),
        sa.ForeignKeyConstraint(
            ["message_id"], ["messages.id"], name=op.f("fk_transactions_message_id_messages")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_transactions_user_id_users")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transactions")),
        sa.UniqueConstraint(
            "connection_id",
            "platform_transaction_id",
            name=op.f("uq_transactions_connection_id_platform_transaction_id"),
        ),
    )
    op.create_index(
        "ix_transactions_fan_id_happened_at",
        "transactions",
        ["fan_id", "happened_at", "id"],
        unique=False,
    )
    op.create_index("ix_transactions_message_id", "transactions", ["message_id"], unique=False)
    op.create_index(
        "ix_transactions_user_id_type",
        "transactions",
        ["user_id", "type", "happened_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_transactions_connection_id_happened_at",
        "transactions",
        ["connection_id", "happened_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_transactions_unattached",
        "transactions",
        ["connection_id", "platform_user_id"],
        unique=False,
        postgresql_where=sa.text("fan_id IS NULL AND platform_user_id IS NOT NULL"),
    )
    op.create_index(
        "ix_transactions_user_id_happened_at",
        "transactions",
        ["user_id", "happened_at", "id"],
        unique=False,
    )
    op.add_column("conversations", sa.Column("last_direction", sa.TEXT(), nullable=True))
    op.add_column(
        "conversations",
        sa.Column("is_direct", sa.Boolean(), server_default="false", nullable=False),
    )
    op.add_column("conversations", sa.Column("read_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "conversations", sa.Column("tell_read_after", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column(
        "conversations", sa.Column("changed", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.create_index(
        "ix_conversations_tell_read_after",
        "conversations",
        ["tell_read_after"],
        unique=False,
        postgresql_where=sa.text("tell_read_after IS NOT NULL"),
    )
    op.create_index(
        "ix_conversations_unread",
        "conversations",
        ["user_id", "last_message_at", "id"],
        unique=False,
        postgresql_where=sa.text("unread_count > 0 AND is_direct"),
    )
    op.create_index(
        "ix_conversations_unreplied",
        "conversations",
        ["user_id", "last_message_at", "id"],
        unique=False,
        postgresql_where=sa.text("last_direction = 'in' AND is_direct"),
    )
    op.create_index(
        "ix_conversations_direct",
        "conversations",
        ["user_id", "last_message_at", "id"],
        unique=False,
        postgresql_where=sa.text("is_direct"),
    )
    op.create_index(
        "ix_conversations_user_id_connection_id",
        "conversations",
        ["user_id", "connection_id", "last_message_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_conversations_user_id_changed",
        "conversations",
        ["user_id", "changed", "id"],
        unique=False,
    )
    op.add_column("fans", sa.Column("value_stated_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "fans", sa.Column("tips_cents", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.add_column("fans", sa.Column("last_purchase_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("fans", sa.Column("subscription", sa.TEXT(), nullable=True))
    op.add_column(
        "fans", sa.Column("subscription_ends_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column("fans", sa.Column("subscription_tier", sa.TEXT(), nullable=True))
    op.add_column("fans", sa.Column("merged_into", sa.BigInteger(), nullable=True))
    op.add_column("fans", sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "fans",
        sa.Column(
            "told", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False
        ),
    )
    op.create_index("ix_fans_connection_id", "fans", ["connection_id"], unique=False)
    op.create_index(
        "ix_fans_gone",
        "fans",
        ["connection_id", "platform_user_id"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NOT NULL"),
    )
    op.create_index(
        "ix_fans_user_id_email",
        "fans",
        ["user_id", sa.literal_column("lower(email)")],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "ix_fans_user_id_last_seen",
        "fans",
        ["user_id", sa.literal_column("coalesce(last_seen_at, to_timestamp(0))"), "id"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "ix_fans_user_id_name",
        "fans",
        ["user_id", sa.literal_column("lower(name)"), "id"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.add_column(
        "fans",
        sa.Column(
            "search",
            sa.TEXT(),
            sa.Computed(
                "lower(name || ' ' || handle || ' ' || coalesce(email, ''))", persisted=True
            ),
            nullable=False,
        ),
    )
    op.create_index(
        "ix_fans_user_id_search",
        "fans",
        ["user_id", "search"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"search": "gin_trgm_ops"},
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "ix_fans_user_id_tags",
        "fans",
        ["user_id", "tags"],
        unique=False,
        postgresql_using="gin",
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "ix_fans_user_id_tier",
        "fans",
        ["user_id", "tier", "id"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "ix_fans_user_id_tips",
        "fans",
        ["user_id", "id"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL AND tips_cents > 0"),
    )
    op.create_index(
        "ix_fans_user_id_value",
        "fans",
        ["user_id", "value_cents", "id"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "ix_fans_user_id_subscription",
        "fans",
        ["user_id", "subscription", "id"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "ix_fans_user_id_subscription_tier",
        "fans",
        ["user_id", "subscription_tier", "id"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL AND subscription_tier IS NOT NULL"),
    )
    op.create_index(
        "ix_fans_unlinked",
        "fans",
        ["user_id", "id"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL AND platform_user_id IS NULL"),
    )
    op.create_index(
        "ix_fans_deleted",
        "fans",
        ["user_id", "id"],
        unique=False,
        postgresql_where=sa.text(
            "deleted_at IS NOT NULL AND erased_at IS NULL AND merged_into IS NULL"
        ),
    )
    op.create_index(
        "ix_fans_deleted_handle",
        "fans",
        ["user_id", sa.literal_column("lower(handle)")],
        unique=False,
        postgresql_where=sa.text(
            "deleted_at IS NOT NULL AND erased_at IS NULL AND merged_into IS NULL"
        ),
    )
    op.create_index(
        "ix_fans_handle_key",
        "fans",
        ["user_id", sa.literal_column("translate(lower(handle), '@._-', '')")],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "ix_fans_user_id_platform_user_id",
        "fans",
        ["user_id", "platform_user_id"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "ix_fans_merged_into",
        "fans",
        ["merged_into"],
        unique=False,
        postgresql_where=sa.text("merged_into IS NOT NULL"),
    )
    op.create_index(
        "ix_fans_merged",
        "fans",
        ["connection_id", "platform_user_id"],
        unique=False,
        postgresql_where=sa.text("merged_into IS NOT NULL"),
    )
    op.create_foreign_key(op.f("fk_fans_merged_into_fans"), "fans", "fans", ["merged_into"], ["id"])
    op.add_column(
        "messages", sa.Column("origin", sa.TEXT(), server_default="huntaze", nullable=False)
    )
    op.add_column("messages", sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("messages", sa.Column("purchased_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("messages", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("messages", sa.Column("unsend_after", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "messages", sa.Column("unsend_tries", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.add_column(
        "messages", sa.Column("changed", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.drop_index(op.f("ix_messages_conversation_id_id"), table_name="messages")
    op.drop_index(op.f("ix_messages_user_id_id"), table_name="messages")
    op.create_index(
        "ix_messages_conversation_id_created_at",
        "messages",
        ["conversation_id", "created_at", "id"],
        unique=False,
    )
    op.create_index("ix_messages_fan_id", "messages", ["fan_id", "id"], unique=False)
    op.create_index(
        "ix_messages_media",
        "messages",
        ["fan_id", "created_at", "id"],
        unique=False,
        postgresql_where=sa.text("direction = 'out' AND attachments <> '[]'::jsonb"),
    )
    op.create_index(
        "ix_messages_purchased",
        "messages",
        ["fan_id", "purchased_at", "id"],
        unique=False,
        postgresql_where=sa.text("purchased_at IS NOT NULL"),
    )
    op.create_index(
        "ix_messages_unread",
        "messages",
        ["conversation_id"],
        unique=False,
        postgresql_where=sa.text("direction = 'in' AND NOT read"),
    )
    op.create_index(
        "ix_messages_unsend_after",
        "messages",
        ["unsend_after"],
        unique=False,
        postgresql_where=sa.text("unsend_after IS NOT NULL"),
    )
    op.create_index(
        "ix_messages_connection_id_created_at",
        "messages",
        ["connection_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_messages_user_id_changed", "messages", ["user_id", "changed", "id"], unique=False
    )
    op.drop_index("ix_messages_user_id_state", "messages")
    op.create_index(
        "ix_messages_user_id_state",
        "messages",
        ["user_id", "state", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_messages_user_id_created_at", "messages", ["user_id", "created_at", "id"], unique=False
    )
    op.create_index(
        "ix_messages_user_id_search",
        "messages",
        ["user_id", sa.literal_column("to_tsvector('simple', text)")],
        unique=False,
        postgresql_using="gin",
    )
    op.add_column("platform_connections", sa.Column("username", sa.TEXT(), nullable=True))
    op.add_column("platform_connections", sa.Column("platform_user_id", sa.TEXT(), nullable=True))
    op.add_column(
        "platform_connections",
        sa.Column(
            "sync_after", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=True
        ),
    )
    op.add_column(
        "platform_connections", sa.Column("synced_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column(
        "platform_connections",
        sa.Column(
            "sync_marks",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
        ),
    )
    op.add_column("platform_connections", sa.Column("sync_error", sa.TEXT(), nullable=True))
    op.add_column(
        "platform_connections",
        sa.Column(
            "state_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
    )
    op.create_index(
        "ix_platform_connections_sync_after",
        "platform_connections",
        ["sync_after"],
        unique=False,
        postgresql_where=sa.text("state <> 'disconnected'"),
    )
    op.add_column("users", sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("users", sa.Column("tokens_after", sa.DateTime(timezone=True), nullable=True))
    for table, name, condition in CHECKS:
        op.create_check_constraint(name, table, condition)
    op.drop_index("uq_users_email", "users")
    op.create_index(
        "uq_users_email",
        "users",
        [sa.literal_column("lower(email)")],
        unique=True,
        postgresql_where=sa.text("removed_at IS NULL"),
    )
    op.execute(BACKFILL)
    op.execute(MARK_CHANGED)
    for table in ("messages", "conversations"):
        op.execute(
            f"CREATE TRIGGER mark_changed BEFORE INSERT OR UPDATE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION mark_changed()"
        )
    op.execute(REFUSE)
    op.execute(
        "CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON audit_log"
        " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )


def downgrade() -> None:
    for table in ("messages", "conversations"):
        op.execute(f"DROP TRIGGER mark_changed ON {table}")
    op.execute("DROP FUNCTION mark_changed()")
    op.drop_index("uq_users_email", "users")
    op.create_index("uq_users_email", "users", [sa.literal_column("lower(email)")], unique=True)
    for table, name, _ in CHECKS:
        op.drop_constraint(op.f(f"ck_{table}_{name}"), table)
    op.drop_column("users", "tokens_after")
    op.drop_column("users", "removed_at")
    op.drop_index(
        "ix_platform_connections_sync_after",
        table_name="platform_connections",
        postgresql_where=sa.text("state <> 'disconnected'"),
    )
    op.drop_column("platform_connections", "state_at")
    op.drop_column("platform_connections", "sync_error")
    op.drop_column("platform_connections", "sync_marks")
    op.drop_column("platform_connections", "synced_at")
    op.drop_column("platform_connections", "sync_after")
    op.drop_column("platform_connections", "platform_user_id")
    op.drop_column("platform_connections", "username")
    op.drop_index("ix_messages_user_id_search", table_name="messages", postgresql_using="gin")
    op.drop_index("ix_messages_user_id_created_at", table_name="messages")
    op.drop_index("ix_messages_user_id_state", table_name="messages")
    op.create_index(
        "ix_messages_user_id_state",
        "messages",
        ["user_id", "state"],
        unique=False,
        postgresql_where=sa.text("state IN ('queued', 'sending', 'unknown', 'failed')"),
    )
    op.drop_index("ix_messages_user_id_changed", table_name="messages")
    op.drop_index("ix_messages_connection_id_created_at", table_name="messages")
    op.drop_index(
        "ix_messages_unsend_after",
        table_name="messages",
        postgresql_where=sa.text("unsend_after IS NOT NULL"),
    )
    op.drop_index(
        "ix_messages_unread",
        table_name="messages",
        postgresql_where=sa.text("direction = 'in' AND NOT read"),
    )
    op.drop_index("ix_messages_purchased", table_name="messages")
    op.drop_index("ix_messages_media", table_name="messages")
    op.drop_index("ix_messages_fan_id", table_name="messages")
    op.drop_index("ix_messages_conversation_id_created_at", table_name="messages")
    op.create_index(op.f("ix_messages_user_id_id"), "messages", ["user_id", "id"], unique=False)
    op.create_index(
        op.f("ix_messages_conversation_id_id"), "messages", ["conversation_id", "id"], unique=False
    )
    op.drop_column("messages", "changed")
    op.drop_column("messages", "unsend_tries")
    op.drop_column("messages", "unsend_after")
    op.drop_column("messages", "deleted_at")
    op.drop_column("messages", "purchased_at")
    op.drop_column("messages", "opened_at")
    op.drop_column("messages", "origin")
    op.drop_constraint(op.f("fk_fans_merged_into_fans"), "fans", type_="foreignkey")
    op.drop_index(
        "ix_fans_merged", table_name="fans", postgresql_where=sa.text("merged_into IS NOT NULL")
    )
    op.drop_index(
        "ix_fans_merged_into",
        table_name="fans",
        postgresql_where=sa.text("merged_into IS NOT NULL"),
    )
    op.drop_index(
        "ix_fans_user_id_platform_user_id",
        table_name="fans",
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.drop_index(
        "ix_fans_handle_key", table_name="fans", postgresql_where=sa.text("deleted_at IS NULL")
    )
    op.drop_index(
        "ix_fans_deleted_handle",
        table_name="fans",
        postgresql_where=sa.text(
            "deleted_at IS NOT NULL AND erased_at IS NULL AND merged_into IS NULL"
        ),
    )
    op.drop_index(
        "ix_fans_deleted",
        table_name="fans",
        postgresql_where=sa.text(
            "deleted_at IS NOT NULL AND erased_at IS NULL AND merged_into IS NULL"
        ),
    )
    op.drop_index(
        "ix_fans_unlinked",
        table_name="fans",
        postgresql_where=sa.text("deleted_at IS NULL AND platform_user_id IS NULL"),
    )
    op.drop_index(
        "ix_fans_user_id_subscription_tier",
        table_name="fans",
        postgresql_where=sa.text("deleted_at IS NULL AND subscription_tier IS NOT NULL"),
    )
    op.drop_index(
        "ix_fans_user_id_subscription",
        table_name="fans",
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.drop_index(
        "ix_fans_user_id_value", table_name="fans", postgresql_where=sa.text("deleted_at IS NULL")
    )
    op.drop_index(
        "ix_fans_user_id_tips",
        table_name="fans",
        postgresql_where=sa.text("deleted_at IS NULL AND tips_cents > 0"),
    )
    op.drop_index(
        "ix_fans_user_id_tier", table_name="fans", postgresql_where=sa.text("deleted_at IS NULL")
    )
    op.drop_index(
        "ix_fans_user_id_tags",
        table_name="fans",
        postgresql_using="gin",
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.drop_index(
        "ix_fans_user_id_search",
        table_name="fans",
        postgresql_using="gin",
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.drop_index(
        "ix_fans_user_id_name", table_name="fans", postgresql_where=sa.text("deleted_at IS NULL")
    )
    op.drop_index(
        "ix_fans_user_id_last_seen",
        table_name="fans",
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.drop_index(
        "ix_fans_user_id_email", table_name="fans", postgresql_where=sa.text("deleted_at IS NULL")
    )
    op.drop_index(
        "ix_fans_gone", table_name="fans", postgresql_where=sa.text("deleted_at IS NOT NULL")
    )
    op.drop_index("ix_fans_connection_id", table_name="fans")
    op.drop_column("fans", "told")
    op.drop_column("fans", "search")
    op.drop_column("fans", "erased_at")
    op.drop_column("fans", "merged_into")
    op.drop_column("fans", "subscription_tier")
    op.drop_column("fans", "subscription_ends_at")
    op.drop_column("fans", "subscription")
    op.drop_column("fans", "last_purchase_at")
    op.drop_column("fans", "tips_cents")
    op.drop_column("fans", "value_stated_at")
    op.drop_index("ix_conversations_user_id_changed", table_name="conversations")
    op.drop_index("ix_conversations_user_id_connection_id", table_name="conversations")
    op.drop_index(
        "ix_conversations_direct",
        table_name="conversations",
        postgresql_where=sa.text("is_direct"),
    )
    op.drop_index(
        "ix_conversations_unreplied",
        table_name="conversations",
        postgresql_where=sa.text("last_direction = 'in' AND is_direct"),
    )
    op.drop_index(
        "ix_conversations_unread",
        table_name="conversations",
        postgresql_where=sa.text("unread_count > 0 AND is_direct"),
    )
    op.drop_index(
        "ix_conversations_tell_read_after",
        table_name="conversations",
        postgresql_where=sa.text("tell_read_after IS NOT NULL"),
    )
    op.drop_column("conversations", "changed")
    op.drop_column("conversations", "tell_read_after")
    op.drop_column("conversations", "read_at")
    op.drop_column("conversations", "is_direct")
    op.drop_column("conversations", "last_direction")
    op.drop_index("ix_transactions_user_id_happened_at", table_name="transactions")
    op.drop_index("ix_transactions_message_id", table_name="transactions")
    op.drop_index("ix_transactions_fan_id_happened_at", table_name="transactions")
    op.drop_table("transactions")
    op.drop_table("message_purchases")
    op.drop_table("erased_fans")
    op.drop_table("deleted_messages")
    op.drop_index(
        "ix_platform_events_wake_after",
        table_name="platform_events",
        postgresql_where=sa.text("handled_at IS NULL AND wake_after IS NOT NULL"),
    )
    op.drop_index("ix_platform_events_received_at", table_name="platform_events")
    op.drop_index("ix_platform_events_fan_id", table_name="platform_events")
    op.drop_table("platform_events")
    op.drop_table("media_sources")
    op.drop_index("ix_fan_merges_user_id_id", table_name="fan_merges")
    op.drop_index("ix_fan_merges_merged_id", table_name="fan_merges")
    op.drop_index("ix_fan_merges_kept_id", table_name="fan_merges")
    op.drop_table("fan_merges")
    op.drop_index("ix_fan_changes_fan_id_id", table_name="fan_changes")
    op.drop_table("fan_changes")
    op.drop_table("media")
    op.drop_table("tier_rules")
    op.drop_index("uq_saved_filters_name", table_name="saved_filters")
    op.drop_table("saved_filters")
    op.drop_table("banned_words")
    op.drop_index("ix_audit_log_user_id_id", table_name="audit_log")
    op.drop_table("audit_log")
    op.drop_index("ix_api_keys_user_id_id", table_name="api_keys")
    op.drop_table("api_keys")
    op.execute("DROP FUNCTION refuse_change()")
    op.execute("DROP EXTENSION btree_gin")
    op.execute("DROP EXTENSION pg_trgm")

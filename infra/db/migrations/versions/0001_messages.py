"""Messages, their ledger and the people around them"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.create_table(
        "users",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("owner_id", sa.BigInteger(), nullable=False),
        sa.Column("email", sa.TEXT(), nullable=False),
        sa.Column("password_hash", sa.TEXT(), nullable=False),
        sa.Column("role", sa.TEXT(), nullable=False),
        sa.Column("time_zone", sa.TEXT(), server_default="UTC", nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "role IN ('owner', 'manager', 'chatter', 'analyst')", name=op.f("ck_users_role")
        ),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name=op.f("fk_users_owner_id_users"), deferrable=True
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
    )
    op.create_index("ix_users_owner_id", "users", ["owner_id"], unique=False)
    op.create_index("uq_users_email", "users", [sa.literal_column("lower(email)")], unique=True)
    op.create_table(
        "campaigns",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "public_id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False
        ),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.TEXT(), nullable=False),
        sa.Column("type", sa.TEXT(), server_default="bulk_message", nullable=False),
        sa.Column("status", sa.TEXT(), server_default="draft", nullable=False),
        sa.Column(
            "template", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False
        ),
        sa.Column(
            "target_audience",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
        ),
        sa.Column(
            "metrics", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False
        ),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "status IN ('draft', 'scheduled', 'active', 'paused', 'completed', 'cancelled', 'failed')",
            name=op.f("ck_campaigns_status"),
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_campaigns_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaigns")),
        sa.UniqueConstraint("public_id", name=op.f("uq_campaigns_public_id")),
    )
    op.create_index("ix_campaigns_user_id_id", "campaigns", ["user_id", "id"], unique=False)
    op.create_table(
        "idempotency_keys",
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.TEXT(), nullable=False),
        sa.Column("route", sa.TEXT(), nullable=False),
        sa.Column("fingerprint", sa.TEXT(), nullable=False),
        sa.Column("reply", sa.TEXT(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_idempotency_keys_user_id_users")
        ),
        sa.PrimaryKeyConstraint("user_id", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(
        "ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"], unique=False
    )
    op.create_table(
        "platform_connections",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("platform", sa.TEXT(), server_default="onlyfans", nullable=False),
        sa.Column("name", sa.TEXT(), nullable=False),
        sa.Column("account_id", sa.TEXT(), nullable=False),
        sa.Column("access_key", sa.LargeBinary(), nullable=True),
        sa.Column("state", sa.TEXT(), server_default="active", nullable=False),
        sa.Column("state_reason", sa.TEXT(), nullable=True),
        sa.Column("rate_per_minute", sa.Double(), nullable=True),
        sa.Column("burst", sa.BigInteger(), nullable=True),
        sa.Column("slowdown", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("failures", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("blocked_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("blocked_reason", sa.TEXT(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "state IN ('active', 'paused', 'paused_auth', 'paused_quota', 'disconnected')",
            name=op.f("ck_platform_connections_state"),
        ),
        sa.CheckConstraint("burst BETWEEN 1 AND 100", name=op.f("ck_platform_connections_burst")),
        sa.CheckConstraint(
            "rate_per_minute > 0", name=op.f("ck_platform_connections_rate_per_minute")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_platform_connections_user_id_users")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_platform_connections")),
    )
    op.create_index(
        "ix_platform_connections_user_id_id",
        "platform_connections",
        ["user_id", "id"],
        unique=False,
    )
    op.create_index(
        "uq_platform_connections_account_id",
        "platform_connections",
        ["platform", "account_id"],
        unique=True,
        postgresql_where=sa.text("state <> 'disconnected'"),
    )
    op.create_table(
        "fans",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.TEXT(), nullable=False),
        sa.Column("platform", sa.TEXT(), server_default="onlyfans", nullable=False),
        sa.Column("handle", sa.TEXT(), nullable=False),
        sa.Column("email", sa.TEXT(), nullable=True),
        sa.Column("avatar", sa.TEXT(), nullable=True),
        sa.Column("tags", postgresql.ARRAY(sa.TEXT()), server_default="{}", nullable=False),
        sa.Column("value_cents", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("notes", sa.TEXT(), nullable=True),
        sa.Column("tier", sa.TEXT(), nullable=True),
        sa.Column("connection_id", sa.BigInteger(), nullable=True),
        sa.Column("platform_user_id", sa.TEXT(), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
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
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["platform_connections.id"],
            name=op.f("fk_fans_connection_id_platform_connections"),
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_fans_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fans")),
    )
    op.create_index(
        "ix_fans_user_id_id",
        "fans",
        ["user_id", "id"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "uq_fans_handle",
        "fans",
        ["user_id", "platform", sa.literal_column("lower(handle)")],
        unique=True,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "uq_fans_platform_user_id",
        "fans",
        ["connection_id", "platform_user_id"],
        unique=True,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "conversations",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("fan_id", sa.BigInteger(), nullable=False),
        sa.Column("connection_id", sa.BigInteger(), nullable=False),
        sa.Column("platform", sa.TEXT(), server_default="onlyfans", nullable=False),
        sa.Column("last_message_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("unread_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["platform_connections.id"],
            name=op.f("fk_conversations_connection_id_platform_connections"),
        ),
        sa.ForeignKeyConstraint(["fan_id"], ["fans.id"], name=op.f("fk_conversations_fan_id_fans")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_conversations_user_id_users")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversations")),
        sa.UniqueConstraint(
            "fan_id", "connection_id", name=op.f("uq_conversations_fan_id_connection_id")
        ),
    )
    op.create_index(
        "ix_conversations_user_id_last_message_at",
        "conversations",
        ["user_id", "last_message_at", "id"],
        unique=False,
    )
    op.create_table(
        "messages",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("public_id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("connection_id", sa.BigInteger(), nullable=False),
        sa.Column("conversation_id", sa.BigInteger(), nullable=False),
        sa.Column("fan_id", sa.BigInteger(), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=True),
        sa.Column("direction", sa.TEXT(), nullable=False),
        sa.Column("text", sa.TEXT(), nullable=False),
        sa.Column("price_cents", sa.BigInteger(), nullable=True),
        sa.Column(
            "attachments",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="[]",
            nullable=False,
        ),
        sa.Column(
            "metadata", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False
        ),
        sa.Column("read", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("sent_by_ai", sa.Boolean(), server_default="false", nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("state", sa.TEXT(), nullable=True),
        sa.Column("hold", sa.TEXT(), nullable=True),
        sa.Column("priority", sa.BigInteger(), server_default="5", nullable=False),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("promised_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("estimated_send_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delay", sa.TEXT(), nullable=True),
        sa.Column("admitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("wake_after", sa.DateTime(timezone=True), nullable=True),
        sa.Column("wake_tries", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempt_no", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("failures", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("key_no", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("platform_message_id", sa.TEXT(), nullable=True),
        sa.Column("error_code", sa.TEXT(), nullable=True),
        sa.Column("error_detail", sa.TEXT(), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("dead_lettered_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(direction = 'out') = (state IS NOT NULL)", name=op.f("ck_messages_outgoing_has_state")
        ),
        sa.CheckConstraint("direction IN ('in', 'out')", name=op.f("ck_messages_direction")),
        sa.CheckConstraint(
            "state <> 'sending' OR lease_until IS NOT NULL",
            name=op.f("ck_messages_sending_has_lease"),
        ),
        sa.CheckConstraint(
            "state IN ('queued', 'sending', 'sent', 'delivered', 'failed', 'unknown', 'cancelled', 'unsent')",
            name=op.f("ck_messages_state"),
        ),
        sa.CheckConstraint("price_cents >= 0", name=op.f("ck_messages_price_cents")),
        sa.CheckConstraint("priority BETWEEN 1 AND 10", name=op.f("ck_messages_priority")),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name=op.f("fk_messages_campaign_id_campaigns")
        ),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["platform_connections.id"],
            name=op.f("fk_messages_connection_id_platform_connections"),
        ),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversations.id"],
            name=op.f("fk_messages_conversation_id_conversations"),
        ),
        sa.ForeignKeyConstraint(["fan_id"], ["fans.id"], name=op.f("fk_messages_fan_id_fans")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_messages_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
        sa.UniqueConstraint("campaign_id", "fan_id", name=op.f("uq_messages_campaign_id_fan_id")),
        sa.UniqueConstraint(
            "connection_id",
            "platform_message_id",
            name=op.f("uq_messages_connection_id_platform_message_id"),
        ),
        sa.UniqueConstraint("public_id", name=op.f("uq_messages_public_id")),
    )
    op.create_index(
        "ix_messages_conversation_id_id", "messages", ["conversation_id", "id"], unique=False
    )
    op.create_index(
        "ix_messages_lease_until",
        "messages",
        ["lease_until"],
        unique=False,
        postgresql_where=sa.text("state = 'sending'"),
    )
    op.create_index(
        "ix_messages_user_id_failed_at",
        "messages",
        ["user_id", "failed_at"],
        unique=False,
        postgresql_where=sa.text("failed_at IS NOT NULL"),
    )
    op.create_index("ix_messages_user_id_id", "messages", ["user_id", "id"], unique=False)
    op.create_index(
        "ix_messages_user_id_queued_at",
        "messages",
        ["user_id", "queued_at"],
        unique=False,
        postgresql_where=sa.text("queued_at IS NOT NULL"),
    )
    op.create_index(
        "ix_messages_user_id_sent_at",
        "messages",
        ["user_id", "sent_at"],
        unique=False,
        postgresql_where=sa.text("sent_at IS NOT NULL"),
    )
    op.create_index(
        "ix_messages_user_id_state",
        "messages",
        ["user_id", "state"],
        unique=False,
        postgresql_where=sa.text("state IN ('queued', 'sending', 'unknown', 'failed')"),
    )
    op.create_index(
        "ix_messages_waiting",
        "messages",
        ["connection_id", "priority", "id"],
        unique=False,
        postgresql_where=sa.text("state IN ('queued', 'sending')"),
    )
    op.create_index(
        "ix_messages_wake_after",
        "messages",
        ["wake_after"],
        unique=False,
        postgresql_where=sa.text("state IN ('queued', 'unknown') AND wake_after IS NOT NULL"),
    )
    op.create_table(
        "message_attempts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=False),
        sa.Column("connection_id", sa.BigInteger(), nullable=False),
        sa.Column("attempt_no", sa.BigInteger(), nullable=False),
        sa.Column("send_key", sa.TEXT(), nullable=False),
        sa.Column(
            "claimed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("slot_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("interval_ms", sa.Float(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.TEXT(), nullable=True),
        sa.Column("http_status", sa.BigInteger(), nullable=True),
        sa.Column("error_code", sa.TEXT(), nullable=True),
        sa.Column("detail", sa.TEXT(), nullable=True),
        sa.Column("platform_message_id", sa.TEXT(), nullable=True),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["platform_connections.id"],
            name=op.f("fk_message_attempts_connection_id_platform_connections"),
        ),
        sa.ForeignKeyConstraint(
            ["message_id"], ["messages.id"], name=op.f("fk_message_attempts_message_id_messages")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message_attempts")),
        sa.UniqueConstraint(
            "message_id", "attempt_no", name=op.f("uq_message_attempts_message_id_attempt_no")
        ),
    )
    op.create_index(
        "ix_message_attempts_connection_id_slot_at",
        "message_attempts",
        ["connection_id", "slot_at"],
        unique=False,
    )
    op.create_index("ix_message_attempts_started_at", "message_attempts", ["started_at"])


def downgrade() -> None:

    op.drop_index("ix_message_attempts_started_at", table_name="message_attempts")
    op.drop_index("ix_message_attempts_connection_id_slot_at", table_name="message_attempts")
    op.drop_table("message_attempts")
    op.drop_index(
        "ix_messages_wake_after",
        table_name="messages",
        postgresql_where=sa.text("state IN ('queued', 'unknown') AND wake_after IS NOT NULL"),
    )
    op.drop_index(
        "ix_messages_waiting",
        table_name="messages",
        postgresql_where=sa.text("state IN ('queued', 'sending')"),
    )
    op.drop_index(
        "ix_messages_user_id_state",
        table_name="messages",
        postgresql_where=sa.text("state IN ('queued', 'sending', 'unknown', 'failed')"),
    )
    op.drop_index(
        "ix_messages_user_id_sent_at",
        table_name="messages",
        postgresql_where=sa.text("sent_at IS NOT NULL"),
    )
    op.drop_index(
        "ix_messages_user_id_queued_at",
        table_name="messages",
        postgresql_where=sa.text("queued_at IS NOT NULL"),
    )
    op.drop_index("ix_messages_user_id_id", table_name="messages")
    op.drop_index(
        "ix_messages_user_id_failed_at",
        table_name="messages",
        postgresql_where=sa.text("failed_at IS NOT NULL"),
    )
    op.drop_index(
        "ix_messages_lease_until",
        table_name="messages",
        postgresql_where=sa.text("state = 'sending'"),
    )
    op.drop_index("ix_messages_conversation_id_id", table_name="messages")
    op.drop_table("messages")
    op.drop_index("ix_conversations_user_id_last_message_at", table_name="conversations")
    op.drop_table("conversations")
    op.drop_index(
        "uq_fans_platform_user_id",
        table_name="fans",
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.drop_index(
        "uq_fans_handle", table_name="fans", postgresql_where=sa.text("deleted_at IS NULL")
    )
    op.drop_index(
        "ix_fans_user_id_id", table_name="fans", postgresql_where=sa.text("deleted_at IS NULL")
    )
    op.drop_table("fans")
    op.drop_index(
        "uq_platform_connections_account_id",
        table_name="platform_connections",
        postgresql_where=sa.text("state <> 'disconnected'"),
    )
    op.drop_index("ix_platform_connections_user_id_id", table_name="platform_connections")
    op.drop_table("platform_connections")
    op.drop_index("ix_idempotency_keys_created_at", table_name="idempotency_keys")
    op.drop_table("idempotency_keys")
    op.drop_index("ix_campaigns_user_id_id", table_name="campaigns")
    op.drop_table("campaigns")
    op.drop_index("uq_users_email", table_name="users")
    op.drop_index("ix_users_owner_id", table_name="users")
    op.drop_table("users")

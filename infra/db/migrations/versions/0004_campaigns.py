"""Campaigns: their audience, their promise, and how far they were counted"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "campaign_recipients",
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("fan_id", sa.BigInteger(), nullable=False),
        sa.Column("connection_id", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.TEXT(), nullable=False),
        sa.Column("promised_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["campaign_id"],
            ["campaigns.id"],
            name=op.f("fk_campaign_recipients_campaign_id_campaigns"),
        ),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["platform_connections.id"],
            name=op.f("fk_campaign_recipients_connection_id_platform_connections"),
        ),
        sa.ForeignKeyConstraint(
            ["fan_id"], ["fans.id"], name=op.f("fk_campaign_recipients_fan_id_fans")
        ),
        sa.PrimaryKeyConstraint("campaign_id", "position", name=op.f("pk_campaign_recipients")),
        sa.UniqueConstraint(
            "campaign_id", "fan_id", name=op.f("uq_campaign_recipients_campaign_id_fan_id")
        ),
    )
    op.create_index(
        "ix_campaign_recipients_fan_id", "campaign_recipients", ["fan_id"], unique=False
    )
    op.add_column("campaigns", sa.Column("actor_id", sa.BigInteger(), nullable=True))
    op.add_column(
        "campaigns", sa.Column("version", sa.BigInteger(), server_default="1", nullable=False)
    )
    op.add_column("campaigns", sa.Column("price_cents", sa.BigInteger(), nullable=True))
    op.add_column(
        "campaigns", sa.Column("priority", sa.BigInteger(), server_default="8", nullable=False)
    )
    op.add_column(
        "campaigns",
        sa.Column(
            "metadata", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False
        ),
    )
    op.add_column(
        "campaigns", sa.Column("total", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.add_column("campaigns", sa.Column("promised_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("campaigns", sa.Column("reason", sa.TEXT(), nullable=True))
    op.add_column(
        "campaigns", sa.Column("fanned_out_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column("campaigns", sa.Column("wake_after", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "campaigns", sa.Column("wake_tries", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.add_column(
        "campaigns", sa.Column("counted_to", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.add_column("campaigns", sa.Column("counted_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_campaigns_completed_at",
        "campaigns",
        ["completed_at"],
        unique=False,
        postgresql_where=sa.text("completed_at IS NOT NULL"),
    )
    op.create_index(
        "ix_campaigns_open",
        "campaigns",
        ["counted_at"],
        unique=False,
        postgresql_where=sa.text("status IN ('active', 'paused')"),
    )
    op.create_index(
        "ix_campaigns_wake_after",
        "campaigns",
        ["wake_after"],
        unique=False,
        postgresql_where=sa.text("wake_after IS NOT NULL"),
    )
    op.create_foreign_key(
        op.f("fk_campaigns_actor_id_users"), "campaigns", "users", ["actor_id"], ["id"]
    )
    op.create_index(
        "ix_messages_campaign_id_changed",
        "messages",
        ["campaign_id", "changed"],
        unique=False,
        postgresql_where=sa.text("campaign_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index(
        "ix_messages_campaign_id_changed",
        table_name="messages",
        postgresql_where=sa.text("campaign_id IS NOT NULL"),
    )
    op.drop_constraint(op.f("fk_campaigns_actor_id_users"), "campaigns", type_="foreignkey")
    op.drop_index(
        "ix_campaigns_wake_after",
        table_name="campaigns",
        postgresql_where=sa.text("wake_after IS NOT NULL"),
    )
    op.drop_index(
        "ix_campaigns_open",
        table_name="campaigns",
        postgresql_where=sa.text("status IN ('active', 'paused')"),
    )
    op.drop_index(
        "ix_campaigns_completed_at",
        table_name="campaigns",
        postgresql_where=sa.text("completed_at IS NOT NULL"),
    )
    op.drop_column("campaigns", "counted_at")
    op.drop_column("campaigns", "counted_to")
    op.drop_column("campaigns", "wake_tries")
    op.drop_column("campaigns", "wake_after")
    op.drop_column("campaigns", "fanned_out_at")
    op.drop_column("campaigns", "reason")
    op.drop_column("campaigns", "promised_at")
    op.drop_column("campaigns", "total")
    op.drop_column("campaigns", "metadata")
    op.drop_column("campaigns", "priority")
    op.drop_column("campaigns", "price_cents")
    op.drop_column("campaigns", "version")
    op.drop_column("campaigns", "actor_id")
    op.drop_index("ix_campaign_recipients_fan_id", table_name="campaign_recipients")
    op.drop_table("campaign_recipients")

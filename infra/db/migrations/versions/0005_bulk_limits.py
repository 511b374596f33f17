"""Hours and caps of an account's campaigns, and what they hold"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

CONNECTIONS = "platform_connections"


def upgrade() -> None:
    op.add_column(
        CONNECTIONS,
        sa.Column("bulk_limits", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    )
    op.add_column(
        CONNECTIONS, sa.Column("bulk_held_until", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column(CONNECTIONS, sa.Column("bulk_held_why", sa.TEXT(), nullable=True))
    op.create_index(
        "ix_platform_connections_bulk_held_until",
        CONNECTIONS,
        ["bulk_held_until"],
        unique=False,
        postgresql_where=sa.text("bulk_held_until IS NOT NULL"),
    )
    op.add_column(
        "campaign_recipients", sa.Column("held_until", sa.DateTime(timezone=True), nullable=True)
    )
    op.create_index(
        "ix_messages_fan_limit",
        "messages",
        ["wake_after"],
        unique=False,
        postgresql_where=sa.text("state = 'queued' AND hold = 'fan_limit'"),
    )


def downgrade() -> None:
    op.drop_index(
        "ix_messages_fan_limit",
        table_name="messages",
        postgresql_where=sa.text("state = 'queued' AND hold = 'fan_limit'"),
    )
    op.drop_column("campaign_recipients", "held_until")
    op.drop_index(
        "ix_platform_connections_bulk_held_until",
        table_name=CONNECTIONS,
        postgresql_where=sa.text("bulk_held_until IS NOT NULL"),
    )
    op.drop_column(CONNECTIONS, "bulk_held_why")
    op.drop_column(CONNECTIONS, "bulk_held_until")
    op.drop_column(CONNECTIONS, "bulk_limits")

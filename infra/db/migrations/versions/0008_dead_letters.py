"""Why a message's queue task was given up, and the list of such messages"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("messages", sa.Column("dead_letter_reason", sa.TEXT(), nullable=True))
    op.create_index(
        "ix_messages_dead_lettered_at",
        "messages",
        ["user_id", "dead_lettered_at", "id"],
        postgresql_where=sa.text("dead_lettered_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_messages_dead_lettered_at", table_name="messages")
    op.drop_column("messages", "dead_letter_reason")

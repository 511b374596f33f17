"""Snippets, and which message was written from which"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

LIVE = sa.text("removed_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "snippets",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("title", sa.TEXT(), nullable=False),
        sa.Column("shortcut", sa.TEXT(), nullable=False),
        sa.Column("text", sa.TEXT(), nullable=False),
        sa.Column("category", sa.TEXT(), nullable=True),
        sa.Column("use_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        *(
            sa.Column(
                name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
            )
            for name in ("created_at", "updated_at")
        ),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_snippets_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_snippets")),
    )
    op.create_index(
        "uq_snippets_shortcut",
        "snippets",
        ["user_id", "shortcut"],
        unique=True,
        postgresql_where=LIVE,
    )
    op.create_index(
        "ix_snippets_title",
        "snippets",
        ["user_id", sa.text("lower(title)"), "id"],
        postgresql_where=LIVE,
    )
    op.add_column("messages", sa.Column("snippet_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(
        op.f("fk_messages_snippet_id_snippets"), "messages", "snippets", ["snippet_id"], ["id"]
    )
    op.create_index(
        "ix_messages_snippet_id",
        "messages",
        ["snippet_id"],
        postgresql_where=sa.text("snippet_id IS NOT NULL AND price_cents > 0"),
    )


def downgrade() -> None:
    op.drop_index("ix_messages_snippet_id", table_name="messages")
    op.drop_column("messages", "snippet_id")
    op.drop_table("snippets")

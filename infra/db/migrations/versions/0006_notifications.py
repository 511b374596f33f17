"""Notifications, what each member has seen of them, and what told of a message"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

KINDS = (
    "messages_failed",
    "messages_unproven",
    "connection_paused",
    "platform_failing",
    "campaign_paused",
    "campaign_failed",
    "import_failed",
)
SUBJECTS = {
    "connection_id": "platform_connections",
    "campaign_id": "campaigns",
    "import_id": "imports",
}


def upgrade() -> None:
    kinds = ", ".join(f"'{kind}'" for kind in KINDS)
    op.create_table(
        "notifications",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.TEXT(), nullable=False),
        sa.Column("code", sa.TEXT(), nullable=True),
        sa.Column("detail", sa.TEXT(), nullable=True),
        *(sa.Column(column, sa.BigInteger(), nullable=True) for column in SUBJECTS),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(f"kind IN ({kinds})", name=op.f("ck_notifications_kind")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_notifications_user_id_users")
        ),
        *(
            sa.ForeignKeyConstraint(
                [column], [f"{table}.id"], name=op.f(f"fk_notifications_{column}_{table}")
            )
            for column, table in SUBJECTS.items()
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifications")),
    )
    op.create_index("ix_notifications_user_id_id", "notifications", ["user_id", "id"])
    op.create_index(
        "ix_notifications_open",
        "notifications",
        ["user_id", "id"],
        postgresql_where=sa.text("resolved_at IS NULL"),
    )
    for column in SUBJECTS:
        op.create_index(
            f"ix_notifications_{column}",
            "notifications",
            [column, "id"],
            postgresql_where=sa.text(f"resolved_at IS NULL AND {column} IS NOT NULL"),
        )
    op.create_table(
        "notification_marks",
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("seen_to", sa.BigInteger(), nullable=False),
        sa.Column(
            "seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_notification_marks_user_id_users")
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_notification_marks")),
    )
    op.add_column("messages", sa.Column("notification_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(
        op.f("fk_messages_notification_id_notifications"),
        "messages",
        "notifications",
        ["notification_id"],
        ["id"],
    )
    op.create_index(
        "ix_messages_notification_id",
        "messages",
        ["notification_id", "state", "id"],
        postgresql_where=sa.text("notification_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_messages_notification_id", table_name="messages")
    op.drop_column("messages", "notification_id")
    op.drop_table("notification_marks")
    op.drop_table("notifications")

"""CSV imports; history without foreign keys; no index entries for what imported fans lack"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

LIVE = "deleted_at IS NULL"
# Index of fans, its columns, whether it is unique, and the condition before and after.
NARROWER = (
    ("ix_fans_connection_id", ["connection_id"], False, None, "connection_id IS NOT NULL"),
    (
        "ix_fans_user_id_subscription",
        ["user_id", "subscription", "id"],
        False,
        LIVE,
        f"{LIVE} AND subscription IS NOT NULL",
    ),
    (
        "ix_fans_user_id_platform_user_id",
        ["user_id", "platform_user_id"],
        False,
        LIVE,
        f"{LIVE} AND platform_user_id IS NOT NULL",
    ),
    (
        "uq_fans_platform_user_id",
        ["connection_id", "platform_user_id"],
        True,
        LIVE,
        f"{LIVE} AND platform_user_id IS NOT NULL",
    ),
)


def replace_index(name: str, columns: list[str], *, unique: bool, where: str | None) -> None:
    op.drop_index(name, table_name="fans")
    condition = None if where is None else sa.text(where)
    op.create_index(name, "fans", columns, unique=unique, postgresql_where=condition)


def upgrade() -> None:
    op.create_table(
        "import_mappings",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("header_hash", sa.TEXT(), nullable=False),
        sa.Column("header", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("mapping", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_import_mappings_user_id_users")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_mappings")),
    )
    op.create_index(
        "uq_import_mappings_header_hash", "import_mappings", ["user_id", "header_hash"], unique=True
    )
    op.create_table(
        "imports",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.TEXT(), server_default="pending", nullable=False),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("file_name", sa.TEXT(), nullable=False),
        sa.Column("file_key", sa.TEXT(), nullable=False),
        sa.Column("file_bytes", sa.BigInteger(), nullable=False),
        sa.Column("file_hash", sa.TEXT(), nullable=False),
        sa.Column("file_deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("options", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("format", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("total_rows", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("inserted", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("updated", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("skipped", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("failed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("revived", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("duplicates", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("bytes_done", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("delay_reason", sa.TEXT(), nullable=True),
        sa.Column("failure_code", sa.TEXT(), nullable=True),
        sa.Column("failure", sa.TEXT(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("undo_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("undo_actor_id", sa.BigInteger(), nullable=True),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("undone_to", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("reversed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("kept", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("errored", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lease", sa.UUID(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "wake_after", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=True
        ),
        sa.Column("wake_tries", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint(
            "state IN ('pending', 'running', 'completed', 'failed', 'cancelled', 'undoing', 'undone')",
            name=op.f("ck_imports_state"),
        ),
        sa.CheckConstraint(
            "revived <= updated AND duplicates <= skipped", name=op.f("ck_imports_parts")
        ),
        sa.CheckConstraint(
            "total_rows = inserted + updated + skipped + failed", name=op.f("ck_imports_sums")
        ),
        sa.ForeignKeyConstraint(["actor_id"], ["users.id"], name=op.f("fk_imports_actor_id_users")),
        sa.ForeignKeyConstraint(
            ["undo_actor_id"], ["users.id"], name=op.f("fk_imports_undo_actor_id_users")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_imports_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_imports")),
    )
    op.create_index(
        "ix_imports_finished_at",
        "imports",
        ["finished_at"],
        unique=False,
        postgresql_where=sa.text("file_deleted_at IS NULL"),
    )
    op.create_index(
        "ix_imports_user_id_file_hash", "imports", ["user_id", "file_hash", "id"], unique=False
    )
    op.create_index("ix_imports_user_id_id", "imports", ["user_id", "id"], unique=False)
    op.create_index(
        "ix_imports_wake_after",
        "imports",
        ["wake_after"],
        unique=False,
        postgresql_where=sa.text("state IN ('pending', 'running', 'undoing')"),
    )
    op.create_table(
        "import_errors",
        sa.Column("import_id", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.TEXT(), nullable=False),
        sa.Column("problems", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("cells", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["import_id"], ["imports.id"], name=op.f("fk_import_errors_import_id_imports")
        ),
        sa.PrimaryKeyConstraint("import_id", "line", name=op.f("pk_import_errors")),
    )
    op.create_index(
        "ix_import_errors_import_id_code",
        "import_errors",
        ["import_id", "code", "line"],
        unique=False,
    )
    op.create_table(
        "import_kept",
        sa.Column("import_id", sa.BigInteger(), nullable=False),
        sa.Column("fan_id", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.TEXT(), nullable=False),
        sa.Column("reason", sa.TEXT(), nullable=False),
        sa.CheckConstraint("outcome IN ('kept', 'errored')", name=op.f("ck_import_kept_outcome")),
        sa.ForeignKeyConstraint(
            ["import_id"], ["imports.id"], name=op.f("fk_import_kept_import_id_imports")
        ),
        sa.PrimaryKeyConstraint("import_id", "fan_id", name=op.f("pk_import_kept")),
    )
    op.create_table(
        "import_previews",
        sa.Column("import_id", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.TEXT(), nullable=False),
        sa.Column("action", sa.TEXT(), nullable=False),
        sa.Column("changes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("after", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.CheckConstraint(
            "action IN ('create', 'update', 'skip')", name=op.f("ck_import_previews_action")
        ),
        sa.ForeignKeyConstraint(
            ["import_id"], ["imports.id"], name=op.f("fk_import_previews_import_id_imports")
        ),
        sa.PrimaryKeyConstraint("import_id", "line", name=op.f("pk_import_previews")),
    )
    op.create_index(
        "ix_import_previews_import_id_action",
        "import_previews",
        ["import_id", "action", "line"],
        unique=False,
    )
    op.create_index(
        "ix_import_previews_import_id_key",
        "import_previews",
        ["import_id", "key", "line"],
        unique=False,
    )
    op.add_column("fan_changes", sa.Column("import_id", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_fan_changes_import_id_fan_id",
        "fan_changes",
        ["import_id", "fan_id", "id"],
        unique=False,
        postgresql_where=sa.text("import_id IS NOT NULL"),
    )
    op.drop_constraint(op.f("fk_fan_changes_actor_id_users"), "fan_changes", type_="foreignkey")
    op.drop_constraint(op.f("fk_fan_changes_fan_id_fans"), "fan_changes", type_="foreignkey")
    op.drop_constraint(op.f("fk_fan_changes_user_id_users"), "fan_changes", type_="foreignkey")
    op.create_index(
        "ix_fans_merged_handle",
        "fans",
        ["user_id", sa.literal_column("lower(handle)")],
        unique=False,
        postgresql_where=sa.text("merged_into IS NOT NULL"),
    )
    for name, columns, unique, _before, after in NARROWER:
        replace_index(name, columns, unique=unique, where=after)


def downgrade() -> None:
    for name, columns, unique, before, _after in NARROWER:
        replace_index(name, columns, unique=unique, where=before)
    op.drop_index(
        "ix_fans_merged_handle",
        table_name="fans",
        postgresql_where=sa.text("merged_into IS NOT NULL"),
    )
    op.create_foreign_key(
        op.f("fk_fan_changes_user_id_users"), "fan_changes", "users", ["user_id"], ["id"]
    )
    op.create_foreign_key(
        op.f("fk_fan_changes_fan_id_fans"), "fan_changes", "fans", ["fan_id"], ["id"]
    )
    op.create_foreign_key(
        op.f("fk_fan_changes_actor_id_users"), "fan_changes", "users", ["actor_id"], ["id"]
    )
    op.drop_index(
        "ix_fan_changes_import_id_fan_id",
        table_name="fan_changes",
        postgresql_where=sa.text("import_id IS NOT NULL"),
    )
    op.drop_column("fan_changes", "import_id")
    op.drop_index("ix_import_previews_import_id_key", table_name="import_previews")
    op.drop_index("ix_import_previews_import_id_action", table_name="import_previews")
    op.drop_table("import_previews")
    op.drop_table("import_kept")
    op.drop_index("ix_import_errors_import_id_code", table_name="import_errors")
    op.drop_table("import_errors")
    op.drop_index(
        "ix_imports_wake_after",
        table_name="imports",
        postgresql_where=sa.text("state IN ('pending', 'running', 'undoing')"),
    )
    op.drop_index("ix_imports_user_id_id", table_name="imports")
    op.drop_index("ix_imports_user_id_file_hash", table_name="imports")
    op.drop_index(
        "ix_imports_finished_at",
        table_name="imports",
        postgresql_where=sa.text("file_deleted_at IS NULL"),
    )
    op.drop_table("imports")
    op.drop_index("uq_import_mappings_header_hash", table_name="import_mappings")
    op.drop_table("import_mappings")

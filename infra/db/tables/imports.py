"""CSV imports: the file, what was read of it, what it changed, and how far it got."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from infra.db.tables.base import Row, key, moment, one_of

# While an import has work left for a worker.
AT_WORK = sql("state IN ('pending', 'running', 'undoing')")


def count() -> Mapped[int]:
    return mapped_column(server_default="0")


class ImportRow(Row):
    """One uploaded file. The counts stand in the transaction of the rows they count; `total_rows`
    is also the place where a worker goes on after a crash."""

    __tablename__ = "imports"
    id: Mapped[int] = key()
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    actor_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    state: Mapped[str] = mapped_column(server_default="pending")
    dry_run: Mapped[bool]
    file_name: Mapped[str]
    file_key: Mapped[str]
    file_bytes: Mapped[int]
    file_hash: Mapped[str]
    file_deleted_at: Mapped[datetime | None]
    options: Mapped[dict[str, Any]]
    # What the file turned out to be; null until a worker has looked.
    format: Mapped[dict[str, Any] | None]
    total_rows: Mapped[int] = count()
    inserted: Mapped[int] = count()
    updated: Mapped[int] = count()
    skipped: Mapped[int] = count()
    failed: Mapped[int] = count()
    revived: Mapped[int] = count()  # of the updated
    duplicates: Mapped[int] = count()  # of the skipped: the file's own
    bytes_done: Mapped[int] = count()
    delay_reason: Mapped[str | None]
    failure_code: Mapped[str | None]
    failure: Mapped[str | None]
    created_at: Mapped[datetime] = moment()
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    undo_requested_at: Mapped[datetime | None]
    undo_actor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    undone_at: Mapped[datetime | None]
    undone_to: Mapped[int] = count()  # the last fan that was looked at
    reversed: Mapped[int] = count()
    kept: Mapped[int] = count()
    errored: Mapped[int] = count()
    lease: Mapped[UUID | None]
    lease_until: Mapped[datetime | None]
    wake_after: Mapped[datetime | None] = mapped_column(server_default=sql("now()"))
    wake_tries: Mapped[int] = count()
    __table_args__ = (
        one_of(
            "state",
            *("pending", "running", "completed", "failed", "cancelled", "undoing", "undone"),
        ),
        CheckConstraint("total_rows = inserted + updated + skipped + failed", name="sums"),
        CheckConstraint("revived <= updated AND duplicates <= skipped", name="parts"),
        Index("ix_imports_user_id_id", "user_id", "id"),
        Index("ix_imports_user_id_file_hash", "user_id", "file_hash", "id"),
        Index("ix_imports_wake_after", "wake_after", postgresql_where=AT_WORK),
        Index(
            "ix_imports_finished_at",
            "finished_at",
            postgresql_where=sql("file_deleted_at IS NULL"),
        ),
    )


class ImportErrorRow(Row):
    """A line of a file that was not imported, with its cells so that it can be mended."""

    __tablename__ = "import_errors"
    import_id: Mapped[int] = mapped_column(ForeignKey("imports.id"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str]  # of the first problem
    problems: Mapped[list[Any]]
    cells: Mapped[list[Any]]
    __table_args__ = (Index("ix_import_errors_import_id_code", "import_id", "code", "line"),)


class ImportPreviewRow(Row):
    """What a dry run would do with one line; later lines of the same fan (the same `key`) start
    from its `after`."""

    __tablename__ = "import_previews"
    import_id: Mapped[int] = mapped_column(ForeignKey("imports.id"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str]
    action: Mapped[str]
    changes: Mapped[dict[str, Any]]  # what the line would change
    after: Mapped[dict[str, Any]]  # the fan as it would then be
    __table_args__ = (
        one_of("action", "create", "update", "skip"),
        Index("ix_import_previews_import_id_key", "import_id", "key", "line"),
        Index("ix_import_previews_import_id_action", "import_id", "action", "line"),
    )


class ImportKeptRow(Row):
    """A fan that an undo left as it is, and why."""

    __tablename__ = "import_kept"
    import_id: Mapped[int] = mapped_column(ForeignKey("imports.id"), primary_key=True)
    fan_id: Mapped[int] = mapped_column(primary_key=True)
    outcome: Mapped[str]
    reason: Mapped[str]
    __table_args__ = (one_of("outcome", "kept", "errored"),)


class ImportMappingRow(Row):
    """The columns that an owner gave for files with these headers."""

    __tablename__ = "import_mappings"
    id: Mapped[int] = key()
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    header_hash: Mapped[str]
    header: Mapped[list[Any]]
    mapping: Mapped[dict[str, Any]]
    updated_at: Mapped[datetime] = moment()
    __table_args__ = (
        Index("uq_import_mappings_header_hash", "user_id", "header_hash", unique=True),
    )

"""Who may come in, and what they did."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from infra.db.tables.base import Row, key, moment


class ApiKeyRow(Row):
    """A key for programs; only its hash is kept. It acts as the member who made it."""

    __tablename__ = "api_keys"
    id: Mapped[int] = key()
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    member_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str]
    prefix: Mapped[str]
    key_hash: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = moment()
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    __table_args__ = (Index("ix_api_keys_user_id_id", "user_id", "id"),)


class AuditRow(Row):
    """Who did what; a trigger refuses to change or delete a line."""

    __tablename__ = "audit_log"
    id: Mapped[int] = key()
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    action: Mapped[str]
    subject: Mapped[str]
    subject_id: Mapped[str | None]
    detail: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    request_id: Mapped[str | None]
    at: Mapped[datetime] = moment()
    __table_args__ = (Index("ix_audit_log_user_id_id", "user_id", "id"),)

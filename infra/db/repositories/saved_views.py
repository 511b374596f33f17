"""Saved views as rows."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from domain.conversations import ConversationFilter
from domain.errors import Conflict
from domain.repositories import SavedView
from domain.users import OwnerId
from infra.db.repositories.rows import changed
from infra.db.tables import SavedFilterRow

KIND = "conversations"
MOMENTS = ("since", "until")


def saved_view_of(row: SavedFilterRow) -> SavedView:
    return SavedView(row.id, row.name, filter_of(row.filter), row.created_at, row.updated_at)


def filter_of(stored: Mapping[str, Any]) -> ConversationFilter:
    moments = {name: datetime.fromisoformat(stored[name]) for name in MOMENTS if stored.get(name)}
    return ConversationFilter(**{**stored, **moments})


def stored_of(asked: ConversationFilter) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(asked).items()
        if value is not None
    }


class SqlSavedViewRepository:
    """SavedViewRepository on PostgreSQL."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list_of(self, owner_id: OwnerId) -> Sequence[SavedView]:
        rows = self._session.scalars(
            select(SavedFilterRow)
            .where(*_owned(owner_id))
            .order_by(func.lower(SavedFilterRow.name))
        )
        return [saved_view_of(row) for row in rows]

    def get(self, owner_id: OwnerId, view_id: int) -> SavedView | None:
        row = self._row(owner_id, view_id)
        return saved_view_of(row) if row else None

    def add(self, owner_id: OwnerId, name: str, asked: ConversationFilter) -> SavedView:
        row = SavedFilterRow(user_id=owner_id, kind=KIND, name=name, filter=stored_of(asked))
        self._session.add(row)
        self._flush()
        self._session.refresh(row)
        return saved_view_of(row)

    def change(
        self, owner_id: OwnerId, view_id: int, name: str | None, asked: ConversationFilter | None
    ) -> SavedView | None:
        row = self._row(owner_id, view_id)
        if row is None:
            return None
        if name is not None:
            row.name = name
        if asked is not None:
            row.filter = stored_of(asked)
        row.updated_at = func.now()
        self._flush()
        self._session.refresh(row)
        return saved_view_of(row)

    def remove(self, owner_id: OwnerId, view_id: int) -> bool:
        return (
            changed(
                self._session,
                delete(SavedFilterRow).where(SavedFilterRow.id == view_id, *_owned(owner_id)),
            )
            > 0
        )

    def _row(self, owner_id: OwnerId, view_id: int) -> SavedFilterRow | None:
        return self._session.scalar(
            select(SavedFilterRow).where(SavedFilterRow.id == view_id, *_owned(owner_id))
        )

    def _flush(self) -> None:
        try:
            self._session.flush()
        except IntegrityError as problem:
            if "uq_saved_filters_name" in str(problem.orig):
                raise Conflict("a view of this name exists already", code="name_taken") from None
            raise


def _owned(owner_id: OwnerId) -> tuple[Any, ...]:
    return SavedFilterRow.user_id == owner_id, SavedFilterRow.kind == KIND

"""What an import tells line by line: errors, the preview of a dry run, fans that an undo kept."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Select, Text, cast, func, insert, or_, select
from sqlalchemy.orm import Session

from domain.fans import FanId
from domain.importing import Action, Plan, record_of
from domain.imports import BadRow, ImportId, RowProblem
from domain.paging import TOTAL_MAX, Page
from domain.repositories.imports import KeptFan, PreviewLine
from domain.users import OwnerId
from infra.db.repositories.cursors import read_cursor, whole, write_cursor
from infra.db.tables import (
    FanRow,
    ImportErrorRow,
    ImportKeptRow,
    ImportPreviewRow,
    ImportRow,
)


class ImportLines:
    """The part of ImportRepository that is about lines."""

    _session: Session

    # Errors

    def add_errors(self, import_id: ImportId, rows: Sequence[BadRow]) -> None:
        if not rows:
            return
        lines = [
            {
                "import_id": import_id,
                "line": row.line,
                "code": row.problems[0].code,
                "problems": [asdict(problem) for problem in row.problems],
                "cells": list(row.cells),
            }
            for row in rows
        ]
        self._session.execute(insert(ImportErrorRow), lines)

    def errors(
        self,
        owner_id: OwnerId,
        import_id: ImportId,
        limit: int,
        cursor: str | None,
        *,
        code: str | None = None,
        q: str | None = None,
    ) -> Page[BadRow]:
        found = select(ImportErrorRow).where(
            ImportErrorRow.import_id == _owned(owner_id, import_id)
        )
        if code is not None:
            found = found.where(ImportErrorRow.code == code)
        if q is not None:
            texts = (ImportErrorRow.cells, ImportErrorRow.problems)
            found = found.where(
                or_(*(cast(one, Text).icontains(q, autoescape=True) for one in texts))
            )
        rows, page = self._page(found, ImportErrorRow.line, "import.errors", limit, cursor)
        return Page([_bad_row_of(row) for row in rows], *page)

    def error_codes(self, import_id: ImportId) -> Mapping[str, int]:
        counted = self._session.execute(
            select(ImportErrorRow.code, func.count().label("n"))
            .where(ImportErrorRow.import_id == import_id)
            .group_by(ImportErrorRow.code)
            .order_by(func.count().desc(), ImportErrorRow.code)
        )
        return {row.code: row.n for row in counted}

    def errors_after(self, import_id: ImportId, line: int, limit: int) -> Sequence[BadRow]:
        rows = self._session.scalars(
            select(ImportErrorRow)
            .where(ImportErrorRow.import_id == import_id, ImportErrorRow.line > line)
            .order_by(ImportErrorRow.line)
            .limit(limit)
        )
        return [_bad_row_of(row) for row in rows]

    # Dry runs

    def add_previews(self, import_id: ImportId, plan: Plan) -> None:
        if not plan.steps:
            return
        lines = [
            {
                "import_id": import_id,
                "line": step.line,
                "key": step.key,
                "action": step.action.value,
                "changes": record_of(step.changes),
                "after": record_of(vars(step.after)),
            }
            for step in plan.steps
        ]
        self._session.execute(insert(ImportPreviewRow), lines)

    def previews(
        self,
        owner_id: OwnerId,
        import_id: ImportId,
        limit: int,
        cursor: str | None,
        action: Action | None = None,
    ) -> Page[PreviewLine]:
        found = select(ImportPreviewRow).where(
            ImportPreviewRow.import_id == _owned(owner_id, import_id)
        )
        if action is not None:
            found = found.where(ImportPreviewRow.action == action.value)
        rows, page = self._page(found, ImportPreviewRow.line, "import.preview", limit, cursor)
        lines = [
            PreviewLine(
                line=row.line,
                handle=row.after["handle"],
                fan_id=row.after["fan_id"],
                action=Action(row.action),
                changes=row.changes,
            )
            for row in rows
        ]
        return Page(lines, *page)

    # Undo

    def kept(
        self, owner_id: OwnerId, import_id: ImportId, limit: int, cursor: str | None
    ) -> Page[KeptFan]:
        found = select(ImportKeptRow).where(ImportKeptRow.import_id == _owned(owner_id, import_id))
        rows, page = self._page(found, ImportKeptRow.fan_id, "import.kept", limit, cursor)
        fans = self._session.execute(
            select(FanRow.id, FanRow.name, FanRow.handle).where(
                FanRow.id.in_([row.fan_id for row in rows])
            )
        )
        names = {fan.id: (fan.name, fan.handle) for fan in fans}
        kept = [
            KeptFan(FanId(row.fan_id), *names[row.fan_id], row.outcome, row.reason) for row in rows
        ]
        return Page(kept, *page)

    def _page(
        self, found: Select[Any], key: Any, order: str, limit: int, cursor: str | None
    ) -> tuple[Sequence[Any], tuple[int, bool, str | None]]:
        """The rows from the cursor on, with total, whether it is capped, and the next cursor."""
        counted = select(func.count()).select_from(found.limit(TOTAL_MAX + 1).subquery())
        total = self._session.scalar(counted) or 0
        if cursor is not None:
            [last] = read_cursor(cursor, order, whole)
            found = found.where(key > last)
        rows = self._session.scalars(found.order_by(key).limit(limit + 1)).all()
        more = write_cursor(order, getattr(rows[limit - 1], key.key)) if len(rows) > limit else None
        return rows[:limit], (min(total, TOTAL_MAX), total > TOTAL_MAX, more)


def _owned(owner_id: OwnerId, import_id: ImportId) -> Any:
    """The import, if it is this owner's."""
    return (
        select(ImportRow.id)
        .where(ImportRow.id == import_id, ImportRow.user_id == owner_id)
        .scalar_subquery()
    )


def _bad_row_of(row: ImportErrorRow) -> BadRow:
    return BadRow(row.line, tuple(RowProblem(**one) for one in row.problems), tuple(row.cells))

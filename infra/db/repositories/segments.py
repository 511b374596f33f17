"""Segments as rows."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from domain.errors import Conflict
from domain.segments import FanFilter, Segment, SegmentId, filter_of_record
from domain.users import OwnerId
from infra.db.tables import SavedFilterRow

KIND = "fans"
FRESH = {"populate_existing": True, "synchronize_session": False}


def _segment_of(row: SavedFilterRow) -> Segment:
    return Segment(
        id=SegmentId(row.id),
        name=row.name,
        filter=filter_of_record(row.filter),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


class SqlSegmentRepository:
    """SegmentRepository on PostgreSQL."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list_of(self, owner_id: OwnerId) -> Sequence[Segment]:
        rows = self._session.scalars(
            select(SavedFilterRow)
            .where(SavedFilterRow.user_id == owner_id, SavedFilterRow.kind == KIND)
            .order_by(func.lower(SavedFilterRow.name))
        )
        return [_segment_of(row) for row in rows]

    def get(self, owner_id: OwnerId, segment_id: SegmentId) -> Segment | None:
        row = self._session.scalar(
            select(SavedFilterRow).where(
                SavedFilterRow.id == segment_id,
                SavedFilterRow.user_id == owner_id,
                SavedFilterRow.kind == KIND,
            )
        )
        return _segment_of(row) if row else None

    def add(self, owner_id: OwnerId, name: str, sought: FanFilter) -> Segment:
        new = insert(SavedFilterRow).values(
            user_id=owner_id, kind=KIND, name=name, filter=sought.record()
        )
        with self._unique():
            row = self._session.scalars(new.returning(SavedFilterRow)).one()
        return _segment_of(row)

    def change(self, segment: Segment, name: str, sought: FanFilter) -> Segment:
        changed = (
            update(SavedFilterRow)
            .where(SavedFilterRow.id == segment.id)
            .values(name=name, filter=sought.record(), updated_at=func.now())
        )
        with self._unique():
            row = self._session.scalars(
                changed.returning(SavedFilterRow), execution_options=FRESH
            ).one()
        return _segment_of(row)

    def delete(self, segment: Segment) -> None:
        self._session.execute(delete(SavedFilterRow).where(SavedFilterRow.id == segment.id))

    @contextmanager
    def _unique(self) -> Iterator[None]:
        try:
            with self._session.begin_nested():
                yield
        except IntegrityError as problem:
            if "uq_saved_filters_name" in str(problem.orig):
                raise Conflict("a segment has this name already", code="segment_exists") from None
            raise

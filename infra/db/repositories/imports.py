"""Imports as rows. Leases and wake-ups run on PostgreSQL's clock; workers write under a lease."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, case, delete, func, null, or_, select, update
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from domain.fans import FanId
from domain.importing import Touched
from domain.imports import (
    AT_WORK,
    Column,
    Counts,
    Failure,
    FileFormat,
    Import,
    ImportId,
    ImportState,
    Options,
    SavedMapping,
    UndoCounts,
    format_of_record,
    own_header,
    read_options,
)
from domain.paging import TOTAL_MAX, Page
from domain.repositories.imports import ImportLease, NewImport
from domain.users import Caller, OwnerId, UserId
from infra.db.repositories.cursors import read_cursor, whole, write_cursor
from infra.db.repositories.import_fans import ImportedFans
from infra.db.repositories.import_lines import ImportLines
from infra.db.repositories.raising import subject_changed
from infra.db.repositories.rows import changed
from infra.db.tables import (
    ImportErrorRow,
    ImportMappingRow,
    ImportPreviewRow,
    ImportRow,
)

# Between an event and the worker that takes it.
ANNOUNCED = timedelta(seconds=30)
WORKING = tuple(state.value for state in AT_WORK)
# From here on no other transaction of the owner gets past the same statement.
ONE_OWNER = sql("SELECT id FROM users WHERE id = :owner FOR NO KEY UPDATE")
KEPT = sql(
    """
    INSERT INTO import_kept (import_id, fan_id, outcome, reason)
    SELECT :id, * FROM unnest(cast(:fans AS bigint[]), cast(:outcomes AS text[]),
      cast(:reasons AS text[]))
    ON CONFLICT DO NOTHING
    """
)


class SqlImportRepository(ImportedFans, ImportLines):
    """ImportRepository on PostgreSQL."""

    def __init__(self, session: Session) -> None:
        self._session = session

    # Requests

    def add(self, caller: Caller, new: NewImport) -> Import:
        row = ImportRow(
            user_id=caller.owner_id,
            actor_id=caller.user_id,
            dry_run=new.dry_run,
            file_name=new.file_name,
            file_key=new.file_key,
            file_bytes=new.file_bytes,
            file_hash=new.file_hash,
            options=new.options.record(),
            wake_after=func.now() + ANNOUNCED,
        )
        self._session.add(row)
        self._session.flush()
        self._session.refresh(row)
        return import_of(row)

    def get(self, owner_id: OwnerId, import_id: ImportId, *, lock: bool = False) -> Import | None:
        found = select(ImportRow).where(ImportRow.id == import_id, ImportRow.user_id == owner_id)
        if lock:
            found = found.with_for_update()
        row = self._session.scalar(found.execution_options(populate_existing=True))
        return import_of(row) if row else None

    def page(
        self, owner_id: OwnerId, limit: int, cursor: str | None, state: ImportState | None = None
    ) -> Page[Import]:
        found = select(ImportRow).where(ImportRow.user_id == owner_id)
        if state is not None:
            found = found.where(ImportRow.state == state.value)
        counted = select(func.count()).select_from(found.limit(TOTAL_MAX + 1).subquery())
        total = self._session.scalar(counted) or 0
        if cursor is not None:
            [last] = read_cursor(cursor, "imports", whole)
            found = found.where(ImportRow.id < last)
        rows = self._session.scalars(found.order_by(ImportRow.id.desc()).limit(limit + 1)).all()
        more = write_cursor("imports", rows[limit - 1].id) if len(rows) > limit else None
        imports = [import_of(row) for row in rows[:limit]]
        return Page(imports, min(total, TOTAL_MAX), total > TOTAL_MAX, more)

    def same_file(
        self,
        owner_id: OwnerId,
        file_hash: str,
        other_than: ImportId | None = None,
        *,
        alone: bool = False,
    ) -> Import | None:
        if alone:
            self._session.execute(ONE_OWNER, {"owner": owner_id})
        found = select(ImportRow).where(
            ImportRow.user_id == owner_id,
            ImportRow.file_hash == file_hash,
            ImportRow.dry_run.is_(False),
            ImportRow.state.in_(["pending", "running", "completed"]),
        )
        if other_than is not None:
            found = found.where(ImportRow.id != other_than)
        row = self._session.scalar(found.order_by(ImportRow.id.desc()).limit(1))
        return import_of(row) if row else None

    def restart(
        self, import_id: ImportId, actor_id: UserId, options: Options, *, dry_run: bool
    ) -> None:
        self._forget_lines(import_id)
        self._set(
            import_id,
            state=ImportState.PENDING.value,
            actor_id=actor_id,
            options=options.record(),
            dry_run=dry_run,
            format=null(),  # None would be the JSON value
            **dict.fromkeys(
                ("total_rows", "inserted", "updated", "skipped", "failed", "revived"), 0
            ),
            duplicates=0,
            bytes_done=0,
            failure_code=None,
            failure=None,
            started_at=None,
            finished_at=None,
            **_announced(),
        )

    def cancel(self, import_id: ImportId) -> None:
        self._set(
            import_id,
            state=ImportState.CANCELLED.value,
            finished_at=func.now(),
            delay_reason=None,
            **_at_rest(),
        )

    def ask_undo(self, import_id: ImportId, actor_id: UserId) -> None:
        self._set(
            import_id,
            state=ImportState.UNDOING.value,
            undo_requested_at=func.now(),
            undo_actor_id=actor_id,
            **_announced(),
        )

    def overdue(self, limit: int) -> Sequence[Import]:
        due = (
            select(ImportRow.id)
            .where(
                ImportRow.state.in_(WORKING),
                ImportRow.wake_after <= func.now(),
                or_(ImportRow.lease_until.is_(None), ImportRow.lease_until < func.now()),
            )
            .order_by(ImportRow.wake_after)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        rows = self._session.scalars(
            update(ImportRow)
            .where(ImportRow.id.in_(due))
            .values(wake_after=func.now() + ANNOUNCED)
            .returning(ImportRow)
        )
        return [import_of(row) for row in rows]

    # A worker's

    def take(self, import_id: ImportId, lease: timedelta) -> ImportLease | None:
        token, until = uuid4(), func.now() + lease
        pending = ImportRow.state == ImportState.PENDING.value
        row = self._session.scalar(
            update(ImportRow)
            .where(
                ImportRow.id == import_id,
                ImportRow.state.in_(WORKING),
                or_(ImportRow.lease_until.is_(None), ImportRow.lease_until < func.now()),
            )
            .values(
                state=case((pending, ImportState.RUNNING.value), else_=ImportRow.state),
                started_at=func.coalesce(ImportRow.started_at, func.now()),
                delay_reason=None,
                lease=token,
                lease_until=until,
                wake_after=until,
                wake_tries=ImportRow.wake_tries + 1,
            )
            .returning(ImportRow)
        )
        return ImportLease(import_of(row), token) if row else None

    def hold(self, lease: ImportLease, extended: timedelta) -> Import | None:
        until = func.now() + extended
        row = self._session.scalar(
            update(ImportRow)
            .where(*_ours(lease))
            .values(lease_until=until, wake_after=until)
            .returning(ImportRow)
            .execution_options(populate_existing=True)
        )
        return import_of(row) if row else None

    def found(self, lease: ImportLease, form: FileFormat) -> None:
        self._under(lease, format=form.record())

    def progress(self, lease: ImportLease, counts: Counts, bytes_done: int) -> None:
        added = {name: getattr(ImportRow, name) + value for name, value in vars(counts).items()}
        self._under(
            lease,
            **added,
            total_rows=ImportRow.total_rows + counts.total,
            bytes_done=bytes_done,
            wake_tries=0,
        )

    def give_back(
        self,
        lease: ImportLease,
        again_in: timedelta,
        reason: str | None,
        *,
        tried: bool = True,
    ) -> None:
        self._under(
            lease,
            lease=None,
            lease_until=None,
            wake_after=func.now() + again_in,
            delay_reason=reason,
            wake_tries=ImportRow.wake_tries - (0 if tried else 1),
        )

    def finish(self, lease: ImportLease, state: ImportState, why: Failure | None = None) -> None:
        ended = "undone_at" if state is ImportState.UNDONE else "finished_at"
        self._under(
            lease,
            **{ended: func.now()},
            state=state.value,
            failure_code=why and why.code,
            failure=why and why.text,
            **_at_rest(),
        )
        subject_changed(self._session, "import_id", lease.work.id)

    def put_back(
        self,
        lease: ImportLease,
        reversed_: Sequence[tuple[Touched, Mapping[str, Any]]],
        kept: Sequence[tuple[FanId, str]],
        up_to: FanId,
    ) -> UndoCounts:
        work = lease.work
        failed = self._put_back(work, work.undo_actor_id or work.actor_id, reversed_)
        lines = [(fan_id, "kept", reason) for fan_id, reason in kept]
        lines += [(fan_id, "errored", "it could not be changed") for fan_id in failed]
        fans, outcomes, reasons = (
            [list(column) for column in zip(*lines, strict=True)] if lines else ([], [], [])
        )
        noted = {"id": work.id, "fans": fans, "outcomes": outcomes, "reasons": reasons}
        self._session.execute(KEPT, noted)
        counts = UndoCounts(len(reversed_) - len(failed), len(kept), len(failed))
        added = {name: getattr(ImportRow, name) + value for name, value in vars(counts).items()}
        self._under(lease, **added, undone_to=up_to, wake_tries=0)
        return counts

    # Keeping

    def mapping_for(
        self, owner_id: OwnerId, header: Sequence[str]
    ) -> Mapping[Column, str | None] | None:
        row = self._session.scalar(
            select(ImportMappingRow).where(
                ImportMappingRow.user_id == owner_id,
                ImportMappingRow.header_hash == header_hash(header),
            )
        )
        return _mapping_of(row) if row else None

    def save_mapping(
        self, owner_id: OwnerId, header: Sequence[str], mapping: Mapping[Column, str | None]
    ) -> None:
        values = {
            "header": list(header),
            "mapping": {column.value: name for column, name in mapping.items()},
            "updated_at": func.now(),
        }
        self._session.execute(
            insert(ImportMappingRow)
            .values(user_id=owner_id, header_hash=header_hash(header), **values)
            .on_conflict_do_update(
                index_elements=[ImportMappingRow.user_id, ImportMappingRow.header_hash],
                set_=values,
            )
        )

    def mappings(self, owner_id: OwnerId) -> Sequence[SavedMapping]:
        rows = self._session.scalars(
            select(ImportMappingRow)
            .where(ImportMappingRow.user_id == owner_id)
            .order_by(ImportMappingRow.id.desc())
            .limit(TOTAL_MAX)
        )
        return [
            SavedMapping(row.id, tuple(row.header), _mapping_of(row), row.updated_at)
            for row in rows
        ]

    def forget_mapping(self, owner_id: OwnerId, mapping_id: int) -> bool:
        return bool(
            changed(
                self._session,
                delete(ImportMappingRow).where(
                    ImportMappingRow.id == mapping_id, ImportMappingRow.user_id == owner_id
                ),
            )
        )

    def outdated(self, before: datetime, limit: int) -> Sequence[Import]:
        rows = self._session.scalars(
            select(ImportRow)
            .where(
                ImportRow.file_deleted_at.is_(None),
                ImportRow.finished_at < before,
                ImportRow.state.not_in(WORKING),
            )
            .order_by(ImportRow.finished_at)
            .limit(limit)
        )
        return [import_of(row) for row in rows]

    def forget(self, import_id: ImportId) -> None:
        self._forget_lines(import_id)
        without_sample = sql("jsonb_set(format, '{sample}', '[]')")
        self._set(import_id, file_deleted_at=func.now(), format=without_sample)

    # Parts

    def _forget_lines(self, import_id: ImportId) -> None:
        for table in (ImportErrorRow, ImportPreviewRow):
            changed(self._session, delete(table).where(table.import_id == import_id))

    def _set(self, import_id: ImportId, **values: Any) -> None:
        changed(self._session, update(ImportRow).where(ImportRow.id == import_id).values(**values))

    def _under(self, held: ImportLease, **values: Any) -> None:
        changed(self._session, update(ImportRow).where(*_ours(held)).values(**values))


def _ours(lease: ImportLease) -> tuple[ColumnElement[bool], ...]:
    return (
        ImportRow.id == lease.work.id,
        ImportRow.lease == lease.token,
        ImportRow.state == lease.work.state.value,
    )


def _at_rest() -> dict[str, Any]:
    return {"lease": None, "lease_until": None, "wake_after": None}


def _announced() -> dict[str, Any]:
    return {
        "lease": None,
        "lease_until": None,
        "wake_after": func.now() + ANNOUNCED,
        "wake_tries": 0,
        "delay_reason": None,
    }


def header_hash(header: Sequence[str]) -> str:
    """Equal for the same headers in any order and case; a file of failed lines has the headers of
    the file that they come from."""
    same = sorted(" ".join(name.casefold().split()) for name in own_header(header))
    return hashlib.sha256(json.dumps(same).encode()).hexdigest()


def _mapping_of(row: ImportMappingRow) -> Mapping[Column, str | None]:
    return {Column(name): header for name, header in row.mapping.items()}


def import_of(row: ImportRow) -> Import:
    failure = Failure(row.failure_code, row.failure or "") if row.failure_code else None
    return Import(
        id=ImportId(row.id),
        owner_id=OwnerId(row.user_id),
        actor_id=UserId(row.actor_id),
        state=ImportState(row.state),
        dry_run=row.dry_run,
        file_name=row.file_name,
        file_key=row.file_key,
        file_bytes=row.file_bytes,
        file_hash=row.file_hash,
        options=read_options(row.options),
        created_at=row.created_at,
        format=format_of_record(row.format) if row.format else None,
        counts=Counts(
            inserted=row.inserted,
            updated=row.updated,
            skipped=row.skipped,
            failed=row.failed,
            revived=row.revived,
            duplicates=row.duplicates,
        ),
        bytes_done=row.bytes_done,
        delay_reason=row.delay_reason,
        failure=failure,
        started_at=row.started_at,
        finished_at=row.finished_at,
        undo_requested_at=row.undo_requested_at,
        undo_actor_id=None if row.undo_actor_id is None else UserId(row.undo_actor_id),
        undone_at=row.undone_at,
        undo=UndoCounts(row.reversed, row.kept, row.errored),
        undone_to=FanId(row.undone_to),
        wake_tries=row.wake_tries,
        file_deleted_at=row.file_deleted_at,
    )

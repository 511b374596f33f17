"""Imports as users ask for them: upload, look, confirm, cancel and take back."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO
from uuid import uuid4

from domain.errors import Conflict, FieldProblem, Invalid, NotFound
from domain.importing import Action
from domain.imports import (
    FILE_NAME_MAX,
    TRANSITIONS,
    BadRow,
    Import,
    ImportId,
    ImportState,
    Options,
    SavedMapping,
    read_options,
)
from domain.paging import Page
from domain.ports import FileStore, FilesUnavailable
from domain.repositories import (
    KeptFan,
    NewImport,
    Once,
    OpenUnitOfWork,
    PreviewLine,
    UnitOfWork,
)
from domain.services.importing import announcement
from domain.services.once import run_once
from domain.users import Caller, Permission

ERRORS_BATCH = 500
# Between two looks while a request waits, in seconds: a short import is over at once.
SHORTEST_PAUSE, LONGEST_PAUSE = 0.05, 0.3

# What to say of an import that is not in the state that a request needs.
STATES: Mapping[ImportState, str] = {
    ImportState.PENDING: "it has not begun yet: cancel it, or wait",
    ImportState.RUNNING: "it is running: cancel it, or wait until it ends",
    ImportState.COMPLETED: "it is completed: undo it, or upload the file again",
    ImportState.FAILED: "it failed",
    ImportState.CANCELLED: "it was cancelled: upload the file again",
    ImportState.UNDOING: "it is being undone",
    ImportState.UNDONE: "it was undone: upload the file again",
}


@dataclass(frozen=True)
class Upload:
    """A file on local disk, with what was found out while it came in."""

    file: BinaryIO
    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class ImportResult:
    """An import after a request. `replayed`: an Idempotency-Key brought it back."""

    import_: Import
    replayed: bool = False


@dataclass(frozen=True)
class ImportReport:
    """An import with its first failed lines, and the newest other import of the same bytes."""

    import_: Import
    errors: Page[BadRow]
    same_as: ImportId | None


class ImportService:
    """The use cases of imports."""

    def __init__(
        self,
        open_unit_of_work: OpenUnitOfWork,
        files: FileStore,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._open = open_unit_of_work
        self._files = files
        self._monotonic = monotonic
        self._sleep = sleep

    # Changing

    def upload(
        self,
        caller: Caller,
        given: Upload,
        options: Options,
        *,
        dry_run: bool = False,
        repeat: bool = False,
        once: Once | None = None,
    ) -> ImportResult:
        """Store a file and have it imported, or only tried. Raises Invalid for an empty file,
        Conflict `same_file` for one that is imported already (unless `repeat`, or in a dry run),
        and Unavailable when the file cannot be stored; then nothing is."""
        caller.require(Permission.IMPORT)
        if not given.size:
            problem = FieldProblem("file", "it is empty: choose one with a line for each fan")
            raise Invalid(problem, code="empty_file")
        asks = not (repeat or dry_run)
        if once is None and asks:
            with self._open() as work:  # Before anything is stored.
                self._refuse_same(work, caller, given.sha256)
        key = f"imports/{caller.owner_id}/{uuid4()}.csv"
        self._files.put(key, given.file, given.size)
        new = NewImport(
            dry_run=dry_run,
            file_name=given.name[:FILE_NAME_MAX],
            file_key=key,
            file_bytes=given.size,
            file_hash=given.sha256,
            options=options,
        )

        def deed(work: UnitOfWork) -> str:
            if asks:
                self._refuse_same(work, caller, given.sha256)
            made = work.imports.add(caller, new)
            detail = {"dryRun": dry_run, "bytes": given.size, "policy": options.policy.value}
            work.audit.add(caller, "import.uploaded", "import", made.id, detail)
            work.emit(announcement(made))
            return json.dumps(made.id)

        try:
            answer, replayed = run_once(self._open, caller, once, deed)
        except Conflict:
            self._drop(key)
            raise
        if replayed:
            self._drop(key)
        return self._result(caller, answer, replayed)

    def _drop(self, key: str) -> None:
        """Delete a file that no row names; one that stays is deleted by the bucket's own rule."""
        with suppress(FilesUnavailable):
            self._files.delete(key)

    @staticmethod
    def _refuse_same(work: UnitOfWork, caller: Caller, sha256: str) -> None:
        same = work.imports.same_file(caller.owner_id, sha256, alone=True)
        if same is not None:
            raise Conflict(
                f"this file was uploaded on {same.created_at:%Y-%m-%d at %H:%M} UTC: say repeat to"
                " import it again",
                FieldProblem("importId", str(same.id)),
                code="same_file",
            )

    def confirm(
        self,
        caller: Caller,
        import_id: ImportId,
        options: Mapping[str, object],
        *,
        dry_run: bool = False,
        once: Once | None = None,
    ) -> ImportResult:
        """Import the file of a dry run for good, or of an import that was refused as a whole; with
        `dry_run` try it again. `options`, as `Options.record` names them, replace what was said
        before. Raises NotFound, Invalid and Conflict."""
        caller.require(Permission.IMPORT)

        def deed(work: UnitOfWork) -> str:
            found = self._found(work, caller, import_id)
            self._require(found, ImportState.PENDING)
            if (not found.dry_run and found.state is ImportState.COMPLETED) or found.undo_until():
                raise Conflict(STATES[found.state], code=f"import_{found.state}")
            if found.file_deleted_at is not None:
                raise Conflict(
                    "its file is deleted after 30 days: upload it again", code="file_forgotten"
                )
            merged = read_options(found.options.record() | dict(options))
            work.imports.restart(found.id, caller.user_id, merged, dry_run=dry_run)
            detail = {"dryRun": dry_run, "policy": merged.policy.value}
            work.audit.add(caller, "import.confirmed", "import", found.id, detail)
            work.emit(announcement(self._found(work, caller, import_id)))
            return json.dumps(found.id)

        return self._result(caller, *run_once(self._open, caller, once, deed))

    def cancel(self, caller: Caller, import_id: ImportId, once: Once | None = None) -> ImportResult:
        """Stop an import: what was counted stays. Raises NotFound and Conflict."""
        caller.require(Permission.IMPORT)

        def deed(work: UnitOfWork) -> str:
            found = self._found(work, caller, import_id)
            self._require(found, ImportState.CANCELLED)
            work.imports.cancel(found.id)
            work.audit.add(caller, "import.cancelled", "import", found.id)
            return json.dumps(found.id)

        return self._result(caller, *run_once(self._open, caller, once, deed))

    def undo(
        self, caller: Caller, import_id: ImportId, now: datetime, once: Once | None = None
    ) -> ImportResult:
        """Have an import taken back. Raises NotFound, and Conflict: in another state,
        `nothing_to_undo`, or `undo_expired`."""
        caller.require(Permission.IMPORT)

        def deed(work: UnitOfWork) -> str:
            found = self._found(work, caller, import_id)
            self._require(found, ImportState.UNDOING)
            until = found.undo_until()
            if until is None:
                raise Conflict("it changed nothing", code="nothing_to_undo")
            if now > until:
                raise Conflict(
                    f"it could be undone until {until:%Y-%m-%d %H:%M} UTC", code="undo_expired"
                )
            work.imports.ask_undo(found.id, caller.user_id)
            work.audit.add(caller, "import.undone", "import", found.id)
            work.emit(announcement(self._found(work, caller, import_id)))
            return json.dumps(found.id)

        return self._result(caller, *run_once(self._open, caller, once, deed))

    def _result(self, caller: Caller, answer: str, replayed: bool) -> ImportResult:  # noqa: FBT001  # as run_once tells
        return ImportResult(self.get(caller, ImportId(json.loads(answer))), replayed)

    @staticmethod
    def _found(work: UnitOfWork, caller: Caller, import_id: ImportId) -> Import:
        found = work.imports.get(caller.owner_id, import_id, lock=True)
        if found is None:
            raise NotFound(f"no import {import_id}", code="import_not_found")
        return found

    @staticmethod
    def _require(found: Import, new: ImportState) -> None:
        if new not in TRANSITIONS[found.state]:
            raise Conflict(STATES[found.state], code=f"import_{found.state}")

    # Looking

    def get(self, caller: Caller, import_id: ImportId) -> Import:
        """Raises NotFound."""
        caller.require(Permission.READ)
        with self._open() as work:
            found = work.imports.get(caller.owner_id, import_id)
        if found is None:
            raise NotFound(f"no import {import_id}", code="import_not_found")
        return found

    def report(self, caller: Caller, import_id: ImportId, errors: int) -> ImportReport:
        """An import with its first failed lines; raises NotFound."""
        found = self.get(caller, import_id)
        with self._open() as work:
            lines = work.imports.errors(caller.owner_id, import_id, errors, None)
            same = work.imports.same_file(caller.owner_id, found.file_hash, import_id)
        return ImportReport(found, lines, same.id if same else None)

    def wait(self, caller: Caller, import_id: ImportId, seconds: float) -> Import:
        """The import once no worker has anything left to do, or after so many seconds."""
        end = self._monotonic() + seconds
        pause = SHORTEST_PAUSE
        while True:
            found = self.get(caller, import_id)
            left = end - self._monotonic()
            if not found.is_at_work or left <= 0:
                return found
            self._sleep(min(pause, left))
            pause = min(2 * pause, LONGEST_PAUSE)

    def page(
        self, caller: Caller, limit: int, cursor: str | None, state: ImportState | None = None
    ) -> Page[Import]:
        """Newest first; raises Invalid for a foreign cursor."""
        caller.require(Permission.READ)
        with self._open() as work:
            return work.imports.page(caller.owner_id, limit, cursor, state)

    def errors(
        self,
        caller: Caller,
        import_id: ImportId,
        limit: int,
        cursor: str | None,
        *,
        code: str | None = None,
        q: str | None = None,
    ) -> tuple[Page[BadRow], Mapping[str, int]]:
        """Failed lines with a problem of this code that hold `q`, and how many there are of each
        code. Raises NotFound."""
        self.get(caller, import_id)
        with self._open() as work:
            found = work.imports.errors(caller.owner_id, import_id, limit, cursor, code=code, q=q)
            return found, work.imports.error_codes(import_id)

    def error_rows(self, caller: Caller, import_id: ImportId) -> tuple[Import, Iterator[BadRow]]:
        """The import, and all its failed lines, read a batch at a time while they are handed out.
        Raises NotFound before the first is read."""
        caller.require(Permission.EXPORT)
        return self.get(caller, import_id), self._error_rows(import_id)

    def _error_rows(self, import_id: ImportId) -> Iterator[BadRow]:
        line = 0
        while True:
            with self._open() as work:
                batch = work.imports.errors_after(import_id, line, ERRORS_BATCH)
            yield from batch
            if len(batch) < ERRORS_BATCH:
                return
            line = batch[-1].line

    def previews(
        self,
        caller: Caller,
        import_id: ImportId,
        limit: int,
        cursor: str | None,
        action: Action | None = None,
    ) -> Page[PreviewLine]:
        """What a dry run would do, line by line; raises NotFound."""
        self.get(caller, import_id)
        with self._open() as work:
            return work.imports.previews(caller.owner_id, import_id, limit, cursor, action)

    def kept(
        self, caller: Caller, import_id: ImportId, limit: int, cursor: str | None
    ) -> Page[KeptFan]:
        """The fans that an undo left alone, with the reasons; raises NotFound."""
        self.get(caller, import_id)
        with self._open() as work:
            return work.imports.kept(caller.owner_id, import_id, limit, cursor)

    # Saved mappings

    def mappings(self, caller: Caller) -> Sequence[SavedMapping]:
        """The columns that were given for files with the same headers, newest first."""
        caller.require(Permission.READ)
        with self._open() as work:
            return work.imports.mappings(caller.owner_id)

    def forget_mapping(self, caller: Caller, mapping_id: int) -> None:
        """Guess the columns of such files again; raises NotFound."""
        caller.require(Permission.IMPORT)
        with self._open() as work:
            if not work.imports.forget_mapping(caller.owner_id, mapping_id):
                raise NotFound(f"no mapping {mapping_id}", code="mapping_not_found")
            work.audit.add(caller, "import_mapping.forgotten", "import_mapping", mapping_id)
            work.commit()

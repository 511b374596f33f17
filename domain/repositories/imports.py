"""Imports, the lines that failed, what a dry run would do, and the fans that an import touches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from domain.fans import FanId
from domain.importing import Action, Matches, Plan, Touched
from domain.imports import (
    BadRow,
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
)
from domain.paging import Page
from domain.users import Caller, OwnerId, UserId


@dataclass(frozen=True)
class NewImport:
    """An upload whose file is stored."""

    dry_run: bool
    file_name: str
    file_key: str
    file_bytes: int
    file_hash: str
    options: Options


@dataclass(frozen=True)
class ImportLease:
    """A worker's right to go on with an import until it runs out."""

    work: Import
    token: UUID


@dataclass(frozen=True)
class PreviewLine:
    """What one line would do."""

    line: int
    handle: str
    fan_id: FanId | None
    action: Action
    changes: Mapping[str, Any]


@dataclass(frozen=True)
class KeptFan:
    """A fan that an undo left alone (`kept`) or could not put back (`errored`)."""

    fan_id: FanId
    name: str
    handle: str
    outcome: str
    reason: str


class ImportRepository(Protocol):
    """Imports. They run on the database's clock."""

    def add(self, caller: Caller, new: NewImport) -> Import: ...

    def get(self, owner_id: OwnerId, import_id: ImportId, *, lock: bool = False) -> Import | None:
        """Locked, nobody changes it until the transaction ends."""
        ...

    def page(
        self, owner_id: OwnerId, limit: int, cursor: str | None, state: ImportState | None = None
    ) -> Page[Import]:
        """Newest first; raises Invalid for a cursor that is none of ours."""
        ...

    def same_file(
        self,
        owner_id: OwnerId,
        file_hash: str,
        other_than: ImportId | None = None,
        *,
        alone: bool = False,
    ) -> Import | None:
        """The newest import (no dry run) of the same bytes that is at work or completed. `alone`:
        nobody else of this owner gets past the same question until this transaction ends."""
        ...

    def restart(
        self, import_id: ImportId, actor_id: UserId, options: Options, *, dry_run: bool
    ) -> None:
        """Make an import that changed nothing `pending` again, with all it had found forgotten."""
        ...

    def cancel(self, import_id: ImportId) -> None:
        """A worker that is at it finds that out before it commits its next batch."""
        ...

    def ask_undo(self, import_id: ImportId, actor_id: UserId) -> None:
        """Make it `undoing`, on behalf of this user."""
        ...

    def overdue(self, limit: int) -> Sequence[Import]:
        """Imports with work left that nobody is at; each is put off, so that no second process
        announces it."""
        ...

    # A worker's

    def take(self, import_id: ImportId, lease: timedelta) -> ImportLease | None:
        """Begin or go on; a pending import is running then. None: there is nothing to do, or
        another worker is at it. Counts `wake_tries`, which every batch sets back to 0."""
        ...

    def hold(self, lease: ImportLease, extended: timedelta) -> Import | None:
        """Lock the import for a batch and extend the lease; None: it was lost, or the import was
        cancelled meanwhile."""
        ...

    def found(self, lease: ImportLease, form: FileFormat) -> None:
        """Note what the file is."""
        ...

    def progress(self, lease: ImportLease, counts: Counts, bytes_done: int) -> None:
        """Add a batch's counts and note how far the file was read."""
        ...

    def give_back(
        self,
        lease: ImportLease,
        again_in: timedelta,
        reason: str | None,
        *,
        tried: bool = True,
    ) -> None:
        """End the lease with work left; `reason` says why it waits, for people. Not `tried`: this
        take is none of `wake_tries`."""
        ...

    def finish(self, lease: ImportLease, state: ImportState, why: Failure | None = None) -> None:
        """Completed, failed (`why`) or undone."""
        ...

    # Lines that failed

    def add_errors(self, import_id: ImportId, rows: Sequence[BadRow]) -> None: ...

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
        """By line; only those with a problem of this code, and whose text or cells contain `q`."""
        ...

    def error_codes(self, import_id: ImportId) -> Mapping[str, int]:
        """How many lines failed by the code of their first problem."""
        ...

    def errors_after(self, import_id: ImportId, line: int, limit: int) -> Sequence[BadRow]:
        """The next ones, by line."""
        ...

    # Dry runs

    def add_previews(self, import_id: ImportId, plan: Plan) -> None: ...

    def previews(
        self,
        owner_id: OwnerId,
        import_id: ImportId,
        limit: int,
        cursor: str | None,
        action: Action | None = None,
    ) -> Page[PreviewLine]:
        """By line."""
        ...

    # Fans

    def matches(
        self, owner_id: OwnerId, import_id: ImportId, handles: Sequence[str], *, dry_run: bool
    ) -> Matches:
        """Who has these handles: the live fan, else one that can be revived, else the one that
        such a fan was merged into. Locked, and no other import of this owner gets past here until
        the transaction ends. A dry run locks nothing and meets what its earlier lines left."""
        ...

    def write(
        self, owner_id: OwnerId, actor_id: UserId, import_id: ImportId, plan: Plan
    ) -> Sequence[str]:
        """Create and change the plan's fans, with versions, history (source `import`) and tiers, in
        a few statements. Returns the keys of fans that somebody else created at this moment: then
        nothing counts, and the batch is to be rolled back and planned again."""
        ...

    def refresh_statistics(self) -> None:
        """Let PostgreSQL look at the fans after many were written: its plans rest on it."""
        ...

    # Undo

    def touched(self, import_: Import, after: FanId, limit: int) -> Sequence[Touched]:
        """The next fans that it created or changed, by id, locked."""
        ...

    def put_back(
        self,
        lease: ImportLease,
        reversed_: Sequence[tuple[Touched, Mapping[str, Any]]],
        kept: Sequence[tuple[FanId, str]],
        up_to: FanId,
    ) -> UndoCounts:
        """Write a batch of an undo with its history and tiers, note the fans that are kept with
        the reason, and how far it got. A fan that the database refuses to change is noted as
        errored."""
        ...

    def kept(
        self, owner_id: OwnerId, import_id: ImportId, limit: int, cursor: str | None
    ) -> Page[KeptFan]: ...

    # Keeping

    def mapping_for(
        self, owner_id: OwnerId, header: Sequence[str]
    ) -> Mapping[Column, str | None] | None:
        """The columns saved for files with these headers, in any order and case; our error files
        count as the files that their lines come from."""
        ...

    def save_mapping(
        self, owner_id: OwnerId, header: Sequence[str], mapping: Mapping[Column, str | None]
    ) -> None: ...

    def mappings(self, owner_id: OwnerId) -> Sequence[SavedMapping]: ...

    def forget_mapping(self, owner_id: OwnerId, mapping_id: int) -> bool: ...

    def outdated(self, before: datetime, limit: int) -> Sequence[Import]:
        """Imports that ended before then, whose file is still kept."""
        ...

    def forget(self, import_id: ImportId) -> None:
        """Its file is deleted: forget its failed lines, preview and samples too. Counts stay."""
        ...

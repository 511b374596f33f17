"""A worker's part of an import: read the file, write a batch at a time, and take it all back.

A batch is one transaction that also holds its counts: a crash at any line costs the batch that was
open, and the next worker goes on behind the last one. A worker that lost its lease writes nothing.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from itertools import islice
from typing import BinaryIO

from domain.csv_files import CsvFile, open_csv
from domain.errors import Unavailable
from domain.events import CsvUploaded, Event, ImportUndoRequested
from domain.fans import FanId
from domain.importing import Plan, plan, reversal
from domain.imports import (
    KEPT_FOR,
    BadRow,
    Column,
    Failure,
    FanRow,
    FileFormat,
    Import,
    ImportId,
    ImportState,
    UnreadableFile,
)
from domain.ports import FileMissing, FileStore, FilesUnavailable, Journal
from domain.repositories import ImportLease, OpenUnitOfWork, UnitOfWork

PASS_LIMIT = 100
# A task ends after so long and its event is sent again: long imports let short ones pass, and SQS
# never hands the same message to a second worker (after 300 s).
WORK_FOR = timedelta(seconds=60)
BATCH, UNDO_BATCH = 1000, 500
# A store that hangs says so after 3 times 3 tries of 10 s. Until then nobody else takes the import:
# they would only hang as well, and each of their takes would count.
FETCH_LEASE = timedelta(minutes=2)
# A batch that ran into somebody else's fans or locks is planned again.
BATCH_TRIES = 5
BATCH_PAUSE = 0.2
# Takes without progress; each is a crash or an error of ours.
TAKES = 10
LATER = timedelta(seconds=5)
# So many new rows, and PostgreSQL should look at the table again.
MANY = 5000
PIECE = 1 << 16

DAMAGED = Failure("file_damaged", "The stored file is not the one that was uploaded: upload again")
INTERNAL = Failure("internal", "Something went wrong on our side: try again, or ask us")


class End(Enum):
    """How a task leaves an import."""

    DONE = "done"
    MORE = "more"
    LOST = "lost"  # cancelled, or another worker's by now


class Crowded(Exception):
    """Somebody else created one of the batch's fans at this moment."""


@dataclass(frozen=True)
class Batch:
    """Lines of a file, and how far it was read behind them."""

    rows: Sequence[FanRow | BadRow]
    bytes_read: int


class ImportingService:
    """What a worker does with CsvUploaded and ImportUndoRequested."""

    def __init__(
        self,
        open_unit_of_work: OpenUnitOfWork,
        *,
        files: FileStore,
        journal: Journal,
        lease: timedelta = timedelta(seconds=30),
        batch: int = BATCH,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._open = open_unit_of_work
        self._files = files
        self._journal = journal
        self._lease = lease
        self._batch = batch
        self._now = now
        self._monotonic = monotonic
        self._sleep = sleep

    # The timer's

    def wake_overdue(self) -> int:
        """Announce imports again whose event got lost, whose worker died, or whose time came."""
        with self._open() as work:
            overdue = work.imports.overdue(PASS_LIMIT)
            for one in overdue:
                work.emit(announcement(one))
            work.commit()
        return len(overdue)

    def forget_files(self) -> int:
        """Delete files, failed lines and previews of imports that ended long ago."""
        with self._open() as work:
            outdated = work.imports.outdated(self._now() - KEPT_FOR, PASS_LIMIT)
        for one in outdated:
            try:
                self._files.delete(one.file_key)
            except FilesUnavailable:
                return 0  # The next pass tries again.
            with self._open() as work:
                work.imports.forget(one.id)
                work.commit()
        return len(outdated)

    # A task's

    def run(self, import_id: ImportId) -> None:
        """Begin or go on with an import, or with taking it back, as its state says. Run twice, or
        by two workers at once, it does everything once; with nothing left to do, it does
        nothing. Raises Unavailable while PostgreSQL is away; what was committed stays."""
        lease = self._take(import_id)
        if lease is None:
            return
        undoing = lease.work.state is ImportState.UNDOING
        if not undoing and lease.work.wake_tries > TAKES:
            # Its workers died, or were too slow for the lease: no exception ever told.
            self._journal.alert("import_given_up", importId=lease.work.id)
            self._finish(lease, ImportState.FAILED, INTERNAL)
            return
        try:
            end = self._undo(lease) if undoing else self._import(lease)
        except FileMissing:
            self._finish(lease, ImportState.FAILED, DAMAGED)
        except UnreadableFile as refused:
            if refused.seen:
                self._note(lease, refused.seen)
            self._finish(lease, ImportState.FAILED, refused.failure)
        except FilesUnavailable:
            reason = "the file store does not answer: trying again"
            self._give_back(lease, LATER, reason, tried=False)
        except Unavailable:
            raise  # The lease runs out, and the timer announces the import again.
        except Exception as problem:  # noqa: BLE001  # a fault of ours must not loop for ever
            self._stumble(lease, problem)
        else:
            if end is End.DONE:
                self._finish(lease, ImportState.UNDONE if undoing else ImportState.COMPLETED)
            elif end is End.MORE:
                self._go_on_later(lease)

    def _take(self, import_id: ImportId) -> ImportLease | None:
        with self._open() as work:
            lease = work.imports.take(import_id, max(self._lease, FETCH_LEASE))
            work.commit()
        return lease

    def _hold(self, lease: ImportLease) -> bool:
        with self._open() as work:
            held = work.imports.hold(lease, self._lease)
            work.commit()
        return held is not None

    # Importing

    def _import(self, lease: ImportLease) -> End:
        with self._files.fetch(lease.work.file_key) as file:
            if not self._hold(lease):
                return End.LOST
            if digest(file) != lease.work.file_hash:
                raise FileMissing("it is not the file that was uploaded")
            return self._write_all(lease, file)

    def _write_all(self, lease: ImportLease, file: BinaryIO) -> End:
        """Every batch that is left, or as many as the time allows."""
        started = self._monotonic()
        source = self._opened(lease, file)
        for batch in self._batches(source, lease.work.counts.total):
            if not self._write(lease, batch):
                return End.LOST
            if self._monotonic() - started > WORK_FOR.total_seconds():
                return End.MORE
        return End.DONE

    def _opened(self, lease: ImportLease, file: BinaryIO) -> CsvFile:
        """The file, its format noted when it was seen for the first time."""
        job = lease.work

        def saved(header: Sequence[str]) -> Mapping[Column, str | None] | None:
            with self._open() as work:
                return work.imports.mapping_for(job.owner_id, header)

        source = open_csv(file, job.options, saved, known=job.format)
        if job.format is None:
            with self._open() as work:
                work.imports.found(lease, source.format)
                if job.options.mapping is not None and not job.dry_run:
                    work.imports.save_mapping(
                        job.owner_id, source.format.header, job.options.mapping
                    )
                work.commit()
        return source

    def _note(self, lease: ImportLease, seen: FileFormat) -> None:
        """What a refused file looks like, for who names its columns."""
        with self._open() as work:
            work.imports.found(lease, seen)
            work.commit()

    def _batches(self, source: CsvFile, skip: int) -> Iterator[Batch]:
        rows = source.rows(self._now(), skip)
        while batch := list(islice(rows, self._batch)):
            yield Batch(batch, source.bytes_read)

    def _write(self, lease: ImportLease, batch: Batch) -> bool:
        """One batch; False when the import is no longer ours."""
        for left in reversed(range(BATCH_TRIES)):
            try:
                return self._written(lease, batch)
            except (Crowded, Unavailable):
                if not left:
                    raise
                self._sleep(BATCH_PAUSE)
        raise AssertionError("unreachable")

    def _written(self, lease: ImportLease, batch: Batch) -> bool:
        good = [row for row in batch.rows if isinstance(row, FanRow)]
        bad = [row for row in batch.rows if isinstance(row, BadRow)]
        with self._open() as work:
            job = work.imports.hold(lease, self._lease)
            if job is None:
                return False
            handles = [row.handle for row in good]
            matches = work.imports.matches(job.owner_id, job.id, handles, dry_run=job.dry_run)
            planned = plan(good, matches, job.options, self._now())
            self._keep(work, job, planned)
            work.imports.add_errors(job.id, [*bad, *planned.bad])
            counts = planned.counts
            counts = replace(counts, failed=counts.failed + len(bad))
            work.imports.progress(lease, counts, batch.bytes_read)
            work.commit()
        return True

    @staticmethod
    def _keep(work: UnitOfWork, job: Import, planned: Plan) -> None:
        if job.dry_run:
            work.imports.add_previews(job.id, planned)
        elif work.imports.write(job.owner_id, job.actor_id, job.id, planned):
            raise Crowded

    def _refresh_statistics(self) -> None:
        """The import is done, whatever becomes of this; PostgreSQL does it by itself later."""
        try:
            with self._open() as work:
                work.imports.refresh_statistics()
                work.commit()
        except Exception as problem:  # noqa: BLE001  # as said
            self._journal.note("statistics_not_refreshed", error=type(problem).__name__)

    # Taking back

    def _undo(self, lease: ImportLease) -> End:
        started = self._monotonic()
        while self._monotonic() - started <= WORK_FOR.total_seconds():
            with self._open() as work:
                job = work.imports.hold(lease, self._lease)
                if job is None:
                    return End.LOST
                touched = work.imports.touched(job, job.undone_to or FanId(0), UNDO_BATCH)
                if not touched:
                    return End.DONE
                answers = [(one, reversal(one, self._now())) for one in touched]
                work.imports.put_back(
                    lease,
                    [(one, back) for one, back in answers if not isinstance(back, str)],
                    [(one.fan.id, why) for one, why in answers if isinstance(why, str)],
                    touched[-1].fan.id,
                )
                work.commit()
        return End.MORE

    # Ending

    def _go_on_later(self, lease: ImportLease) -> None:
        with self._open() as work:
            work.imports.give_back(lease, timedelta(0), None)
            work.emit(announcement(lease.work))
            work.commit()

    def _finish(self, lease: ImportLease, state: ImportState, why: Failure | None = None) -> None:
        with self._open() as work:
            work.imports.finish(lease, state, why)
            done = work.imports.get(lease.work.owner_id, lease.work.id)
            work.commit()
        if done is None or done.state is not state:
            return  # Cancelled at the last moment.
        self._journal.note(
            f"import_{state}",
            importId=done.id,
            userId=str(done.owner_id),
            dryRun=done.dry_run,
            code=why and why.code,
            totalRows=done.counts.total,
            **vars(done.counts),
            seconds=taken(done),
            **(vars(done.undo) if state is ImportState.UNDONE else {}),
        )
        written = done.counts.inserted + done.counts.updated
        if state is ImportState.COMPLETED and written > MANY and not done.dry_run:
            self._refresh_statistics()

    def _give_back(
        self, lease: ImportLease, again_in: timedelta, reason: str, *, tried: bool = True
    ) -> None:
        with self._open() as work:
            work.imports.give_back(lease, again_in, reason, tried=tried)
            work.commit()

    def _stumble(self, lease: ImportLease, problem: Exception) -> None:
        """Try again later; after many takes without progress nobody would believe that."""
        self._journal.alert("import_stumbled", importId=lease.work.id, exc_info=problem)
        with self._open() as work:
            job = work.imports.get(lease.work.owner_id, lease.work.id)
        # A batch sets the tries back.
        takes = job.wake_tries if job else 0
        if lease.work.state is ImportState.RUNNING and takes >= TAKES:
            self._finish(lease, ImportState.FAILED, INTERNAL)
        else:
            self._give_back(lease, LATER, "something went wrong on our side: trying again")


def announcement(one: Import) -> Event:
    """The event that sets an import's work going."""
    undoing = one.state is ImportState.UNDOING
    payload = ImportUndoRequested if undoing else CsvUploaded
    return Event(payload(import_id=one.id), group=f"imports-{one.owner_id}")


def taken(done: Import) -> float | None:
    """Seconds from the first take, or from the request to take it back, to the end."""
    undone = done.state is ImportState.UNDONE
    start, end = (
        (done.undo_requested_at, done.undone_at) if undone else (done.started_at, done.finished_at)
    )
    return round((end - start).total_seconds(), 1) if start and end else None


def digest(file: BinaryIO) -> str:
    """The sha256 of a file, which then stands at its beginning again."""
    found = hashlib.sha256()
    while piece := file.read(PIECE):
        found.update(piece)
    file.seek(0)
    return found.hexdigest()

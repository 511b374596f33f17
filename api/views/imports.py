"""Imports as response bodies, and their failed lines as a file."""

from collections.abc import Iterable, Iterator

from api.schemas import imports as schemas
from api.views.cells import BOM, line
from api.views.fans import camel
from domain.imports import (
    ERROR_COLUMNS,
    BadRow,
    Column,
    FileFormat,
    Import,
    ImportState,
    RowProblem,
    SavedMapping,
    own_header,
)
from domain.paging import Page
from domain.repositories import KeptFan, PreviewLine
from domain.services.imports import ImportReport

PATH = "/api/onlyfans/import/csv"
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}


def status_url(one: Import) -> str:
    return f"{PATH}/{one.id}"


def waiting(one: Import) -> schemas.Waiting:
    return schemas.Waiting(import_id=one.id, status=one.state, status_url=status_url(one))


def brief(one: Import) -> schemas.Brief:
    counts = one.counts
    return schemas.Brief(
        import_id=one.id,
        status=one.state,
        status_url=status_url(one),
        dry_run=one.dry_run,
        file_name=one.file_name,
        file_bytes=one.file_bytes,
        policy=one.options.policy,
        tags=list(one.options.tags),
        summary=schemas.Summary(
            total_rows=counts.total,
            successful_inserts=counts.inserted,
            updated=counts.updated,
            skipped=counts.skipped,
            errors=counts.failed,
        ),
        revived=counts.revived,
        duplicates=counts.duplicates,
        progress=_progress(one),
        failure=one.failure and schemas.FailureView(code=one.failure.code, error=one.failure.text),
        waits_because=one.delay_reason if one.is_at_work else None,
        undo=schemas.UndoView(
            until=one.undo_until(),
            requested_at=one.undo_requested_at,
            undone_at=one.undone_at,
            reversed=one.undo.reversed,
            kept=one.undo.kept,
            errored=one.undo.errored,
        ),
        actor_id=one.actor_id,
        created_at=one.created_at,
        started_at=one.started_at,
        finished_at=one.finished_at,
    )


def _progress(one: Import) -> schemas.Progress:
    # While it runs, the last lines that were read may not be written yet.
    most = 99 if one.state in {ImportState.PENDING, ImportState.RUNNING} else 100
    done = one.state is ImportState.COMPLETED
    percent = 100 if done else min(most, 100 * one.bytes_done // max(one.file_bytes, 1))
    return schemas.Progress(percent=percent, bytes_read=one.bytes_done, rows=one.counts.total)


def whole(report: ImportReport) -> schemas.ImportView:
    one = report.import_
    return schemas.ImportView(
        **dict(brief(one)),
        errors=[row_error(row) for row in report.errors.items],
        errors_capped=report.errors.next_cursor is not None,
        errors_url=f"{status_url(one)}/errors",
        errors_file_url=f"{status_url(one)}/errors.csv",
        format=one.format and form(one.format),
        same_file_as=report.same_as,
    )


def form(found: FileFormat) -> schemas.FormatView:
    return schemas.FormatView(
        encoding=found.encoding,
        delimiter=DELIMITERS[found.delimiter],
        header=list(found.header),
        columns={
            column.value: found.header[found.mapping[column]]
            for column in Column
            if column in found.mapping
        },
        missing=[column.value for column in found.missing],
        ignored=list(found.ignored),
        source=found.source,
        sample=[list(row) for row in found.sample],
    )


def _problem(one: RowProblem) -> schemas.ProblemView:
    return schemas.ProblemView(error=one.text, code=one.code, field=one.column, value=one.value)


def row_error(row: BadRow) -> schemas.RowErrorView:
    problems = [_problem(one) for one in row.problems]
    return schemas.RowErrorView(row=row.line, problems=problems, **dict(problems[0]))


def history(page: Page[Import]) -> schemas.ImportsReply:
    return schemas.ImportsReply(
        imports=[brief(one) for one in page.items],
        total=page.total,
        total_capped=page.is_capped,
        next_cursor=page.next_cursor,
    )


def preview(page: Page[PreviewLine]) -> schemas.PreviewReply:
    lines = [
        schemas.PreviewView(
            row=line.line,
            action=line.action,
            handle=line.handle,
            fan_id=line.fan_id,
            changes=camel(line.changes),
        )
        for line in page.items
    ]
    return schemas.PreviewReply(
        lines=lines,
        total=page.total,
        total_capped=page.is_capped,
        next_cursor=page.next_cursor,
    )


def kept(page: Page[KeptFan]) -> schemas.KeptReply:
    return schemas.KeptReply(
        fans=[schemas.KeptView(**vars(one)) for one in page.items],
        total=page.total,
        total_capped=page.is_capped,
        next_cursor=page.next_cursor,
    )


def mapping(one: SavedMapping) -> schemas.MappingView:
    return schemas.MappingView(
        id=one.id,
        header=list(one.header),
        mapping={column.value: header for column, header in one.mapping.items()},
        updated_at=one.updated_at,
    )


def error_file(one: Import, rows: Iterable[BadRow]) -> Iterator[str]:
    """The failed lines with their own cells, the line and the reason, as a file that can be mended
    and imported again. Cells beyond the header come after the reason, so that none is lost and the
    line is still refused until it is mended. The line and the reason of a file that came from here
    make room for the new ones. No cell is run as a formula by a spreadsheet."""
    header = one.format.header if one.format else ()
    own = own_header(header)
    yield BOM + line([*own, *ERROR_COLUMNS])
    for row in rows:
        cells = [*row.cells[: len(own)], *[""] * (len(own) - len(row.cells))]
        reasons = "; ".join(
            f"{problem.column}: {problem.text}" if problem.column else problem.text
            for problem in row.problems
        )
        yield line([*cells, str(row.line), reasons, *row.cells[len(header) :]])

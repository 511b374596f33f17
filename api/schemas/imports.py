"""Imports: what may be asked of them, and what is answered."""

from typing import Any, Literal

from pydantic import Field

from api.schemas.base import Answered, Asked, Instant, PageQuery, Query

StateName = Literal["pending", "running", "completed", "failed", "cancelled", "undoing", "undone"]
PolicyName = Literal["skip", "fillBlanks", "overwrite"]
EncodingName = Literal["utf-8", "utf-16", "windows-1252"]
DelimiterName = Literal["comma", "semicolon", "tab", "pipe"]


class UploadQuery(Query):
    dry_run: bool = Field(False, description="true: try it, change nothing, and wait for confirm")
    repeat: bool = Field(False, description="true: import a file again that is here already")


class ImportsQuery(PageQuery):
    status: StateName | None = None


class ErrorsQuery(PageQuery):
    code: str | None = Field(None, max_length=64, description="only lines with this problem first")
    q: str | None = Field(None, min_length=1, max_length=100, description="part of a cell or text")


class PreviewQuery(PageQuery):
    action: Literal["create", "update", "skip"] | None = None


class ConfirmRequest(Asked):
    """What is given replaces what was said before; null finds it out again."""

    policy: PolicyName | None = Field(None, description="default: as before")
    tags: list[str] | None = Field(None, description="for every fan of the file")
    mapping: dict[str, str | None] | None = Field(
        None, description="column -> its header in the file, null leaves the column out"
    )
    encoding: EncodingName | None = None
    delimiter: DelimiterName | None = None
    dry_run: bool = Field(False, description="true: only try it again")


class ProblemView(Answered):
    error: str
    code: str
    field: str | None = Field(description="the column, as the file spells it")
    value: str | None


class RowErrorView(Answered):
    """A line that was not imported: its first problem, and all of them."""

    row: int = Field(description="line of the file; the header is 1")
    error: str
    code: str
    field: str | None
    value: str | None
    problems: list[ProblemView]


class Summary(Answered):
    """totalRows = successfulInserts + updated + skipped + errors."""

    total_rows: int
    successful_inserts: int
    updated: int
    skipped: int
    errors: int


class Progress(Answered):
    percent: int
    bytes_read: int
    rows: int


class FormatView(Answered):
    """What the file was taken for."""

    encoding: str
    delimiter: str
    header: list[str]
    columns: dict[str, str] = Field(description="column -> its header")
    missing: list[str]
    ignored: list[str]
    source: str = Field(description="who said so: guessed, saved (from an earlier file) or given")
    sample: list[list[str]] = Field(description="the first lines, as they are")


class FailureView(Answered):
    code: str
    error: str


class UndoView(Answered):
    until: Instant | None = Field(description="null: there is nothing to undo")
    requested_at: Instant | None
    undone_at: Instant | None
    reversed: int
    kept: int
    errored: int


class Brief(Answered):
    """An import in the history."""

    import_id: int
    status: str
    status_url: str
    dry_run: bool
    file_name: str
    file_bytes: int
    policy: str
    tags: list[str]
    summary: Summary
    revived: int = Field(description="of the updated: fans that had been deleted")
    duplicates: int = Field(description="of the skipped: lines that repeat an earlier one")
    progress: Progress
    failure: FailureView | None
    waits_because: str | None
    undo: UndoView
    actor_id: int
    created_at: Instant
    started_at: Instant | None
    finished_at: Instant | None


class ImportView(Brief):
    errors: list[RowErrorView] = Field(description="the first 100; all of them at errorsUrl")
    errors_capped: bool
    errors_url: str
    errors_file_url: str
    format: FormatView | None
    same_file_as: int | None = Field(description="another import of the same bytes")


class Waiting(Answered):
    """Accepted: it goes on without you; statusUrl tells how."""

    import_id: int
    status: str
    status_url: str


class ImportsReply(Answered):
    imports: list[Brief]
    total: int
    total_capped: bool
    next_cursor: str | None


class ErrorsReply(Answered):
    errors: list[RowErrorView]
    codes: dict[str, int] = Field(description="how many lines there are of each code")
    total: int
    total_capped: bool
    next_cursor: str | None


class PreviewView(Answered):
    row: int
    action: str
    handle: str
    fan_id: int | None
    changes: dict[str, Any]


class PreviewReply(Answered):
    lines: list[PreviewView]
    total: int
    total_capped: bool
    next_cursor: str | None


class KeptView(Answered):
    """A fan that the undo left alone (kept) or could not put back (errored)."""

    fan_id: int
    name: str
    handle: str
    outcome: str
    reason: str


class KeptReply(Answered):
    fans: list[KeptView]
    total: int
    total_capped: bool
    next_cursor: str | None


class MappingView(Answered):
    id: int
    header: list[str]
    mapping: dict[str, str | None]
    updated_at: Instant


class MappingsReply(Answered):
    mappings: list[MappingView]

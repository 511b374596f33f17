"""Imports: a CSV file of fans on its way into the CRM, and back out of it if it was a mistake.

Every upload is a row whose state says what is left to do. Its counts are always whole:
total = inserted + updated + skipped + failed (a check of the database, too).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NewType

from domain.errors import FieldProblem, IllegalTransition, Invalid
from domain.fans import FanId, read_tags
from domain.users import OwnerId, UserId

ImportId = NewType("ImportId", int)

FILE_NAME_MAX = 255
# How long an import can be taken back, and its file and the text of its errors are kept.
UNDO_WITHIN = KEPT_FOR = timedelta(days=30)


class Column(StrEnum):
    """What a column of a file may mean; the value is what it is called in our own files."""

    USERNAME = "Username"
    DISPLAY_NAME = "Display Name"
    EMAIL = "Email"
    SUBSCRIPTION_TIER = "Subscription Tier"
    TOTAL_SPENT = "Total Spent"
    LAST_SEEN = "Last Seen"
    TAGS = "Tags"


class ImportState(StrEnum):
    """Where an import stands. A completed dry run changed nothing and waits to be confirmed."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNDOING = "undoing"
    UNDONE = "undone"


S = ImportState
# The one table of what may follow what. `completed -> pending` is a dry run confirmed or repeated.
TRANSITIONS: Mapping[ImportState, frozenset[ImportState]] = {
    S.PENDING: frozenset({S.RUNNING, S.CANCELLED, S.FAILED}),
    S.RUNNING: frozenset({S.COMPLETED, S.FAILED, S.CANCELLED}),
    S.COMPLETED: frozenset({S.PENDING, S.UNDOING}),
    S.FAILED: frozenset({S.PENDING, S.UNDOING}),
    S.CANCELLED: frozenset({S.UNDOING}),
    S.UNDOING: frozenset({S.UNDONE}),
    S.UNDONE: frozenset(),
}
AT_WORK = frozenset({S.PENDING, S.RUNNING, S.UNDOING})


def check_transition(old: ImportState, new: ImportState) -> None:
    """Raise IllegalTransition unless the table has it."""
    if new not in TRANSITIONS[old]:
        raise IllegalTransition(f"an import that is {old} cannot become {new}")


# What our own error files add to the header of the file, at its end.
ERROR_COLUMNS = ("Line", "Reason")


def own_header(header: Sequence[str]) -> tuple[str, ...]:
    """A header without what our error files added to it."""
    added = len(ERROR_COLUMNS)
    return tuple(header[:-added] if tuple(header[-added:]) == ERROR_COLUMNS else header)


class Policy(StrEnum):
    """What happens to a fan who is here already.

    `skip` leaves it alone (one that was deleted comes back as it was), `fillBlanks` sets what is
    blank, `overwrite` sets what the file says. A blank cell never changes anything, tags are only
    ever added, and nothing an import does opens what a fan has closed."""

    SKIP = "skip"
    FILL_BLANKS = "fillBlanks"
    OVERWRITE = "overwrite"


class Encoding(StrEnum):
    """The encodings that are read; UTF-16 by its byte order mark or its zeros."""

    UTF_8 = "utf-8"
    UTF_16 = "utf-16"
    WINDOWS_1252 = "windows-1252"


DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class Options:
    """What the user decided. None = find out. `mapping` gives the header, as the file spells it, of
    each column; one that is mapped to None is not imported."""

    policy: Policy = Policy.FILL_BLANKS
    tags: tuple[str, ...] = ()
    mapping: Mapping[Column, str | None] | None = None
    encoding: Encoding | None = None
    delimiter: str | None = None

    def record(self) -> dict[str, Any]:
        """As JSON holds them."""
        return {
            "policy": self.policy.value,
            "tags": list(self.tags),
            "mapping": None
            if self.mapping is None
            else {column.value: header for column, header in self.mapping.items()},
            "encoding": self.encoding and self.encoding.value,
            "delimiter": self.delimiter,
        }


def read_options(given: Mapping[str, Any]) -> Options:
    """Options from their JSON, each optional; raises Invalid naming every bad one."""
    problems: list[FieldProblem] = []
    read: dict[str, Any] = {}
    readers = {
        "policy": Policy,
        "tags": read_tags,
        "mapping": _read_mapping,
        "encoding": Encoding,
        "delimiter": _read_delimiter,
    }
    words = {
        "policy": f"use one of: {', '.join(Policy)}",
        "encoding": f"use one of: {', '.join(Encoding)}",
    }
    for name, reader in readers.items():
        value = given.get(name)
        if value is None:
            continue
        try:
            read[name] = reader(value)
        except (ValueError, TypeError) as problem:
            problems.append(FieldProblem(name, words.get(name) or str(problem)))
    if problems:
        raise Invalid(*problems)
    return Options(**read)


def _read_mapping(value: Any) -> Mapping[Column, str | None]:
    columns = {column.value: column for column in Column}
    if not isinstance(value, dict) or not value:
        raise ValueError('use an object such as {"Username": "Login"}')
    if unknown := [str(name)[:64] for name in value if name not in columns]:
        raise ValueError(f"no column {unknown[0]}: use {', '.join(columns)}")
    if not all(header is None or (isinstance(header, str) and header) for header in value.values()):
        raise ValueError("name the header of each column, or null to leave it out")
    headers = [header for header in value.values() if header is not None]
    if len(set(headers)) < len(headers):
        raise ValueError("one header cannot be two columns")
    if not value.get(Column.USERNAME.value):
        raise ValueError(f"{Column.USERNAME.value} is required: it says who a fan is")
    return {columns[name]: header for name, header in value.items()}


def _read_delimiter(value: Any) -> str:
    named = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
    read = named.get(value, value)
    if read not in DELIMITERS:
        raise ValueError("use comma, semicolon, tab or pipe")
    return str(read)


class MappingSource(StrEnum):
    """Who decided which column is what."""

    GUESSED = "guessed"
    SAVED = "saved"
    GIVEN = "given"


@dataclass(frozen=True)
class FileFormat:
    """What a file turned out to be: shown to the user, and all that is needed to read on."""

    encoding: Encoding
    delimiter: str
    header: tuple[str, ...]
    mapping: Mapping[Column, int]  # the place of each column, from 0
    source: MappingSource
    sample: tuple[tuple[str, ...], ...] = ()  # the first rows, as they are

    @property
    def missing(self) -> tuple[Column, ...]:
        return tuple(column for column in Column if column not in self.mapping)

    @property
    def ignored(self) -> tuple[str, ...]:
        used = set(self.mapping.values())
        return tuple(name for place, name in enumerate(self.header) if place not in used)

    def record(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "encoding": self.encoding.value,
            "delimiter": self.delimiter,
            "header": list(self.header),
            "mapping": {column.value: place for column, place in self.mapping.items()},
            "source": self.source.value,
            "sample": [list(row) for row in self.sample],
        }


def format_of_record(record: Mapping[str, Any]) -> FileFormat:
    """The format that `record` wrote down."""
    return FileFormat(
        encoding=Encoding(record["encoding"]),
        delimiter=record["delimiter"],
        header=tuple(record["header"]),
        mapping={Column(name): place for name, place in record["mapping"].items()},
        source=MappingSource(record["source"]),
        sample=tuple(tuple(row) for row in record["sample"]),
    )


@dataclass(frozen=True)
class Failure:
    """Why a whole file is not imported: a stable code, and what to change, for people."""

    code: str
    text: str


class UnreadableFile(Exception):
    """A file that is no list of fans: nothing of it is imported."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.failure = Failure(code, text)
        # What the file looks like, where only its columns are not clear: somebody can name them.
        self.seen: FileFormat | None = None


@dataclass(frozen=True)
class RowProblem:
    """One thing that is wrong with a line. `column` as the file spells it; `value` is shortened."""

    code: str
    text: str
    column: str | None = None
    value: str | None = None


@dataclass(frozen=True)
class BadRow:
    """A line that is not imported; `line` counts from 1, the header's, and is where it begins."""

    line: int
    problems: tuple[RowProblem, ...]
    cells: tuple[str, ...]


@dataclass(frozen=True)
class FanRow:
    """A good line: who, and what it says of them. None = the cell is blank, or there is none."""

    line: int
    handle: str
    name: str | None = None
    email: str | None = None
    subscription_tier: str | None = None
    value_cents: int | None = None
    last_seen_at: datetime | None = None
    tags: tuple[str, ...] = ()
    cells: tuple[str, ...] = ()


@dataclass(frozen=True)
class Counts:
    """What became of the lines; empty ones are not counted. `revived` are of the updated,
    `duplicates` (of an earlier line of the same file) of the skipped."""

    inserted: int = 0
    updated: int = 0
    skipped: int = 0
    failed: int = 0
    revived: int = 0
    duplicates: int = 0

    @property
    def total(self) -> int:
        return self.inserted + self.updated + self.skipped + self.failed


@dataclass(frozen=True)
class UndoCounts:
    """What an undo did: fans put back, left since they were changed after the import, failed."""

    reversed: int = 0
    kept: int = 0
    errored: int = 0


@dataclass(frozen=True)
class Import:
    """One upload as stored."""

    id: ImportId
    owner_id: OwnerId
    actor_id: UserId
    state: ImportState
    dry_run: bool
    file_name: str
    file_key: str
    file_bytes: int
    file_hash: str
    options: Options
    created_at: datetime
    format: FileFormat | None = None
    counts: Counts = field(default_factory=Counts)
    bytes_done: int = 0
    delay_reason: str | None = None
    failure: Failure | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    undo_requested_at: datetime | None = None
    undo_actor_id: UserId | None = None
    undone_at: datetime | None = None
    undo: UndoCounts = field(default_factory=UndoCounts)
    undone_to: FanId | None = None  # the last fan that an undo looked at
    wake_tries: int = 0
    file_deleted_at: datetime | None = None

    @property
    def is_at_work(self) -> bool:
        return self.state in AT_WORK

    def undo_until(self) -> datetime | None:
        """Until when it can be taken back; None if there is nothing to take back."""
        changed = self.counts.inserted + self.counts.updated
        if self.dry_run or not changed or self.finished_at is None:
            return None
        return self.finished_at + UNDO_WITHIN


@dataclass(frozen=True)
class SavedMapping:
    """The columns an owner gave for files with these headers; taken for the next one like it."""

    id: int
    header: tuple[str, ...]
    mapping: Mapping[Column, str | None]
    updated_at: datetime

"""CSV files as people have them: any encoding, delimiter, order and names of columns.

A file is refused as a whole only where nobody could say what its columns are. Nothing here holds
more of it than a record and the lines that were read to find the end of one.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain, islice
from typing import BinaryIO

from domain.csv_columns import likely_columns, place_columns, recognised
from domain.csv_lines import Record, Records, decoded, lines_of
from domain.csv_rows import RowReader
from domain.imports import (
    DELIMITERS,
    BadRow,
    Column,
    Encoding,
    FanRow,
    FileFormat,
    MappingSource,
    Options,
    UnreadableFile,
)

COLUMNS_MAX = 1000
SAMPLE_ROWS, SAMPLE_CELL = 20, 200
# Enough to see what kind of file it is.
HEAD_BYTES = 1024
# Spreadsheets, pictures, archives and pages, by how they begin.
OTHER_KINDS = (
    *(b"PK\x03\x04", b"PK\x05\x06", b"\xd0\xcf\x11\xe0", b"%PDF", b"\x89PNG", b"\xff\xd8\xff"),
    *(b"GIF8", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"{\\rtf", b"<html", b"<!DOCTYPE", b"SQLite"),
)
BOM_UTF_8, BOM_LE, BOM_BE = b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"
# Excel's way to say which delimiter follows.
SEP_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)

FAILURES: Mapping[str, str] = {
    "empty_file": "The file is empty: choose one with a header and a line for each fan",
    "not_csv": "This is no CSV file: open it in Excel, Numbers or Google Sheets and save it as CSV",
    "unknown_encoding": "The encoding of the file is not known: save it as CSV UTF-8",
    "wrong_encoding": "The file is not whole, or not in the encoding that was named or that it "
    "begins with: save it as CSV UTF-8, or name another encoding",
    "header_unreadable": "The header cannot be read: it is too long, or a quote in it is not "
    "closed. Correct the first line",
    "too_many_columns": f"The file has more than {COLUMNS_MAX} columns: keep those of the fans",
}


def open_csv(
    file: BinaryIO,
    options: Options,
    saved: Callable[[Sequence[str]], Mapping[Column, str | None] | None],
    *,
    known: FileFormat | None = None,
) -> "CsvFile":
    """Find out how a file is to be read; raises UnreadableFile. `saved` gives the columns that
    were given before for the same header. With `known`, found by an earlier run, nothing is
    guessed again."""
    encoding, codec, start = _find_encoding(file, known.encoding if known else options.encoding)
    if known is not None:
        return CsvFile(file, codec, start, known)
    _, stated = _records(file, codec, start, "")
    delimiter = options.delimiter or (stated if stated in DELIMITERS else None)
    if delimiter is None:
        delimiter = _guess_delimiter(file, codec, start, options.mapping or {})
    records, _ = _records(file, codec, start, delimiter)
    found = next(records.read(), None)
    if found is None:
        raise _failure("empty_file")
    header = _read_header(found)
    given, source = options.mapping, MappingSource.GIVEN
    if given is None:
        given, source = saved(header), MappingSource.SAVED
    if given is None:
        given, source = {}, MappingSource.GUESSED
    file_format = FileFormat(
        encoding=encoding,
        delimiter=delimiter,
        header=header,
        mapping=likely_columns(header),
        source=source,
        sample=tuple(
            tuple(cell[:SAMPLE_CELL] for cell in record.cells[: len(header)])
            for record in islice(records.read(), SAMPLE_ROWS)
        ),
    )
    try:
        places = place_columns(header, given)
    except UnreadableFile as refused:
        refused.seen = file_format
        raise
    return CsvFile(file, codec, start, replace(file_format, mapping=places))


class CsvFile:
    """A file whose columns are known. It is read from the start by each call of `rows`, so only
    one of them at a time."""

    def __init__(self, file: BinaryIO, codec: str, start: int, file_format: FileFormat) -> None:
        self.format = file_format
        self._file = file
        self._codec = codec
        self._start = start
        file.seek(start)

    @property
    def bytes_read(self) -> int:
        """Roughly how far the file was read."""
        return self._file.tell()

    def rows(self, now: datetime, skip: int = 0) -> Iterator[FanRow | BadRow]:
        """The lines that are not blank, after the first `skip`, which are not looked into."""
        records, _ = _records(self._file, self._codec, self._start, self.format.delimiter)
        next(records.read(), None)
        reader = RowReader(self.format, now)
        return map(reader.read, records.read(skip))


def _failure(code: str) -> UnreadableFile:
    return UnreadableFile(code, FAILURES[code])


def _find_encoding(file: BinaryIO, wanted: Encoding | None) -> tuple[Encoding, str, int]:
    """The encoding, its codec, and where the text begins."""
    file.seek(0)
    head = file.read(HEAD_BYTES)
    if not head:
        raise _failure("empty_file")
    if head.startswith(OTHER_KINDS):
        raise _failure("not_csv")
    certain, codec, start = _marked(head)
    if certain is not None and wanted not in (None, certain):
        raise _failure("wrong_encoding")
    if certain is None and wanted is Encoding.UTF_16:
        raise _failure("wrong_encoding")
    if certain is not Encoding.UTF_16:
        controls = sum(byte < 32 and byte not in b"\t\n\r\f" for byte in head)
        if controls * 10 > len(head):
            raise _failure("not_csv")
    named = certain or wanted
    for encoding in (named,) if named else (Encoding.UTF_8, Encoding.WINDOWS_1252):
        used = codec or encoding.value
        if _decodes(file, used, start):
            return encoding, used, start
    raise _failure("wrong_encoding" if named else "unknown_encoding")


def _marked(head: bytes) -> tuple[Encoding | None, str, int]:
    """What the first bytes leave no doubt of: by a byte order mark, or by the zeros that UTF-16
    has in every second place of such text."""
    if head.startswith(BOM_UTF_8):
        return Encoding.UTF_8, "utf-8", len(BOM_UTF_8)
    if head.startswith((BOM_LE, BOM_BE)):
        return Encoding.UTF_16, "utf-16-le" if head.startswith(BOM_LE) else "utf-16-be", 2
    first = head[:256]
    high, low = first[::2].count(0), first[1::2].count(0)
    if max(high, low) * 5 > len(first) and min(high, low) * 10 < max(high, low):
        return Encoding.UTF_16, "utf-16-le" if low > high else "utf-16-be", 0
    return None, "", 0


def _decodes(file: BinaryIO, codec: str, start: int) -> bool:
    file.seek(start)
    try:
        for _ in decoded(file, codec):
            pass
    except UnicodeDecodeError:
        return False
    return True


def _records(file: BinaryIO, codec: str, start: int, delimiter: str) -> tuple[Records, str | None]:
    """The records from the header on, and the delimiter that a line before it states."""
    file.seek(start)
    lines = lines_of(file, codec)
    first = next(lines, "")
    stated = SEP_LINE.fullmatch(first.strip("\r\n "))
    if stated:
        return Records(lines, delimiter, number=1), stated[1]
    return Records(chain((first,), lines), delimiter), None


def _guess_delimiter(
    file: BinaryIO, codec: str, start: int, given: Mapping[Column, str | None]
) -> str:
    """The one by which the header has most columns that we know, then the one by which most of
    the first lines have as many cells as the header, then the one that makes most cells."""

    def fitness(delimiter: str) -> tuple[int, int, int]:
        found = islice(_records(file, codec, start, delimiter)[0].read(), SAMPLE_ROWS + 1)
        header = next(found, None)
        if header is None:
            return (-1, -1, 0)
        known, width = recognised(header.cells, given), len(header.cells)
        if header.problem is not None:
            return (known, -1, 0)
        even = sum(len(record.cells) == width for record in found) if width > 1 else 0
        return (known, even, width)

    return max(DELIMITERS, key=fitness)


def _read_header(record: Record) -> tuple[str, ...]:
    cells = [cell.strip() for cell in record.cells]
    while cells and not cells[-1]:
        cells.pop()
    if len(cells) > COLUMNS_MAX:
        raise _failure("too_many_columns")
    if record.problem == "nul_character" or any(_is_binary(cell) for cell in cells):
        raise _failure("not_csv")
    if record.problem is not None:
        raise _failure("header_unreadable")
    return tuple(cells)


def _is_binary(text: str) -> bool:
    return not text.isprintable() and any(
        unicodedata.category(one) == "Cc" and not one.isspace() for one in text
    )
